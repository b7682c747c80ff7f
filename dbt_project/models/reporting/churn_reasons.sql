-- The newest published date.
{{ published('churn_reasons', question='churn') }}
