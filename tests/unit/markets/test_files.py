"""Files of candles are read as they were written, whatever their format; what cannot be read says so in a line."""

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.adapters.markets.files import iter_rows, read_candles, read_rows, read_tape, write_candles
from core.clock import MINUTE_MS
from core.errors import DiskError, InputFileError
from core.schema import Candles

START = 1_700_000_040_000
ROWS = [(START + k * MINUTE_MS, 100.0 + k, 102.5 + k, 99.25 + k, 101.0 + k, 3.5 + k, 1.25 + k) for k in range(30)]
NAMES = ["ts", "open", "high", "low", "close", "volume", "taker_volume"]


def frame(**renamed: str) -> pd.DataFrame:
    return pd.DataFrame(ROWS, columns=NAMES).rename(columns=renamed)


def text(table: pd.DataFrame, **settings) -> bytes:
    return table.to_csv(index=False, lineterminator="\n", **settings).encode()


def binance(unit: int = 1) -> bytes:
    """Raw klines as Binance publishes them; unit 1000 for microseconds."""
    lines = [
        f"{ts * unit},{o},{h},{low},{c},{v},{(ts + 59_999) * unit},{v * c},17,{taker},{taker * c},0"
        for ts, o, h, low, c, v, taker in ROWS
    ]
    return "\n".join(lines).encode() + b"\n"


