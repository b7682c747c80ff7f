-- Every published date.
{{ published('churn', is_history=true) }}
