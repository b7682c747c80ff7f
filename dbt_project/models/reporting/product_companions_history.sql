-- Every published date.
{{ published('product_companions', question='recommendations', is_history=true) }}
