-- Every published date.
{{ published('stage_stays', question='stages', is_history=true) }}
