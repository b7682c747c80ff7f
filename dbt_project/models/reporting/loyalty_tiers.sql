-- The newest published date.
{{ published('loyalty_tiers', question='loyalty') }}
