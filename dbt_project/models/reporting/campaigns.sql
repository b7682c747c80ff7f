-- The newest published date.
{{ published('campaigns') }}
