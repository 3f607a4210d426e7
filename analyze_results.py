"""`python analyze_results.py` is `trader analyze-results`; see `python analyze_results.py --help`."""

import sys

from core.cli import main

if __name__ == "__main__":
    sys.exit(main(["analyze-results", *sys.argv[1:]]))
