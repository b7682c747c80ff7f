-- Every published date.
{{ published('loyalty_tiers', question='loyalty', is_history=true) }}
