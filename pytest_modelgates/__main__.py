"""Where the command starts, before any library is imported. It is also run as ``python -m pytest_modelgates``."""

import os
import sys


def main() -> int:
    """Open the standard streams, then run the command line."""
    try:
        open_streams()
        from .cli import main as run

        return run()
    except KeyboardInterrupt:  # before the command line could answer it
        print("modelgates: interrupted", file=sys.stderr)
        return 130


def open_streams() -> None:
    """Open /dev/null in place of each closed standard stream.

    Otherwise the next file that this process opens would get its descriptor, 0 to 2, and what libraries and child
    processes print would land in that file.
    """
    for name in ("stdin", "stdout", "stderr"):  # in this order: open() takes the lowest free descriptor
        if getattr(sys, name) is None:
            stream = open(os.devnull, "r+", encoding="utf-8")  # noqa: SIM115  # stays open to the end
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


if __name__ == "__main__":
    sys.exit(main())
