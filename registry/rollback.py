"""Roll back to a model that was live before: `python registry/rollback.py [ID] --reason "…"`."""

import sys

from pytest_modelgates.cli import main

if __name__ == "__main__":
    sys.exit(main(["rollback", *sys.argv[1:]]))
