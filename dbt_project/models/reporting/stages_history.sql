-- Every published date.
{{ published('stages', is_history=true) }}
