"""The panel: many shops of many kinds, each in one of three sets.

No choice is evaluated on the shops that it was made with. `sets.toml` lists each set's shops,
`shops` reads the public data sets, `generators` generates shops with known truth, and `looks` logs
each look at validation and final shops.
"""
