-- The newest published date.
{{ published('segment_profiles', question='segments') }}
