-- The newest published date.
{{ published('baskets') }}
