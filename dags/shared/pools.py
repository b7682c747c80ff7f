"""Pools by name, without anything to import."""

# Tasks that work hard share this pool, so that two cores stay responsive. Made at start.
HEAVY_POOL = "cores"
HEAVY_SLOTS = 2
