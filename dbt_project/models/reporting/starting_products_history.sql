-- Every published date.
{{ published('starting_products', question='recommendations', is_history=true) }}