def zipped(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return packed.getvalue()


def parquet(table: pd.DataFrame) -> bytes:
    return table.to_parquet(index=False)


def file(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


EVERY_FORM = {
    "csv": ("a.csv", text(frame())),
    "parquet": ("a.parquet", parquet(frame())),
    "upper case name": ("A.CSV", text(frame())),
    "windows line ends and a mark": ("a.csv", b"\xef\xbb\xbf" + text(frame()).replace(b"\n", b"\r\n")),
    "no last line end": ("a.csv", text(frame()).rstrip()),
    "timestamp": ("a.csv", text(frame(ts="timestamp"))),
    "open time in words": ("a.csv", text(frame(ts="Open time", open="Open", volume="Volume"))),
    "other order and more columns": ("a.csv", text(frame().assign(note="x")[["note", *reversed(NAMES)]])),
    "seconds": ("a.csv", text(frame().assign(ts=frame().ts // 1000))),
    "fractional seconds": ("a.csv", text(frame().assign(ts=frame().ts / 1000))),
    "microseconds": ("a.csv", text(frame().assign(ts=frame().ts * 1000))),
    "nanoseconds in parquet": ("a.parquet", parquet(frame().assign(ts=frame().ts * 1_000_000))),
    "iso with zone": ("a.csv", text(frame().assign(ts=pd.to_datetime(frame().ts, unit="ms", utc=True)))),
    "iso with T and Z": (
        "a.csv",
        text(frame().assign(ts=pd.to_datetime(frame().ts, unit="ms").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))),
    ),
    "iso without zone is utc": ("a.csv", text(frame().assign(ts=pd.to_datetime(frame().ts, unit="ms")))),
    "iso of another zone": (
        "a.csv",
        text(frame().assign(ts=pd.to_datetime(frame().ts, unit="ms", utc=True).dt.tz_convert("Asia/Tokyo"))),
    ),
    "parquet timestamps": ("a.parquet", parquet(frame().assign(ts=pd.to_datetime(frame().ts, unit="ms", utc=True)))),
    "parquet texts": ("a.parquet", parquet(frame().astype({"ts": "str", "open": "str"}))),
    "binance klines": ("BTCUSDT-1m-2023-11.csv", binance()),
    "binance klines in microseconds": ("BTCUSDT-1m-2025-01.csv", binance(1000)),
    "binance klines with header": (
        "BTCUSDT-1m-2023-11.csv",
        b"open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
        b"taker_buy_quote_volume,ignore\n" + binance(),
    ),
    "zip": ("BTCUSDT-1m-2023-11.zip", zipped("BTCUSDT-1m-2023-11.csv", binance())),
    "zipped parquet": ("a.zip", zipped("a.parquet", parquet(frame()))),
    "gzip": ("a.csv.gz", gzip.compress(text(frame()))),
    "gzipped parquet": ("a.parquet.gz", gzip.compress(parquet(frame()))),
}


@pytest.mark.parametrize("form", EVERY_FORM)
def test_every_form_gives_the_same_rows(tmp_path, form):
    assert read_rows(file(tmp_path, *EVERY_FORM[form])).tolist() == [list(row) for row in ROWS]


@pytest.mark.parametrize("name", ["taker_volume", "taker_buy_volume", "taker_base", "taker_buy_base_asset_volume"])
def test_taker_volume_is_known_by_its_usual_names(tmp_path, name):
    rows = read_rows(file(tmp_path, "a.csv", text(frame(taker_volume=name))))
    assert rows[:, 6].tolist() == [row[6] for row in ROWS]


def test_without_taker_volume_it_is_unknown(tmp_path):
    rows = read_rows(file(tmp_path, "a.csv", text(frame()[NAMES[:6]])))
    assert rows.shape == (30, 7)
    assert np.isnan(rows[:, 6]).all()


def test_candles_come_out_as_candles(tmp_path):
    candles = read_candles(file(tmp_path, "a.csv", text(frame())))
    assert len(candles) == 30
    assert candles.ts.dtype == np.int64
    assert candles.high.tolist() == [row[2] for row in ROWS]
    assert candles.taker_volume.tolist() == [row[6] for row in ROWS]


def test_order_is_put_right_and_the_last_of_two_rows_of_one_time_counts(tmp_path):
    shuffled = frame().sample(frac=1, random_state=1)
    twice = pd.concat([shuffled.assign(close=shuffled.close - 0.5), shuffled])
    candles = read_candles(file(tmp_path, "a.csv", text(twice)))
    assert candles.ts.tolist() == [row[0] for row in ROWS]
    assert candles.close.tolist() == [row[4] for row in ROWS]


def test_rows_nobody_should_believe_are_handed_on(tmp_path):
    odd = frame()
    odd.loc[3, "close"] = np.nan
    odd.loc[4, "low"] = -1.0
    odd.loc[5, "high"] = np.inf
    rows = read_rows(file(tmp_path, "a.csv", text(odd)))
    assert len(rows) == 30
    assert np.isnan(rows[3, 4])
    assert rows[4, 3] == -1.0
    assert np.isinf(rows[5, 2])


def test_missing_minutes_stay_missing(tmp_path):
    candles = read_candles(file(tmp_path, "a.csv", text(frame().drop(index=[4, 5, 6]))))
    assert np.diff(candles.ts).max() == 4 * MINUTE_MS


def test_a_folder_is_one_series(tmp_path):
    file(tmp_path, "2.csv", text(frame()[10:22]))
    file(tmp_path, "1.zip", zipped("x.csv", text(frame()[:12])))
    file(tmp_path, "3.parquet", parquet(frame()[20:]))
    file(tmp_path, "1.zip.CHECKSUM", b"not a candle")
    assert read_candles(tmp_path).ts.tolist() == [row[0] for row in ROWS]
    assert len(read_rows([tmp_path / "2.csv", tmp_path / "3.parquet"])) == 22


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_rows_come_in_chunks_of_bounded_size(tmp_path, name):
    n = 5_000
    big = pd.DataFrame({"ts": START + MINUTE_MS * np.arange(n), **dict.fromkeys(NAMES[1:], 1.5)})
    path = file(tmp_path, name, text(big) if name.endswith("csv") else parquet(big))
    sizes = [len(rows) for rows in iter_rows(path, chunk_rows=700)]
    assert max(sizes) <= 700
    assert sum(sizes) == n


BROKEN = {
    "empty": ("a.csv", b"", "the file is empty"),
    "empty parquet": ("a.parquet", b"", "the file is empty"),
    "only a header": ("a.csv", text(frame()[:0]), "holds no candle"),
    "parquet without rows": ("a.parquet", parquet(frame()[:0]), "holds no candle"),
    "half a parquet file": ("a.parquet", parquet(frame())[:900], "cannot be read as parquet"),
    "the other half": ("a.parquet", parquet(frame())[900:], "cannot be read as parquet"),
    "text named parquet": ("a.parquet", text(frame()), "cannot be read as parquet"),
    "bytes named csv": ("a.csv", parquet(frame()), "."),
    "prose": ("a.csv", b"Dear customer,\nyour export is not ready yet.\n", "lacks a time, open, high, low"),
    "a web page": ("a.csv", b"<!DOCTYPE html><html><body>502</body></html>", "lacks a time, open"),
    "not a zip": ("a.zip", text(frame()), "cannot be read as zip"),
    "half a zip": ("a.zip", zipped("a.csv", binance() * 50)[:300], "cannot be read as zip"),
    "a zip of something else": ("a.zip", zipped("a.txt", b"hello"), "the archive holds no table"),
    "an empty file in a zip": ("a.zip", zipped("a.csv", b""), "lacks a time"),
    "not a gzip": ("a.csv.gz", text(frame()), "cannot be read as gz"),
    "half a gzip": ("a.csv.gz", gzip.compress(binance())[:200], "cannot be read as gz"),
    "no volume": ("a.csv", text(frame()[NAMES[:5]]), "lacks volume among its columns 'ts, open, high, low, close'"),
    "no time": ("a.csv", text(frame(ts="moment")), "lacks a time among"),
    "semicolons": ("a.csv", text(frame(), sep=";"), "lacks a time, open"),
    "no header": ("a.csv", text(frame(), header=False), "has no header and 7 columns; expected"),
    "words for numbers": ("a.csv", text(frame().assign(close="n.a. soon")), "cannot be read as csv .*n.a. soon"),
    "words for numbers in parquet": ("a.parquet", parquet(frame().assign(low="soon")), "column 'low' does not hold"),
    "a row too short": ("a.csv", text(frame()) + b"1,2,3\n", "cannot be read as csv"),
    "row numbers for times": ("a.csv", text(frame().assign(ts=range(30))), "the time 0.* is not s, ms or us"),
    "minutes for times": ("a.csv", text(frame().assign(ts=frame().ts // MINUTE_MS)), "is not s, ms or us"),
    "times of the far future": ("a.csv", text(frame().assign(ts=frame().ts * 5)), "is not s, ms or us"),
    "words for times": ("a.csv", text(frame().assign(ts="yesterday")), "the time 'yesterday' cannot be read"),
    "a missing time": ("a.csv", text(frame().replace({"ts": {START: None}})), "time"),
    "a missing time in parquet": ("a.parquet", parquet(frame().replace({"ts": {START: None}})), "time"),
    "times that are no times": ("a.parquet", parquet(frame().assign(ts=True)), "its times are of type bool"),
    "five-minute candles": ("a.csv", text(frame().assign(ts=START + 5 * (frame().ts - START))), "are 5m apart"),
    "one-second candles": ("a.csv", text(frame().assign(ts=START + (frame().ts - START) // 60)), "are 1s apart"),
    "a spreadsheet": ("a.xlsx", b"PK", "expected a name that ends in .parquet, .csv, .zip, .gz"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_bad_file_is_refused_in_one_line_that_names_it(tmp_path, case):
    name, content, told = BROKEN[case]
    path = file(tmp_path, name, content)
    with pytest.raises(InputFileError, match=told) as caught:
        read_candles(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.isprintable()
    assert len(message) < len(str(path)) + 450


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputFileError, match=r"gone\.csv: no such file or folder"):
        read_candles(tmp_path / "gone.csv")
    with pytest.raises(InputFileError, match="holds no file of candles"):
        read_candles(tmp_path)


@pytest.mark.parametrize("form", ["csv", "parquet", "zip", "gzip", "zipped parquet"])
def test_damaged_bytes_are_refused_or_read_and_nothing_else(tmp_path, form):
    name, content = EVERY_FORM[form]
    rng = np.random.default_rng(5)
    for _ in range(60):
        damaged = bytearray(content)
        for position in rng.integers(0, len(content), 3):
            damaged[position] ^= 1 << int(rng.integers(8))
        path = file(tmp_path, name, bytes(damaged))
        try:
            rows = read_rows(path)
        except InputFileError as error:
            assert str(error).isprintable()
        else:
            assert rows.shape[1] == 7


def candles() -> Candles:
    return Candles.of(*np.array(ROWS).T)


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "out.parquet"
    write_candles(path, candles())
    assert pq.read_schema(path).names == NAMES
    assert pq.read_schema(path).field("ts").type == pa.int64()
    assert read_rows(path).tolist() == [list(row) for row in ROWS]
    assert [one.name for one in tmp_path.iterdir()] == ["out.parquet"]


def test_a_file_is_replaced_only_when_asked(tmp_path):
    path = file(tmp_path, "out.parquet", b"precious")
    with pytest.raises(InputFileError, match="exists already; expected a new name, or --force"):
        write_candles(path, candles())
    assert path.read_bytes() == b"precious"
    write_candles(path, candles(), force=True)
    assert len(read_candles(path)) == 30


def test_a_folder_that_cannot_be_written_to_is_a_disk_error_and_leaves_nothing(tmp_path):
    with pytest.raises(DiskError, match="cannot be written"):
        write_candles(tmp_path / "missing" / "out.parquet", candles())
    (tmp_path / "taken.parquet").mkdir()
    with pytest.raises(DiskError, match="cannot be written"):
        write_candles(tmp_path / "taken.parquet", candles(), force=True)
    assert [one.name for one in tmp_path.iterdir()] == ["taken.parquet"]


def test_a_tape_is_read_from_a_folder(tmp_path):
    file(tmp_path, "BTCUSDT-1m-2023-11.csv", text(frame()[:20]))
    file(tmp_path, "BTCUSDT-1m-2023-12.csv", text(frame()[20:]))
    file(tmp_path, "ETH-USDT.parquet", parquet(frame()[5:]))
    file(tmp_path, "DOGE-USDT.parquet", parquet(frame()))
    other = file(tmp_path, "other.csv", text(frame()[:9]))
    tape = read_tape(tmp_path, {"XMR/USDT": other}, ["BTC/USDT", "ETH/USDT"])
    assert {symbol: len(one.candles) for symbol, one in tape.series.items()} == {
        "BTC/USDT": 30,
        "ETH/USDT": 25,
        "XMR/USDT": 9,
    }
    assert (tape.start_ms, tape.end_ms) == (START, START + 30 * MINUTE_MS)
