"""The gates: rules on data that enters or leaves a step; a broken rule stops the run or warns."""

import logging
import os

# Great Expectations reads both on import. By default it reports usage to a remote host and logs
# hundreds of lines about itself.
os.environ["GX_ANALYTICS_ENABLED"] = "false"
logging.getLogger("great_expectations").setLevel(logging.WARNING)
