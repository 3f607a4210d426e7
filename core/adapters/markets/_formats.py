"""Files of candles as rows of numbers: Parquet, CSV, Binance's raw klines, zipped or not.

The law: rows come out as they were written, in order and in bounded memory; only their form is checked. What
cannot be read as numbers and times is refused in one line that names the file and what was expected.
"""

from __future__ import annotations

import gzip
import io
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from core.errors import InputFileError
from core.schema import FloatArray

__all__ = ["SUFFIXES", "stream_rows"]

SUFFIXES = (".parquet", ".csv", ".zip", ".gz")
_INNER_SUFFIXES = (".parquet", ".csv")

_TIME_NAMES = ("ts", "timestamp", "open_time", "ts_ms")
_PRICE_NAMES = ("open", "high", "low", "close", "volume")
_TAKER_NAMES = (
    "taker_volume",
    "taker_buy_volume",
    "taker_base",
    "taker_base_volume",
    "taker_buy_base",
    "taker_buy_base_volume",
    "taker_buy_base_asset_volume",
)
_EXPECTED = "expected the columns ts|timestamp|open_time, open, high, low, close, volume"
# https://github.com/binance/binance-public-data: klines carry no header before 2025, and on spot none today
_BINANCE_KLINE = (
    *("open_time", *_PRICE_NAMES, "close_time", "quote_volume", "count"),
    *("taker_buy_volume", "taker_buy_quote_volume", "ignore"),
)
_CSV_BYTES_A_ROW = 120  # how much text is read for a chunk

# a time of this century tells its unit by its size: 2001 to 2100 do not overlap in s, ms, us and ns
_EARLIEST_S, _LATEST_S = 978_307_200, 4_102_444_800
_UNITS_A_SECOND = (1, 10**3, 10**6, 10**9)

# what the readers raise when bytes are not what their name says
_UNREADABLE = (pa.ArrowException, OSError, EOFError, zipfile.BadZipFile, zlib.error, UnicodeDecodeError, RuntimeError)


