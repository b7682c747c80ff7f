"""`python -m command`, the same as `perennial` where nothing is installed."""

import sys

from command.app import main

if __name__ == "__main__":
    sys.exit(main())
