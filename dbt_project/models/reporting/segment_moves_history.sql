-- Every published date.
{{ published('segment_moves', question='segments', is_history=true) }}
