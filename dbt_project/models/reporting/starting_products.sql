-- The newest published date.
{{ published('starting_products', question='recommendations') }}
