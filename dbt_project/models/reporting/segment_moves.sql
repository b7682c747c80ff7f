-- The newest published date.
{{ published('segment_moves', question='segments') }}
