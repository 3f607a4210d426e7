"""`python retro_scan.py` is `trader retro-scan`; see `python retro_scan.py --help`."""

import sys

from core.cli import main

if __name__ == "__main__":
    sys.exit(main(["retro-scan", *sys.argv[1:]]))
