"""Which files of candles belong to which symbol: said outright, or told from their names.

The law: a name decides alone or not at all; two readings, or none, are refused with the ways to say it outright.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.adapters.markets._formats import SUFFIXES
from core.errors import InputFileError

__all__ = ["candle_files", "map_files"]

_HOW = "name it with --symbol, or in the table exchange.replay.files (symbol: file)"


def map_files(
    path: Path | None, table: Mapping[str, Path | str] | None, symbols: Sequence[str], skip_others: bool = False
) -> dict[str, list[Path]]:
    """Return the files of each symbol.

    Parameters
    ----------
    path : Path or None
        A file, or a folder with files or with a folder per symbol, at any depth. None where `table` says all.
    table : mapping of str to Path, optional
        The file or folder of a symbol. It speaks first: the names of these files are not looked at.
    symbols : sequence of str
        The unified symbols a name may stand for: ``BTCUSDT``, ``BTC-USDT`` and ``btc_usdt`` stand for ``BTC/USDT``
        and for ``BTC/USDT:USDT``.
    skip_others : bool
        Pass over the files in a folder whose names stand for none of `symbols`, if others do, instead of refusing.

    Returns
    -------
    dict of str to list of Path
        Each symbol's files in the order of their names.

    Raises
    ------
    InputFileError
        There is no file, or one whose symbol is unknown or ambiguous.

    Examples
    --------
    >>> map_files(Path("no-such-folder"), None, ["BTC/USDT"])
    Traceback (most recent call last):
    ...
    core.errors.InputFileError: no-such-folder: no such file or folder
    """
    found = {symbol: candle_files(Path(place)) for symbol, place in (table or {}).items()}
    told = {file.resolve() for files in found.values() for file in files}
    unknown = []
    for file in candle_files(path) if path is not None else []:
        if file.resolve() in told:
            continue
        symbol = _symbol_of(file, path or file, symbols)
        if symbol is None:
            unknown.append(file)
        else:
            found.setdefault(symbol, []).append(file)
    if unknown and not (skip_others and found):
        raise InputFileError(f"{unknown[0]}: its name holds none of the symbols {_shown(symbols)}; {_HOW}")
    return found


def candle_files(path: Path) -> list[Path]:
    """Return the files of candles at or below a path, by name; other files are passed over."""
    if not path.exists():
        raise InputFileError(f"{path}: no such file or folder")
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix.lower() in SUFFIXES)
    if not files:
        raise InputFileError(f"{path}: the folder holds no file of candles; expected {', '.join(SUFFIXES)}")
    return files


def _symbol_of(file: Path, root: Path, symbols: Sequence[str]) -> str | None:
    """Return the symbol of the file's name, else of the nearest folder's that has one, up to `root`."""
    for part in (*reversed(file.relative_to(root).parts), root.name):
        meant = _symbols_in(part, symbols)
        if len(meant) > 1:
            raise InputFileError(f"{file}: '{part}' may stand for {' or '.join(meant)}; {_HOW}")
        if meant:
            return meant[0]
    return None


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
