-- The newest published date.
{{ published('next_order') }}
