"""Promote by a report, or run the hard gates of a model directory first: `python registry/promote.py REPORT|DIR`."""

import sys

from pytest_modelgates.cli import main

if __name__ == "__main__":
    sys.exit(main(["promote", *sys.argv[1:]]))
