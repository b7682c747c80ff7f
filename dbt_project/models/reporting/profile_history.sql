-- Every published date.
{{ published('profile', is_history=true) }}
