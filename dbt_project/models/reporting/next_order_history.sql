-- Every published date.
{{ published('next_order', is_history=true) }}
