"""Correlate a candidate in shadow with the live model: `python registry/compare_shadow_vs_prod.py [ID]`."""

import sys

from pytest_modelgates.cli import main

if __name__ == "__main__":
    sys.exit(main(["compare", *sys.argv[1:]]))
