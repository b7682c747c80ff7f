-- The newest published date.
{{ published('actions') }}
