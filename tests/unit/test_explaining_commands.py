"""why, whynot, funnel and reliability as a user types them: text and 0, or one line and a stable exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine import trader, write_config
from tests.explained import BTC, END_MS, TIMEFRAME, World, write_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("commands"))


def said(world: World, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = trader(world.config, *arguments)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("arguments", "begins", "holds"),
    [
        (("why", "1"), "SYNTHETIC #1 ", "What became of it"),
        (("why", "#44"), "SYNTHETIC #44 ", "How likely"),
        (("whynot", BTC, TIMEFRAME), f"SYNTHETIC {BTC} {TIMEFRAME}, close of 2024-01-25 00:00 UTC", "fibo_avwap found"),
        (("whynot", BTC, TIMEFRAME, "2024-01-20T03:07"), f"SYNTHETIC {BTC} {TIMEFRAME}, close of 2024-01-20 03", "leg"),
        (("whynot", BTC, TIMEFRAME, str(END_MS)), f"SYNTHETIC {BTC} {TIMEFRAME}, close of 2024-01-25", "fibo_avwap"),
        (("funnel",), "SYNTHETIC MARKET", "Closes looked at"),
        (("funnel", "--start", "2024-01-15", "--symbols", BTC), "SYNTHETIC MARKET", "28 live, 0 by scans of the past"),
        (("reliability", "--by", "month"), "SYNTHETIC MARKET", "By month of the decision, UTC"),
    ],
)
def test_a_command_prints_its_answer_on_lines_a_terminal_can_hold(
    arguments: tuple[str, ...], begins: str, holds: str, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = said(world, capsys, *arguments)
    assert code == 0
    assert out.startswith(begins)
    assert holds in out
    assert max(map(len, out.splitlines())) <= 130
    assert not set("<>") & set(out)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("why", "999"), "signal #999 is not on record; the newest is #44"),
        (("why", "first"), "signal 'first': expected its number, such as 12 or #12"),
        (("whynot", "BTC/USDT", TIMEFRAME), "did you mean 'BTC/USDT:USDT'?"),
        (("whynot", BTC, "15x"), "timeframe '15x': expected a number and m, h, d or w"),
        (("whynot", BTC, TIMEFRAME, "2030-01-01"), "lies ahead: the market's time is 2024-01-25 00:00 UTC"),
        (("whynot", BTC, TIMEFRAME, "2020-01-01"), "lies before the candles of BTC/USDT:USDT 15m"),
        (("whynot", BTC, TIMEFRAME, "1783128000000000"), "TIME 1783128000000000: expected a moment from 1970 to 2099"),
        (("whynot", BTC, TIMEFRAME, "9" * 20), "expected a moment from 1970 to 2099"),
        (("whynot", BTC, TIMEFRAME, "noon"), "time 'noon': expected a date such as"),
        (("funnel", "--symbols", "BTC"), "symbol 'BTC' is not in the configuration; did you mean 'BTC/USDT:USDT'?"),
        (
            ("funnel", "--start", "2024-02-01", "--end", "2024-01-01"),
            "--start 2024-02-01 is not before --end 2024-01-01",
        ),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_64(
    arguments: tuple[str, ...], told: str, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = said(world, capsys, *arguments)
    assert (code, out, err.count("\n")) == (64, "", 1)
    assert err.startswith("error: ")
    assert told in err


def test_an_unknown_split_is_answered_with_the_nearest(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        trader(world.config, "reliability", "--by", "mont")
    assert ended.value.code == 64
    assert "'mont' is not known; did you mean 'month'?" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("why", "1"), ("whynot", BTC, "1h"), ("funnel",), ("reliability",)])
def test_without_a_database_nothing_is_created(
    arguments: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, {"app": {"log_level": "ERROR"}})
    assert trader(config, *arguments) == 4
    assert "does not exist; create it with" in capsys.readouterr().err
    assert not (tmp_path / "ohlcv.db").exists()
