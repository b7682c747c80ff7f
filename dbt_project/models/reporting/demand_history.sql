-- Every published date.
{{ with_product_names(published('demand', is_history=true)) }}
