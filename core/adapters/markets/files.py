"""Files of candles: in, for imports and replays, and out, for exports.

The law: what is read is what was written, oldest first and each minute once; nothing is filled in, and whether a
candle is believable is for the ingest to say.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.adapters.markets._formats import stream_rows
from core.adapters.markets._names import candle_files, map_files
from core.adapters.markets._tape import Tape
from core.clock import MINUTE_MS, format_duration
from core.errors import DiskError, InputFileError
from core.schema import Candles, FloatArray

__all__ = ["iter_rows", "map_files", "read_candles", "read_rows", "read_tape", "write_candles"]

_CHUNK_ROWS = 200_000
_ENOUGH_ROWS = 10  # from which on the spacing of rows tells the timeframe
_COLUMNS = ("ts", "open", "high", "low", "close", "volume", "taker_volume")


def iter_rows(path: Path | Sequence[Path], chunk_rows: int = _CHUNK_ROWS) -> Iterator[FloatArray]:
    """Yield the rows of a file, of all files of a folder by name, or of several of them, in bounded memory.

    Parameters
    ----------
    path : Path or sequence of Path
        Parquet or CSV with ``ts|timestamp|open_time, open, high, low, close, volume`` (times in s, ms, us or ISO
        text, optional taker volume), raw Binance klines (12 columns, no header), zipped or not.
    chunk_rows : int
        Most rows at a time.

    Yields
    ------
    float64 array, shape (n, 7)
        ts in UTC milliseconds, open, high, low, close, volume, taker volume (NaN where unknown), as written: not
        cleaned, in the file's order.

    Raises
    ------
    InputFileError
        A file that cannot be read, or whose candles are not of one minute.
    """
    for file in (file for one in ([path] if isinstance(path, Path) else path) for file in candle_files(one)):
        checked = False
        for rows in stream_rows(file, chunk_rows):
            if not checked and len(rows) >= _ENOUGH_ROWS:
                _check_spacing(rows[:, 0], file)
                checked = True
            yield rows if rows.shape[1] == len(_COLUMNS) else np.column_stack((rows, np.full(len(rows), np.nan)))


def read_rows(path: Path | Sequence[Path]) -> FloatArray:
    """Return all rows at once, as `iter_rows` yields them."""
    return np.concatenate(list(iter_rows(path)))


def read_candles(path: Path | Sequence[Path]) -> Candles:
    """Read the candles of one symbol.

    Parameters
    ----------
    path : Path or sequence of Path
        Files, or folders whose files are all of that symbol; formats as for `iter_rows`.

    Returns
    -------
    Candles
        Sorted; of rows with the same time the last one read. Prices are as written, NaN included.

    Raises
    ------
    InputFileError
        As for `iter_rows`.
    """
    rows = read_rows(path)
    ts = rows[:, 0].astype(np.int64)
    if (np.diff(ts) <= 0).any():
        order = np.argsort(ts, kind="stable")
        last_of_its_time = np.append(np.diff(ts[order]) > 0, True)
        rows = rows[order[last_of_its_time]]
        ts = rows[:, 0].astype(np.int64)
    return Candles.of(ts, *rows[:, 1:].T)


def read_tape(path: Path | None, table: Mapping[str, Path | str] | None, symbols: Sequence[str]) -> Tape:
    """Read a tape of some symbols from files.

    Parameters
    ----------
    path : Path or None
        A file, a folder of files, or a folder with a folder per symbol; files of other symbols are passed over.
    table : mapping of str to Path, optional
        The file or folder of a symbol, where names do not say; see `map_files`.
    symbols : sequence of str
        What the names of files may stand for.

    Raises
    ------
    InputFileError
        A file that cannot be read, or none of these symbols.
    """
    files = map_files(path, table, symbols, skip_others=True)
    return Tape.of({symbol: read_candles(files[symbol]) for symbol in sorted(files)})


def write_candles(path: Path, candles: Candles, force: bool = False) -> None:
    """Write candles as Parquet: whole, or not at all.

    Parameters
    ----------
    path : Path
        Its folder exists.
    candles : Candles
    force : bool
        Replace a file that is there.

    Raises
    ------
    InputFileError
        The file is there already.
    DiskError
        It cannot be written.
    """
    if path.exists() and not force:
        raise InputFileError(f"{path}: exists already; expected a new name, or --force to replace it")
    table = pa.table({name: getattr(candles, name) for name in _COLUMNS})
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:
            pq.write_table(table, stream, compression="zstd")
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        raise DiskError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        part.unlink(missing_ok=True)


def _check_spacing(ts: FloatArray, file: Path) -> None:
    """Refuse longer or shorter candles: taken for minutes they would be believed, and wrong."""
    steps, counts = np.unique(np.diff(np.unique(ts)), return_counts=True)
    if len(steps) and steps[counts.argmax()] != MINUTE_MS:
        usual = int(steps[counts.argmax()])
        shown = format_duration(usual) if usual >= MINUTE_MS else f"{usual / 1000:g}s"
        raise InputFileError(f"{file}: its candles are {shown} apart; expected one-minute candles")
