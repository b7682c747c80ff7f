-- Every published date.
{{ published('campaigns', is_history=true) }}
