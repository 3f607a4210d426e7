"""Which symbol a file belongs to is told from its name, or said outright; it is never guessed."""

from pathlib import Path

import pytest

from core.adapters.markets.files import map_files
from core.errors import InputFileError

SYMBOLS = ["BTC/USDT:USDT", "ETH/USDT:USDT", "1000PEPE/USDT:USDT"]


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("binance_BTCUSDT_1m_2023-01_2024-01.parquet", "BTC/USDT:USDT"),
        ("BTCUSDT-1m-2023-01.zip", "BTC/USDT:USDT"),
        ("BTC-USDT.parquet", "BTC/USDT:USDT"),
        ("btc_usdt.csv", "BTC/USDT:USDT"),
        ("BTC_USDT_USDT-1m.csv.gz", "BTC/USDT:USDT"),
        ("bitget_BTCUSDT-USDT_1m.parquet", "BTC/USDT:USDT"),
        ("eth usdt.csv", "ETH/USDT:USDT"),
        ("1000PEPEUSDT-1m-2023-01.csv", "1000PEPE/USDT:USDT"),
    ],
)
def test_usual_names_are_understood(tmp_path, name, symbol):
    touch(tmp_path, name)
    assert map_files(tmp_path / name, None, SYMBOLS) == {symbol: [tmp_path / name]}
    assert map_files(tmp_path, None, SYMBOLS) == {symbol: [tmp_path / name]}


def test_the_nearest_folder_that_names_a_symbol_speaks_where_the_file_does_not(tmp_path):
    touch(tmp_path, "spot/BTCUSDT/1m/2023-02.zip", "spot/BTCUSDT/1m/2023-01.zip", "spot/ETHUSDT/1m/2023-01.zip")
    assert map_files(tmp_path, None, SYMBOLS) == {
        "BTC/USDT:USDT": [tmp_path / "spot/BTCUSDT/1m/2023-01.zip", tmp_path / "spot/BTCUSDT/1m/2023-02.zip"],
        "ETH/USDT:USDT": [tmp_path / "spot/ETHUSDT/1m/2023-01.zip"],
    }


def test_the_folder_handed_in_may_be_the_symbols_own(tmp_path):
    touch(tmp_path, "BTC-USDT/2023.csv")
    assert list(map_files(tmp_path / "BTC-USDT", None, SYMBOLS)) == ["BTC/USDT:USDT"]


def test_a_longer_spelling_wins(tmp_path):
    touch(tmp_path, "BTC-USDT-USDT.csv", "BTC-USDC.csv")
    symbols = ["BTC/USDT", "BTC/USDT:USDT", "BTC/USDC"]
    assert set(map_files(tmp_path, None, symbols)) == {"BTC/USDT:USDT", "BTC/USDC"}


def test_part_of_a_word_is_not_a_symbol(tmp_path):
    touch(tmp_path, "bitfinex_WBTCUSDT_1m.csv", "BTCUSDTX.csv")
    with pytest.raises(InputFileError, match="holds none of the symbols"):
        map_files(tmp_path, None, SYMBOLS)


@pytest.mark.parametrize(
    ("name", "symbols"), [("BTCUSDT.csv", ["BTC/USDT", "BTC/USDT:USDT"]), ("BTCUSDT_ETHUSDT.csv", SYMBOLS)]
)
def test_a_name_of_two_readings_is_refused(tmp_path, name, symbols):
    touch(tmp_path, name)
    with pytest.raises(InputFileError, match=r"may stand for .* or .*; name it with --symbol, or .*replay\.files"):
        map_files(tmp_path, None, symbols)


def test_a_name_that_says_nothing_is_refused_with_the_ways_to_say_it(tmp_path):
    touch(tmp_path, "BTCUSDT.csv", "candles.csv")
    with pytest.raises(InputFileError, match=r"candles\.csv: its name holds none of .*BTC/USDT:USDT.* --symbol, or "):
        map_files(tmp_path, None, SYMBOLS)


def test_files_of_other_symbols_can_be_passed_over_if_some_are_known(tmp_path):
    touch(tmp_path, "DOGEUSDT.csv")
    with pytest.raises(InputFileError, match="DOGEUSDT"):
        map_files(tmp_path, None, SYMBOLS, skip_others=True)
    touch(tmp_path, "BTCUSDT.csv")
    assert list(map_files(tmp_path, None, SYMBOLS, skip_others=True)) == ["BTC/USDT:USDT"]


def test_the_table_speaks_first(tmp_path):
    touch(tmp_path, "BTCUSDT.csv", "more/a.csv", "more/b.csv", "ETHUSDT.csv")
    table = {"BTC/USDC": tmp_path / "BTCUSDT.csv", "X/USDT": str(tmp_path / "more")}
    assert map_files(tmp_path, table, SYMBOLS) == {
        "BTC/USDC": [tmp_path / "BTCUSDT.csv"],
        "X/USDT": [tmp_path / "more/a.csv", tmp_path / "more/b.csv"],
        "ETH/USDT:USDT": [tmp_path / "ETHUSDT.csv"],
    }


def test_the_table_alone_is_enough(tmp_path):
    touch(tmp_path, "one.csv")
    assert map_files(None, {"BTC/USDT": tmp_path / "one.csv"}, []) == {"BTC/USDT": [tmp_path / "one.csv"]}


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(InputFileError, match=r"gone: no such file or folder"):
        map_files(tmp_path / "gone", None, SYMBOLS)
    with pytest.raises(InputFileError, match=r"lost\.csv: no such file or folder"):
        map_files(None, {"BTC/USDT": tmp_path / "lost.csv"}, SYMBOLS)
