-- The newest published date.
{{ published('survival_curves', question='survival') }}
