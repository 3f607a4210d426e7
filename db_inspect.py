"""`python db_inspect.py` is `trader db-inspect`; see `python db_inspect.py --help`."""

import sys

from core.cli import main

if __name__ == "__main__":
    sys.exit(main(["db-inspect", *sys.argv[1:]]))
