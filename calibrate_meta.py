"""`python calibrate_meta.py` is `trader calibrate-meta`; see `python calibrate_meta.py --help`."""

import sys

from core.cli import main

if __name__ == "__main__":
    sys.exit(main(["calibrate-meta", *sys.argv[1:]]))
