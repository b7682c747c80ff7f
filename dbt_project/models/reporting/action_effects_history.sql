-- Every published date.
{{ published('action_effects', question='actions', is_history=true) }}
