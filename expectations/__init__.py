"""The gates: what must hold of data that crosses a door, and how a broken rule stops or tells."""

import logging
import os

# Great Expectations reads both when it is imported: it would report usage to a remote host, and
# logs hundreds of lines about itself.
os.environ["GX_ANALYTICS_ENABLED"] = "false"
logging.getLogger("great_expectations").setLevel(logging.WARNING)
