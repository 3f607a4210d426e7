"""`python init_db.py` is `trader init-db`; see `python init_db.py --help`."""

import sys

from core.cli import main

if __name__ == "__main__":
    sys.exit(main(["init-db", *sys.argv[1:]]))
