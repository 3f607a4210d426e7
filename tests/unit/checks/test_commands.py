"""The commands: what they print, how they end, what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.checks._subjects import Subject
from core.checks.lookahead import Leak
from core.checks.warmup import ColdStart
from core.cli import checks
from core.clock import parse_time
from core.errors import TraderError
from core.schema import Candles
from tests.engine import trader, write_config

HOUR = parse_time("2024-01-01T10:00")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, {"symbols": ["BTC/USDT:USDT"], "timeframes": ["1h"], "notify": {"console": False}})


@pytest.mark.parametrize(("action", "parts"), [("lookahead", 12), ("warmup", 8)])
def test_generated_candles_are_checked_without_a_database(
    config: Path, capsys: pytest.CaptureFixture[str], action: str, parts: int
) -> None:
    assert trader(config, "check", action, "--synthetic", "--timeframes", "1h", "--cuts", "3") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == parts
    assert lines[0] == "fibo_avwap          1 series, 3 cuts each: clean"
    assert "features.trend      1 series, 3 cuts each: clean" in lines
    assert any(line.startswith("features.outcomes ") for line in lines) == (action == "lookahead")
    assert not list(config.parent.glob("*.db*"))


def test_without_a_database_the_way_out_is_named(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trader(config, "check", "lookahead") == 4
    assert trader(config, "parity") == 4
    assert trader(config, "init-db") == 0
    capsys.readouterr()
    assert trader(config, "check", "warmup") == 1
    assert "--synthetic" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["check", "lookahaed"], "did you mean 'lookahead'?"),
        (["check", "warmup", "--symbols", "BTC/USDT:USDC", "--synthetic"], "did you mean 'BTC/USDT:USDT'?"),
        (["check", "warmup", "--timeframes", "2h", "--synthetic"], "timeframe '2h'"),
        (["check", "warmup", "--cuts", "0"], "at least 1"),
    ],
)
def test_what_is_not_known_is_answered_with_what_is_near(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    try:
        code = trader(config, *arguments)
    except SystemExit as end:
        code = int(str(end.code))
    assert code == 64
    assert told in capsys.readouterr().err


def subject(name: str = "early", warmup: int = 50) -> Subject:
    return Subject(name, "BTC/USDT 1h", lambda candles: {}, Candles.empty(), warmup)


def test_a_leak_ends_with_code_1_and_names_setup_field_candle_and_both_values(
    capsys: pytest.CaptureFixture[str],
) -> None:
    leaks = [Leak("future removed", HOUR, "entry", HOUR, 101.5, 99.0)] * 12
    with pytest.raises(TraderError, match="check lookahead: 12 values look ahead; the first: early BTC") as error:
        checks._ended("lookahead", [(subject(), leak) for leak in leaks])
    assert error.value.exit_code == 1
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 11 and told[-1] == "  and 2 more"
    assert told[0] == (
        "  early BTC/USDT 1h: entry of candle 2024-01-01 10:00 UTC is 101.5,"
        " and 99.0 when cut after 2024-01-01 10:00 UTC (future removed)"
    )


def test_a_cold_start_says_how_many_candles_were_not_enough(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TraderError, match="1 values depend on older candles"):
        checks._ended("warmup", [(subject(), ColdStart(HOUR, "atr", HOUR, 2.0, 3.0))])
    assert "atr of candle 2024-01-01 10:00 UTC is 2.0, and 3.0 after 50 candles of warm-up" in capsys.readouterr().out


def test_a_feature_is_told_with_its_candidate(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TraderError, match="check lookahead: 1 values look ahead"):
        leak = Leak("another future", HOUR, "ctx_btc_ret_1", HOUR, 0.5, 0.7, "long 34680.2")
        checks._ended("lookahead", [(subject("features.context"), leak)])
    assert "features.context BTC/USDT 1h: ctx_btc_ret_1 of long 34680.2 at candle 2024" in capsys.readouterr().out


def test_a_part_whose_every_series_is_too_short_does_not_count_as_proven(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--synthetic", "--timeframes", "4h", "--cuts", "1"]
    changed = write_config(
        config.parent,
        {"symbols": ["BTC/USDT:USDT"], "signals": {"lookback_candles": 2_000}, "notify": {"console": False}},
    )
    assert trader(changed, "check", "warmup", *asked) == 1
    out, err = capsys.readouterr()
    assert err == "error: check warmup: no series is longer than the warm-up of fibo_avwap; not compared\n"
    assert "features.trend      1 series, 1 cuts each: clean" in out
    assert trader(changed, "check", "lookahead", *asked) == 0
    assert "fibo_avwap          1 series, 1 cuts each: clean" in capsys.readouterr().out
