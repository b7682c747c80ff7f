-- Every published date.
{{ published('loyalty', is_history=true) }}
