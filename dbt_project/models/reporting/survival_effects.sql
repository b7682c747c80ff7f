-- The newest published date.
{{ published('survival_effects', question='survival') }}
