-- Every published date.
{{ published('survival_curves', question='survival', is_history=true) }}
