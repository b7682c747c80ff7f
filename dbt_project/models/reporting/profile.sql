-- The newest published date.
{{ published('profile') }}
