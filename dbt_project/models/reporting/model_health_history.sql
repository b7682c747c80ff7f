-- Every published date of knowledge.
{{ published('lookback', is_history=true) }}
