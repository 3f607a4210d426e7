"""`python tune_thresholds.py` is `trader tune-thresholds`; see `python tune_thresholds.py --help`."""

import sys

from core.cli import main

if __name__ == "__main__":
    sys.exit(main(["tune-thresholds", *sys.argv[1:]]))
