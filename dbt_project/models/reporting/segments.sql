-- The newest published date.
{{ published('segments') }}
