-- Every published date.
{{ published('survival_effects', question='survival', is_history=true) }}
