-- Every published date.
{{ published('clv', is_history=true) }}
