"""Pandas without Arrow, for processes that work on the database alone.

The law: what is computed is the same with Arrow and without it; whoever asks for Arrow itself still finds it.

Pandas loads Arrow whenever it is installed, though frames of the engine hold nothing of it (see
`core.schema.frames`): 35 MB, and a tenth of a second of every start. Import this module before pandas.
"""

from __future__ import annotations

import importlib
import sys

__all__: list[str] = []


def _import_pandas() -> None:
    if "pyarrow" in sys.modules or "pandas" in sys.modules:
        return
    sys.modules["pyarrow"] = None  # type: ignore[assignment]  # the way to say that an import is to fail
    try:
        importlib.import_module("pandas")  # asks for it once, and takes no for an answer
    finally:
        del sys.modules["pyarrow"]


_import_pandas()
