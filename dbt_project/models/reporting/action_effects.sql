-- The newest published date.
{{ published('action_effects', question='actions') }}
