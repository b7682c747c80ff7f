-- The newest published date.
{{ published('products') }}
