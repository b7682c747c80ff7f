-- Every published date.
{{ published('actions', is_history=true) }}
