"""`python train_meta.py` is `trader train-meta`; see `python train_meta.py --help`."""

import sys

from core.cli import main

if __name__ == "__main__":
    sys.exit(main(["train-meta", *sys.argv[1:]]))
