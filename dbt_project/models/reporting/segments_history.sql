-- Every published date.
{{ published('segments', is_history=true) }}
