"""`python maintenance.py` is `trader maintain`; see `python maintenance.py --help`."""

import sys

from core.cli import main

if __name__ == "__main__":
    sys.exit(main(["maintain", *sys.argv[1:]]))
