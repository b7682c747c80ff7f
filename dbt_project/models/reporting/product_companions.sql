-- The newest published date.
{{ published('product_companions', question='recommendations') }}
