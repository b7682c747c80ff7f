-- The newest published date.
{{ published('stages') }}
