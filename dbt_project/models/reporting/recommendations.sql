-- The newest published date.
{{ published('recommendations') }}
