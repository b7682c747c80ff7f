-- Every published date.
{{ published('baskets', is_history=true) }}
