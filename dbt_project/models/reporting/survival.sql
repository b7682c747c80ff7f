-- The newest published date.
{{ published('survival', question='survival') }}
