"""Pools by name, without anything to import."""

# Tasks that work hard share this pool, whatever worker takes them, so that two cores stay
# responsive. Made at start; a team with more workers sets its size in Airflow, and that stays.
HEAVY_POOL = "cores"
HEAVY_SLOTS = 2
