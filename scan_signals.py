"""`python scan_signals.py` is `trader scan-signals`; see `python scan_signals.py --help`."""

import sys

from core.cli import main

if __name__ == "__main__":
    sys.exit(main(["scan-signals", *sys.argv[1:]]))
