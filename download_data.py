"""`python download_data.py` is `trader download-data`; see `python download_data.py --help`."""

import sys

from core.cli import main

if __name__ == "__main__":
    sys.exit(main(["download-data", *sys.argv[1:]]))
