"""Run the command line by ``python -m pytest_modelgates.cli``."""

import sys

from .main import main

if __name__ == "__main__":
    sys.exit(main())
