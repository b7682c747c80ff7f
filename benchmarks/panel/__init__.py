"""The panel: many shops of many kinds, each in one of three sets, so that no choice judges itself.

`sets.toml` says which shop is in which set, `shops` reads the public data sets, `generators` makes
shops whose truth is known, `looks` keeps who looked at what, and when.
"""
