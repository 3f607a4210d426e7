"""`python -m core COMMAND` is `trader COMMAND`.

The law: it hands over and decides nothing.
"""

import sys

from core.cli import main

if __name__ == "__main__":
    sys.exit(main())
