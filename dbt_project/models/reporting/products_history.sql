-- Every published date.
{{ published('products', is_history=true) }}
