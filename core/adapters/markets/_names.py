"""Which symbol a file of candles belongs to, told from its name.

The law: a name decides alone or not at all; two readings, or none, are refused with the ways to say it outright.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

from core.adapters.markets._formats import SUFFIXES
from core.errors import InputFileError

__all__ = ["map_files"]

_HOW = "name it with --symbol, or in the table exchange.replay.files (file name: symbol)"


def map_files(path: Path, table: Mapping[str, str] | None, symbols: Sequence[str]) -> dict[str, list[Path]]:
    """Return the files of each symbol.

    Parameters
    ----------
    path : Path
        A file, or a folder with files or with a folder per symbol, at any depth.
    table : mapping of str to str, optional
        File name, folder name or path below `path`, with ``*`` and ``?`` if wanted, to symbol. It speaks first.
    symbols : sequence of str
        The unified symbols a name may stand for: ``BTCUSDT``, ``BTC-USDT`` and ``btc_usdt`` stand for ``BTC/USDT``
        and for ``BTC/USDT:USDT``.

    Returns
    -------
    dict of str to list of Path
        In the order of the files' names.

    Raises
    ------
    InputFileError
        There is no file, or one whose symbol is unknown or ambiguous.

    Examples
    --------
    >>> folder = Path("/no/such/folder")
    >>> map_files(folder, None, ["BTC/USDT"])
    Traceback (most recent call last):
    ...
    core.errors.InputFileError: /no/such/folder: no such file or folder
    """
    if not path.exists():
        raise InputFileError(f"{path}: no such file or folder")
    files = candle_files(path)
    found: dict[str, list[Path]] = {}
    for file in files:
        found.setdefault(_symbol_of(file, path, table or {}, symbols), []).append(file)
    return found


def candle_files(path: Path) -> list[Path]:
    """Return the files of candles at or below a path, by name; other files are passed over."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix.lower() in SUFFIXES)
    if not files:
        raise InputFileError(f"{path}: the folder holds no file of candles; expected {', '.join(SUFFIXES)}")
    return files


def _symbol_of(file: Path, root: Path, table: Mapping[str, str], symbols: Sequence[str]) -> str:
    below = file.relative_to(root).as_posix() if file != root else file.name
    parts = [*reversed(Path(below).parts), root.name]
    for pattern, symbol in table.items():
        if any(fnmatch(name, pattern) for name in (below, *parts)):
            return symbol
    for part in parts:
        meant = _symbols_in(part, symbols)
        if len(meant) > 1:
            raise InputFileError(f"{file}: '{part}' may stand for {' or '.join(meant)}; {_HOW}")
        if meant:
            return meant[0]
    raise InputFileError(f"{file}: its name holds none of the symbols {_shown(symbols)}; {_HOW}")


def _symbols_in(name: str, symbols: Sequence[str]) -> list[str]:
    """Return the symbols a name spells, the longest spelling only: ``BTC-USDT-USDT`` is the perpetual."""
    words = [word for word in re.split(r"[^0-9A-Za-z]+", name.upper()) if word]
    spelt: dict[str, int] = {}
    for lo in range(len(words)):
        for n in (1, 2, 3):
            spelling = "".join(words[lo : lo + n])
            for symbol in symbols:
                if spelling in _spellings(symbol):
                    spelt[symbol] = max(spelt.get(symbol, 0), len(spelling))
    longest = max(spelt.values(), default=0)
    return [symbol for symbol in dict.fromkeys(symbols) if spelt.get(symbol, 0) == longest > 0]


def _spellings(symbol: str) -> set[str]:
    pair, _, settle = symbol.upper().partition(":")
    joined = pair.replace("/", "")
    return {joined, joined + settle}


def _shown(symbols: Sequence[str]) -> str:
    return ", ".join(symbols[:8]) + (", ..." if len(symbols) > 8 else "")
