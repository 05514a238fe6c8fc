"""What a hermetic run starts: pytest, on gates whose helpers lie where the policy says, and on no bytecode but its own.

``python -I -m pytest_modelgates.gating.child CACHE FOLDER… -- ARGUMENT…``
"""

import importlib
import sys

import pytest

# What the gates import sooner or later, with all that it brings along.
LIBRARIES = ("numpy.testing", "onnx", "onnxruntime", "pandas", "pyarrow.parquet", "scipy.stats")


class OwnBytecode:
    """Ends the use of bytecode that lies beside the sources, where it may be of other ones."""

    def __init__(self, cache: str) -> None:
        self._cache = cache

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self) -> None:
        """Do so once the installed libraries are imported: they are believed, and compiling them takes two seconds."""
        for name in LIBRARIES:
            importlib.import_module(name)
        sys.pycache_prefix = self._cache


def main(arguments: list[str]) -> int:
    """Run pytest, and return its exit status."""
    end = arguments.index("--")
    cache, *folders = arguments[:end]
    # Behind everything that is installed, so that no helper takes the name of a library.
    sys.path += folders
    return int(pytest.main(arguments[end + 1 :], plugins=[OwnBytecode(cache)]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
