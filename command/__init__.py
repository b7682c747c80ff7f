"""The `perennial` command: what a person types. `make`'s short forms call it.

One file a group of commands. Each imports what it needs when it is called, so that help and
completion come at once.
"""
