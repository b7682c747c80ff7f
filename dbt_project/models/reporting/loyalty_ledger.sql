-- The newest published date.
{{ published('loyalty_ledger', question='loyalty') }}
