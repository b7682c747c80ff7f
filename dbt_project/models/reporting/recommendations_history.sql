-- Every published date.
{{ published('recommendations', is_history=true) }}
