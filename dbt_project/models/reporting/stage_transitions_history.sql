-- Every published date.
{{ published('stage_transitions', question='stages', is_history=true) }}