def stream_rows(path: Path, chunk_rows: int) -> Iterator[FloatArray]:
    """Yield the rows of one file in its order, at most `chunk_rows` at a time.

    Parameters
    ----------
    path : Path
        Its name ends in one of `SUFFIXES`.
    chunk_rows : int
        At least 1.

    Yields
    ------
    float64 array, shape (n, 6) or (n, 7)
        ts in UTC milliseconds, open, high, low, close, volume and, where the file has it, taker volume. Empty
        fields are NaN.

    Raises
    ------
    InputFileError
        The file is missing, empty, broken, of another kind, lacks a column, or holds a time or a number that
        cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputFileError(f"{path}: not a file of candles; expected a name that ends in {', '.join(SUFFIXES)}")
    count, where = 0, str(path)
    try:
        if path.stat().st_size == 0:
            raise _Refused(f"the file is empty; {_EXPECTED}")
        for name, kind, stream in _open_tables(path, suffix):
            where = f"{path}/{name}" if name else str(path)
            batches = _parquet_batches(stream, chunk_rows) if kind == ".parquet" else _csv_batches(stream, chunk_rows)
            for batch in batches:
                count += len(batch)
                yield _batch_to_rows(batch)
    except FileNotFoundError as error:
        raise InputFileError(f"{path}: no such file") from error
    except _Refused as error:
        raise InputFileError(f"{where}: {error}") from error
    except _UNREADABLE as error:
        raise InputFileError(f"{where}: cannot be read as {suffix[1:]} ({_one_line(error)}); {_EXPECTED}") from error
    if not count:
        raise InputFileError(f"{path}: holds no candle; expected at least one row")


class _Refused(ValueError):
    """A file of the right kind whose content is not candles."""


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:160]


def _open_tables(path: Path, suffix: str) -> Iterator[tuple[str, str, IO[bytes]]]:
    """Yield the name inside an archive (else ""), the kind and the bytes of each table in a file."""
    if suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if Path(name).suffix.lower() in _INNER_SUFFIXES)
            if not names:
                raise _Refused(f"the archive holds no table; expected {' or '.join(_INNER_SUFFIXES)} inside")
            for name in names:
                with archive.open(name) as member:
                    yield from _unpacked(name, Path(name).suffix.lower(), member)
    elif suffix == ".gz":
        inner = Path(path.stem).suffix.lower()
        with gzip.open(path) as member:
            yield from _unpacked("", inner if inner in _INNER_SUFFIXES else ".csv", cast(IO[bytes], member))
    else:
        with path.open("rb") as stream:
            yield "", suffix, stream


def _unpacked(name: str, kind: str, member: IO[bytes]) -> Iterator[tuple[str, str, IO[bytes]]]:
    if kind == ".parquet":
        # Parquet is read from its end, which a compressed stream offers only at the price of reading it twice
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(member, copy)
            copy.seek(0)
            yield name, kind, copy
    else:
        yield name, kind, member


def _pick(columns: list[str]) -> list[str]:
    """Return the columns to read: time, prices, volume and, where there is one, taker volume."""
    known = {"_".join(column.strip().strip('"').lower().split()): column for column in reversed(columns)}
    time = next((known[name] for name in _TIME_NAMES if name in known), None)
    missing = [name for name in _PRICE_NAMES if name not in known]
    if time is None or missing:
        lacking = ", ".join((["a time"] if time is None else []) + missing)
        shown = _one_line(ValueError(", ".join(columns)))[:100]
        raise _Refused(f"lacks {lacking} among its columns '{shown}'; {_EXPECTED}")
    taker = next((known[name] for name in _TAKER_NAMES if name in known), None)
    return [time, *(known[name] for name in _PRICE_NAMES), *([taker] if taker else [])]


def _parquet_batches(stream: IO[bytes], chunk_rows: int) -> Iterator[pa.RecordBatch]:
    file = pq.ParquetFile(stream)
    columns = _pick(file.schema_arrow.names)
    for batch in file.iter_batches(batch_size=chunk_rows, columns=columns):
        yield batch.select(columns)


def _csv_batches(stream: IO[bytes], chunk_rows: int) -> Iterator[pa.RecordBatch]:
    # plain, gzip and zip streams all have peek, which the type of an open file does not promise
    names, skipped = _csv_header(cast(io.BufferedReader, stream).peek(1 << 16))
    columns = _pick(names)
    types = {column: pa.float64() for column in columns[1:]} | {columns[0]: pa.string()}
    with pacsv.open_csv(
        stream,
        read_options=pacsv.ReadOptions(
            column_names=names, skip_rows=skipped, block_size=max(1 << 16, chunk_rows * _CSV_BYTES_A_ROW)
        ),
        convert_options=pacsv.ConvertOptions(include_columns=columns, column_types=types),
    ) as batches:
        for batch in batches:
            for lo in range(0, len(batch), chunk_rows):
                yield batch.slice(lo, chunk_rows)


def _csv_header(beginning: bytes) -> tuple[list[str], int]:
    """Return the names of the columns and how many rows to skip, from the first bytes of a file."""
    line = beginning.split(b"\n", 1)[0].decode("utf-8-sig").strip()
    fields = [field.strip() for field in line.split(",")]
    if not _is_number(fields[0]):
        return fields, 1
    if len(fields) != len(_BINANCE_KLINE):
        raise _Refused(
            f"has no header and {len(fields)} columns; expected a header, or the {len(_BINANCE_KLINE)} columns of a "
            "Binance kline file"
        )
    return list(_BINANCE_KLINE), 0


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _batch_to_rows(batch: pa.RecordBatch) -> FloatArray:
    rows = np.empty((len(batch), batch.num_columns))
    rows[:, 0] = _times_to_ms(batch.column(0))
    for position in range(1, batch.num_columns):
        name = batch.schema.names[position]
        try:
            numbers = pc.cast(batch.column(position), pa.float64())
        except pa.ArrowException as error:
            raise _Refused(f"column '{name}' does not hold numbers ({_one_line(error)})") from error
        rows[:, position] = numbers.to_numpy(zero_copy_only=False)
    return rows


def _times_to_ms(column: pa.Array) -> FloatArray:
    """Return times as UTC milliseconds, whatever unit or text they were written in."""
    if column.null_count:
        raise _Refused("a row has no time; expected one in every row")
    if pa.types.is_timestamp(column.type):
        return np.asarray(pc.cast(column, pa.timestamp("ms"), safe=False).cast(pa.int64()), dtype=np.float64)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        try:
            column = pc.cast(column, pa.int64())
        except pa.ArrowException:
            return _texts_to_ms(column)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise _Refused(f"its times are of type {column.type}; expected numbers, timestamps or ISO text")
    return _numbers_to_ms(column.to_numpy(zero_copy_only=False))


def _texts_to_ms(column: pa.Array) -> FloatArray:
    try:
        return _numbers_to_ms(np.asarray(pc.cast(column, pa.float64())))
    except pa.ArrowException:
        moments = pd.to_datetime(pd.Series(column.to_pylist()), utc=True, format="ISO8601", errors="coerce")
    if moments.isna().any():
        wrong = column[int(moments.isna().to_numpy().argmax())].as_py()
        raise _Refused(f"the time '{wrong[:40]}' cannot be read; expected ISO text, or s, ms or us since 1970")
    milliseconds = moments.dt.tz_localize(None).astype("datetime64[ms]").astype("int64")
    return np.asarray(milliseconds, dtype=np.float64)


def _numbers_to_ms(numbers: np.ndarray) -> FloatArray:
    result = np.full(len(numbers), np.nan)
    for unit in _UNITS_A_SECOND:
        of_unit = (numbers >= _EARLIEST_S * unit) & (numbers < _LATEST_S * unit)
        if unit >= 1000:
            result[of_unit] = numbers[of_unit] // (unit // 1000)
        else:
            result[of_unit] = np.rint(numbers[of_unit] * 1000)
    if np.isnan(result).any():
        wrong = numbers[np.isnan(result)][0]
        raise _Refused(f"the time {wrong} is not s, ms or us since 1970 of a year from 2001 to 2099")
    return result
