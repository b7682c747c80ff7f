"""The pool of tasks that work hard, so that the machine stays responsive. Made at start."""

from perennial.settings import Settings

HEAVY_POOL = "cores"
HEAVY_SLOTS = Settings().cores
