-- Every published date.
{{ published('loyalty_ledger', question='loyalty', is_history=true) }}
