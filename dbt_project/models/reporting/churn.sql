-- The newest published date.
{{ published('churn') }}
