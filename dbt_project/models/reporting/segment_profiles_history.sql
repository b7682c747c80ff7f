-- Every published date.
{{ published('segment_profiles', question='segments', is_history=true) }}
