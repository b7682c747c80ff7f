-- Every published date.
{{ published('churn_reasons', question='churn', is_history=true) }}
