-- The newest published date.
{{ published('demand') }}
