-- The newest published date.
{{ published('stage_stays', question='stages') }}
