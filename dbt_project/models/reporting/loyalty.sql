-- The newest published date.
{{ published('loyalty') }}
