-- Every published date.
{{ published('survival', question='survival', is_history=true) }}
