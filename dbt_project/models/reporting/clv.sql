-- The newest published date.
{{ published('clv') }}
