"""A tape answers like an exchange at its own time: what has closed, the forming candle, and nothing later."""

import asyncio
import time

import numpy as np
import pytest

from core.adapters.markets.replay import ReplayMarket, Series, Tape
from core.adapters.markets.synthetic import make_tape
from core.clock import HOUR_MS, MINUTE_MS
from core.errors import ConfigError, InputFileError, UnknownSymbol
from core.indicators.resample import resample
from core.ports import Market
from core.schema import Candles, Instrument

START = 1_700_006_400_000  # a whole hour
BTC = "BTC/USDT:USDT"


def minutes(*positions: int, taker: bool = False) -> Candles:
    """Candles at the given minutes, minute k opening at 100 + k with a volume of k + 1."""
    k = np.asarray(positions, dtype=float)
    return Candles.of(
        START + MINUTE_MS * np.asarray(positions), 100 + k, 102 + k, 99 + k, 101 + k, k + 1, k / 2 if taker else None
    )


def market(candles: Candles, **settings) -> ReplayMarket:
    return ReplayMarket(Tape.of({BTC: candles}), **settings)


async def times(replay: ReplayMarket, since_minute: int = 0, limit: int = 1000, timeframe: str = "1m") -> list[int]:
    rows = await replay.fetch_ohlcv(BTC, timeframe, START + since_minute * MINUTE_MS, limit)
    return [int(ts - START) // MINUTE_MS for ts in rows[:, 0]]


def test_it_is_a_market():
    assert isinstance(market(minutes(0)), Market)
    assert market(minutes(0)).live is False


async def test_the_clock_starts_at_the_first_candle_and_steps_to_the_end_of_the_tape():
    replay = market(minutes(*range(3)))
    assert replay.now_ms() == START
    assert [await replay.advance() for _ in range(4)] == [START + k * MINUTE_MS for k in (1, 2, 3)] + [None]
    assert replay.now_ms() == START + 3 * MINUTE_MS


async def test_longer_steps_stop_on_their_grid_and_at_the_end():
    replay = market(minutes(*range(100)), start_ms=START + 7 * MINUTE_MS, step_ms=HOUR_MS)
    assert [await replay.advance() for _ in range(3)] == [START + 60 * MINUTE_MS, START + 100 * MINUTE_MS, None]


async def test_a_span_is_cut_to_the_tape():
    replay = market(minutes(*range(5)), start_ms=0, end_ms=START + 2 * MINUTE_MS)
    assert replay.now_ms() == START
    assert [await replay.advance() for _ in range(3)] == [START + MINUTE_MS, START + 2 * MINUTE_MS, None]


async def test_a_replay_that_begins_at_the_end_is_over():
    assert await market(minutes(0, 1), start_ms=START + 2 * MINUTE_MS).advance() is None


async def test_an_answer_holds_the_closed_candles_and_the_forming_one_by_its_open_alone():
    replay = market(minutes(*range(5), taker=True), start_ms=START + 2 * MINUTE_MS)
    rows = await replay.fetch_ohlcv(BTC, "1m", START, 10)
    assert rows.tolist() == [
        [START, 100, 102, 99, 101, 1, 0],
        [START + MINUTE_MS, 101, 103, 100, 102, 2, 0.5],
        [START + 2 * MINUTE_MS, 102, 102, 102, 102, 0, 0],
    ]


async def test_between_two_minutes_the_candle_that_opened_is_still_forming():
    replay = market(minutes(*range(5)), start_ms=START + MINUTE_MS + 30_000)
    rows = await replay.fetch_ohlcv(BTC, "1m", START, 10)
    assert rows[:, 0].tolist() == [START, START + MINUTE_MS]
    assert rows[-1].tolist() == [START + MINUTE_MS, 101, 101, 101, 101, 0]


async def test_no_row_of_any_answer_depends_on_a_later_minute():
    tape = make_tape("walk", [BTC], START, 2, seed=3)
    run = tape.series[BTC].candles
    now = START + 777 * MINUTE_MS
    known = run.between(None, now)
    last = run.between(now, now + MINUTE_MS)
    other = Candles.concat(
        [known, Candles.of(last.ts, last.open, last.open * 2, last.open / 2, last.open * 1.5, [9.0], [1.0])]
    )
    for timeframe in ("1m", "5m", "1h", "4h"):
        whole, cut = [
            await ReplayMarket(Tape.of({BTC: candles}), start_ms=now).fetch_ohlcv(BTC, timeframe, START, 1000)
            for candles in (run, other)
        ]
        np.testing.assert_array_equal(whole, cut)


async def test_missing_minutes_are_absent():
    replay = market(minutes(0, 1, 5, 6), start_ms=START + 6 * MINUTE_MS)
    assert await times(replay) == [0, 1, 5, 6]
    assert await times(replay, since_minute=2) == [5, 6]


async def test_a_missing_minute_has_no_forming_candle():
    assert await times(market(minutes(0, 1, 5, 6), start_ms=START + 3 * MINUTE_MS)) == [0, 1]


async def test_pages_are_cut_to_the_limit_and_to_the_markets_own():
    replay = market(minutes(*range(50)), start_ms=START + 40 * MINUTE_MS, page_limit=4)
    assert await times(replay, 10, limit=3) == [10, 11, 12]
    assert await times(replay, 10, limit=100) == [10, 11, 12, 13]
    assert await times(replay, 39, limit=100) == [39, 40]
    assert await times(replay, 41) == []
    assert await times(replay, 10, limit=0) == []


async def test_longer_candles_are_made_of_the_minutes_that_have_closed():
    replay = market(minutes(*range(200)), start_ms=START + 70 * MINUTE_MS)
    rows = await replay.fetch_ohlcv(BTC, "1h", START - 5 * MINUTE_MS, 10)
    assert rows.tolist() == [
        [START, 100, 161, 99, 160, sum(range(1, 61))],
        [START + HOUR_MS, 160, 171, 159, 170, sum(range(61, 71))],
    ]
    closed = resample(minutes(*range(200)), HOUR_MS, START, START + HOUR_MS)
    assert rows[0, 1:5].tolist() == [closed.open[0], closed.high[0], closed.low[0], closed.close[0]]


async def test_longer_candles_after_a_long_hole_are_found():
    replay = market(minutes(0, 600, 601), start_ms=START + 602 * MINUTE_MS)
    assert await times(replay, 1, limit=1, timeframe="5m") == [600]


async def test_every_symbol_is_listed_under_the_name_the_rows_are_recorded_under():
    known = Instrument("elsewhere", BTC, tick=0.1, lot=0.001, min_notional=5.0)
    tape = Tape.of({BTC: minutes(0), "ETH/USDT:USDT": minutes(7)}, instruments={BTC: known})
    listed = await ReplayMarket(tape, exchange="bitget").load_markets()
    assert listed == {
        BTC: Instrument("bitget", BTC, 0.1, 0.001, 5.0),
        "ETH/USDT:USDT": Instrument("bitget", "ETH/USDT:USDT"),
    }


async def test_a_symbol_that_is_not_on_the_tape_is_answered_with_the_nearest():
    with pytest.raises(UnknownSymbol, match=r"symbol 'BTC/USDT': not on the tape; did you mean 'BTC/USDT:USDT'\?"):
        await market(minutes(0)).fetch_ohlcv("BTC/USDT", "1m", START, 10)


async def test_funding_is_told_up_to_now_and_none_where_nothing_was_recorded():
    rates = np.array([[START - 1, 1e-4], [START + MINUTE_MS, 2e-4], [START + 2 * MINUTE_MS, 3e-4]])
    tape = Tape(
        {
            BTC: Series(minutes(*range(9)), Instrument("", BTC), rates),
            "X/USDT": Series(minutes(0), Instrument("", "X/USDT")),
        }
    )
    replay = ReplayMarket(tape, start_ms=START + MINUTE_MS)
    told = await replay.fetch_funding(BTC, START, 10)
    assert told is not None
    assert told.tolist() == [[START + MINUTE_MS, 2e-4]]
    told[:] = 0
    assert rates[1, 1] == 2e-4
    assert await replay.fetch_funding("X/USDT", START, 10) is None
    await replay.close()


async def test_the_pace_is_market_seconds_a_second():
    replay = market(minutes(*range(20)), speed=60_000.0)
    began = time.monotonic()
    while await replay.advance() is not None:
        pass
    assert time.monotonic() - began >= 0.020


async def test_a_slow_caller_is_not_kept_waiting_as_well(monkeypatch: pytest.MonkeyPatch):
    replay, now_s, waits = market(minutes(*range(20)), speed=6_000.0), 5.0, []  # 10 ms a step

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("core.adapters.markets.replay.monotonic_s", lambda: now_s)
    monkeypatch.setattr(asyncio, "sleep", wait)
    await replay.advance()
    now_s += 0.06
    for _ in range(5):
        await replay.advance()
    assert waits[1:] == pytest.approx([0.0] * 5, abs=1e-9)
    await replay.advance()
    await replay.advance()
    assert waits[-2:] == pytest.approx([0.01, 0.02])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"start_ms": START + 3 * MINUTE_MS}, "exchange.replay.start"),
        ({"speed": -1.0}, "exchange.replay.speed"),
        ({"speed": float("nan")}, "exchange.replay.speed"),
        ({"step_ms": 1000}, "exchange.replay.step"),
        ({"step_ms": 90_000}, "exchange.replay.step"),
    ],
)
def test_impossible_settings_name_their_key(settings, told):
    with pytest.raises(ConfigError, match=told):
        market(minutes(0, 1), **settings)


def test_a_tape_without_a_candle_is_refused():
    with pytest.raises(InputFileError, match="holds no candle"):
        Tape.of({BTC: Candles.empty()})


async def test_steps_of_any_length_end_with_the_same_rows():
    tape = make_tape("walk", [BTC], START, 1, seed=5)
    answers = []
    for step_ms in (MINUTE_MS, 7 * MINUTE_MS, HOUR_MS):
        replay = ReplayMarket(tape, step_ms=step_ms, page_limit=10_000)
        while await replay.advance() is not None:
            pass
        answers.append(await replay.fetch_ohlcv(BTC, "1m", START, 10_000))
    assert len(answers[0]) == 1440
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])
