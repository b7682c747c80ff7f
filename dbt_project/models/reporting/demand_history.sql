-- Every published date.
{{ published('demand', is_history=true) }}
