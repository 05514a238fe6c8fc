"""`python -m pytest_modelgates.serving [--shadow] …`: `modelgates shadow` or `serve`, under the name of an adapter."""

import sys
from collections.abc import Sequence

from ..cli import main


def adapter(words: Sequence[str]) -> int:
    """Run `modelgates shadow` if --shadow is among the words, else `modelgates serve`, with the others."""
    others = [word for word in words if word != "--shadow"]
    return main(["shadow" if len(others) < len(words) else "serve", *others])


if __name__ == "__main__":
    sys.exit(adapter(sys.argv[1:]))
