-- The newest published date.
{{ published('stage_transitions', question='stages') }}
