"""A verb of modelgates on a day that faketime sets, for the processes too in which it runs gates and rehearsals."""

import sys

from pytest_modelgates.cli import main
from pytest_modelgates.proving import hermetic

if __name__ == "__main__":
    hermetic.KEPT += ("LD_PRELOAD", "FAKETIME")
    sys.exit(main(sys.argv[1:]))
