"""`python scheduler_run.py` is `trader run`; see `python scheduler_run.py --help`."""

import sys

from core.cli import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
