-- The newest published date.
{{ with_product_names(published('demand')) }}
