"""Sync against a market whose answers a test decides."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.clock import MINUTE_MS
from core.config import Config, load_config
from core.errors import MarketUnavailable, StoreError, UnknownSymbol
from core.ingest.breaker import Board
from core.ingest.traffic import read_traffic
from core.jobs import funding, sync
from core.jobs._desk import Desk, Report
from core.ports import Traffic
from core.schema import Instrument
from core.store.writer import Writer
from tests.idle import skipping_idle_time

ROOT = Path(__file__).resolve().parents[2]
START_MS = 1_704_067_200_000  # the start date of the shipped configuration
BTC, ETH, SOL = "BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT"
HOUR_MS = 60 * MINUTE_MS


class FakeMarket:
    """Knows every minute's candle; shows those that closed and the forming one, but for what a test hides."""

    exchange, synthetic, live = "fake", False, False

    def __init__(self, symbols: tuple[str, ...] = (BTC,), now_ms: int = START_MS) -> None:
        self.now = now_ms
        self.symbols = symbols
        self.hidden: dict[str, set[int]] = {symbol: set() for symbol in symbols}
        self.price: dict[tuple[str, int], float] = {}
        self.spoil: Callable[[str, np.ndarray], np.ndarray] = lambda _symbol, rows: rows
        self.rates: dict[str, np.ndarray | None] = {}
        self.requests: list[tuple[str, int, int]] = []
        self.calls: Counter[str] = Counter()
        self.listed: tuple[str, ...] | None = None
        self.before: dict[str, Callable[[str], Awaitable[None]]] = {}

    def now_ms(self) -> int:
        return self.now

    async def advance(self) -> int | None:
        self.now += MINUTE_MS
        return self.now

    async def load_markets(self) -> dict[str, Instrument]:
        self.calls["load_markets"] += 1
        if "markets" in self.before:
            await self.before["markets"]("markets")
        listed = self.symbols if self.listed is None else self.listed
        return {symbol: Instrument(self.exchange, symbol, 0.1, 0.001, 5.0) for symbol in listed}

    async def fetch_ohlcv(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> np.ndarray:
        self.requests.append((symbol, since_ms, limit))
        if symbol in self.before:
            await self.before[symbol](symbol)
        if symbol not in self.symbols:
            raise UnknownSymbol(f"fake: symbol '{symbol}' is not traded there")
        ts = np.arange(max(since_ms, START_MS), self.now + 1, MINUTE_MS)
        ts = ts[~np.isin(ts, list(self.hidden[symbol]))][:limit]
        close = np.array([self.price_at(symbol, int(one)) for one in ts])
        rows = np.column_stack((ts, close, close + 1, close - 1, close, np.full(len(ts), 7.0)))
        return self.spoil(symbol, rows.reshape(-1, 6))

    async def fetch_funding(self, symbol: str, since_ms: int, limit: int) -> np.ndarray | None:
        self.calls["fetch_funding"] += 1
        if f"funding {symbol}" in self.before:
            await self.before[f"funding {symbol}"](symbol)
        rates = self.rates.get(symbol)
        if rates is None:
            return None
        return rates[(rates[:, 0] >= since_ms) & (rates[:, 0] <= self.now)][:limit]

    async def close(self) -> None:
        """Nothing is held."""

    def hide(self, symbol: str, *minutes: int) -> None:
        self.hidden[symbol] |= {START_MS + minute * MINUTE_MS for minute in minutes}

    def price_at(self, symbol: str, ts: int) -> float:
        return self.price.get((symbol, ts), 100.0 + len(symbol) + (ts // MINUTE_MS) % 17)


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(ROOT / "config.yaml", {})


def desk_on(market: FakeMarket, writer: Writer, config: Config) -> Desk:
    return Desk(
        config=config,
        market=market,
        writer=writer,
        reader=writer.reader,
        exchange=market.exchange,
        symbols=list(market.symbols),
        setups=[],
        exit_policy=None,  # type: ignore[arg-type]
        costs=None,  # type: ignore[arg-type]
        rules=None,  # type: ignore[arg-type]
        notifiers={},
        log=logging.getLogger("test"),
    )


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    with Writer(tmp_path / "ohlcv.db") as opened:
        yield opened


async def cycle(desk: Desk, minute: float, seconds: float = 2.0) -> Report:
    """Run sync at a minute after the start."""
    desk.market.now = START_MS + int(minute * MINUTE_MS + seconds * 1000)  # type: ignore[attr-defined]
    return await sync.run(desk, desk.market.now_ms())


def stored_minutes(desk: Desk, symbol: str = BTC) -> list[int]:
    ts = desk.reader.candles("fake", symbol, "1m").ts
    return ((ts - START_MS) // MINUTE_MS).tolist()


def frontier_minute(desk: Desk, symbol: str = BTC) -> float:
    found = desk.reader.frontier("fake", symbol, "1m")
    assert found is not None
    return (found - START_MS) / MINUTE_MS


def gap_states(desk: Desk, symbol: str = BTC) -> dict[int, str]:
    gaps = desk.reader.gaps("fake", symbol, "1m")
    return {(ts - START_MS) // MINUTE_MS: state for ts, state in zip(gaps["ts_ms"], gaps["state"], strict=True)}


async def test_a_cycle_stores_what_closed_and_not_what_is_forming(writer: Writer, config: Config) -> None:
    desk = desk_on(FakeMarket((BTC, ETH)), writer, config)
    report = await cycle(desk, 5)
    assert stored_minutes(desk, BTC) == stored_minutes(desk, ETH) == [0, 1, 2, 3, 4]
    assert frontier_minute(desk) == 5
    assert report.ok and report.counts["candles"] == 10
    await cycle(desk, 6)
    assert stored_minutes(desk) == [0, 1, 2, 3, 4, 5]
    assert set(desk.reader.instruments("fake")) == {BTC, ETH}


async def test_a_candle_that_forms_by_the_time_of_a_market_that_went_back_has_not_closed(
    writer: Writer, config: Config
) -> None:
    """The cycle keeps the time it had; at the market's own, its newest candle is still forming."""
    market = FakeMarket()
    desk = desk_on(market, writer, config)
    await cycle(desk, 5)
    market.now = START_MS + 5 * MINUTE_MS + 10_000
    market.price[BTC, START_MS + 5 * MINUTE_MS] = 999.0  # as it stands ten seconds after it has opened
    await sync.run(desk, START_MS + 7 * MINUTE_MS)
    assert stored_minutes(desk) == [0, 1, 2, 3, 4]
    market.price.clear()
    await cycle(desk, 7)
    assert stored_minutes(desk) == [0, 1, 2, 3, 4, 5, 6]
    assert 999.0 not in desk.reader.candles("fake", BTC, "1m").close


async def test_a_second_cycle_in_the_same_minute_asks_nobody(writer: Writer, config: Config) -> None:
    market = FakeMarket()
    desk = desk_on(market, writer, config)
    await cycle(desk, 5)
    asked = len(market.requests)
    assert (await cycle(desk, 5, seconds=30)).counts["candles"] == 0
    assert len(market.requests) == asked


async def test_the_overlap_is_asked_for_again(writer: Writer, config: Config) -> None:
    market = FakeMarket()
    desk = desk_on(market, writer, config)
    await cycle(desk, 50)
    market.requests.clear()
    await cycle(desk, 51)
    assert market.requests == [(BTC, START_MS + 47 * MINUTE_MS, 5)]


async def test_a_first_fill_takes_bounded_pages_a_cycle_and_goes_on(writer: Writer, config: Config) -> None:
    desk = desk_on(FakeMarket(), writer, config)
    reached = []
    for number in range(4):
        await cycle(desk, 5000 + number)
        reached.append(frontier_minute(desk))
    assert reached == [2000.0, 3997.0, 5002.0, 5003.0]
    assert stored_minutes(desk) == list(range(5003))


async def test_a_transaction_holds_at_most_twenty_thousand_rows(writer: Writer, config: Config) -> None:
    symbols = tuple(f"C{number}/USDT" for number in range(120))
    desk = desk_on(FakeMarket(symbols), writer, config)
    report = await cycle(desk, 3000)
    assert 0 < report.counts["candles"] <= 20_000


async def test_a_missing_minute_is_open_then_confirmed_and_holds_the_frontier(writer: Writer, config: Config) -> None:
    market = FakeMarket()
    market.hide(BTC, 7)
    desk = desk_on(market, writer, config)
    report = await cycle(desk, 10)
    assert gap_states(desk) == {7: "open"} and frontier_minute(desk) == 7
    assert report.counts["missing"] == 1
    await cycle(desk, 11)
    assert gap_states(desk) == {7: "confirmed"} and frontier_minute(desk) == 11
    assert 7 not in stored_minutes(desk)


async def test_a_gap_far_behind_is_looked_at_on_its_own(writer: Writer, config: Config) -> None:
    market = FakeMarket()
    market.hide(BTC, 7, 8, 9)
    desk = desk_on(market, writer, config)
    await cycle(desk, 100)
    assert frontier_minute(desk) == 7
    await cycle(desk, 101)
    assert gap_states(desk) == dict.fromkeys((7, 8, 9), "confirmed") and frontier_minute(desk) == 101


async def test_a_late_minute_fills_an_open_gap_without_a_rebuild(writer: Writer, config: Config) -> None:
    market = FakeMarket()
    market.hide(BTC, 7)
    desk = desk_on(market, writer, config)
    await cycle(desk, 10)
    market.hidden[BTC].clear()
    await cycle(desk, 11)
    assert gap_states(desk) == {7: "filled"} and frontier_minute(desk) == 11
    assert stored_minutes(desk) == list(range(11))
    assert not desk.reader.meta(f"rebuild:fake:{BTC}")


async def test_a_confirmed_gap_that_is_filled_later_is_a_revision(writer: Writer, config: Config) -> None:
    market = FakeMarket()
    market.hide(BTC, 7)
    desk = desk_on(market, writer, config)
    for minute in (10, 11):
        await cycle(desk, minute)
    market.hidden[BTC].clear()
    await cycle(desk, 20)
    assert gap_states(desk) == {7: "filled"}
    assert stored_minutes(desk) == list(range(20))
    assert desk.reader.meta(f"rebuild:fake:{BTC}") == str(START_MS + 7 * MINUTE_MS)
    assert desk.reader.revisions("fake", BTC, "1m")["ts_ms"].tolist() == [START_MS + 7 * MINUTE_MS]


async def test_other_values_of_a_stored_candle_are_stored_and_the_oldest_mark_stays(
    writer: Writer, config: Config
) -> None:
    market = FakeMarket()
    desk = desk_on(market, writer, config)
    await cycle(desk, 10)
    market.price[BTC, START_MS + 8 * MINUTE_MS] = 555.0
    report = await cycle(desk, 11)
    assert report.counts["revised"] == 1
    assert desk.reader.candles("fake", BTC, "1m").close[8] == 555.0
    mark = str(START_MS + 8 * MINUTE_MS)
    assert desk.reader.meta(f"rebuild:fake:{BTC}") == mark
    market.price[BTC, START_MS + 9 * MINUTE_MS] = 556.0
    await cycle(desk, 12)
    assert desk.reader.meta(f"rebuild:fake:{BTC}") == mark
    assert len(desk.reader.revisions("fake", BTC, "1m")) == 2


async def test_an_answer_without_a_later_candle_is_a_fault_and_moves_nothing(writer: Writer, config: Config) -> None:
    market = FakeMarket()
    desk = desk_on(market, writer, config)
    await cycle(desk, 10)
    market.spoil = lambda _symbol, rows: rows[:0]
    report = await cycle(desk, 12)
    assert not report.ok
    assert report.problems == (f"{BTC}: no candle later than 2024-01-01 00:09 UTC where one is due",)
    market.spoil = lambda _symbol, rows: rows[rows[:, 0] < START_MS + 10 * MINUTE_MS]
    assert not (await cycle(desk, 13)).ok
    assert frontier_minute(desk) == 10 and gap_states(desk) == {}


async def test_empty_answers_to_the_overlap_do_not_give_up_a_revision_in_it(writer: Writer, config: Config) -> None:
    market = FakeMarket()
    desk = desk_on(market, writer, config)
    await cycle(desk, 10)
    revised = START_MS + 9 * MINUTE_MS
    market.price[BTC, revised] = 777.0

    def only_to_who_asks_for_news(_symbol: str, rows: np.ndarray) -> np.ndarray:
        return rows[:0] if rows[0, 0] < START_MS + 10 * MINUTE_MS else rows

    plain, market.spoil = market.spoil, only_to_who_asks_for_news
    for minute in (11, 12, 13, 14):
        assert not (await cycle(desk, minute)).ok
    market.spoil = plain
    await cycle(desk, 15)
    assert desk.reader.candles("fake", BTC, "1m").close[9] == 777.0
    assert frontier_minute(desk) == 15


async def test_a_hole_longer_than_a_page_is_crossed(writer: Writer, config: Config) -> None:
    market = FakeMarket()
    market.hide(BTC, *range(50, 700))
    desk = desk_on(market, writer, config)
    await cycle(desk, 50)
    for minute in (800, 801, 802):
        await cycle(desk, minute)
    assert set(gap_states(desk).values()) == {"confirmed"} and len(gap_states(desk)) == 650
    assert frontier_minute(desk) == 802


async def test_one_symbol_s_failure_stops_no_other(writer: Writer, config: Config) -> None:
    market = FakeMarket((BTC, ETH, SOL))
    desk = desk_on(market, writer, config)

    def spoil(symbol: str, rows: np.ndarray) -> np.ndarray:
        if symbol == ETH:
            raise MarketUnavailable("fake ETH: down for maintenance")
        return rows

    market.spoil = spoil
    report = await cycle(desk, 10)
    assert report.problems == (f"{ETH}: fake ETH: down for maintenance",)
    assert stored_minutes(desk, BTC) == stored_minutes(desk, SOL) == list(range(10))
    assert stored_minutes(desk, ETH) == []
    market.spoil = lambda _symbol, rows: rows
    assert (await cycle(desk, 11)).ok
    assert stored_minutes(desk, ETH) == list(range(11))


async def test_a_vanished_symbol_is_switched_off_once_and_the_others_go_on(
    writer: Writer, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    market = FakeMarket((BTC, ETH))
    desk = desk_on(market, writer, config)
    await cycle(desk, 10)
    market.symbols = (BTC,)
    off_at = None
    with caplog.at_level(logging.WARNING):
        for minute in range(11, 80):
            report = await cycle(desk, minute)
            if report.counts["off"]:
                off_at = minute
    assert off_at is not None and 30 <= off_at - 11 <= 50
    assert desk.symbols == [BTC]
    assert desk.reader.symbols_off("fake")[["symbol", "reason"]].values.tolist() == [[ETH, "delisted"]]
    assert len([line for line in caplog.messages if "switched off" in line]) == 1
    assert stored_minutes(desk, BTC) == list(range(79)) and stored_minutes(desk, ETH) == list(range(10))


async def test_a_symbol_nobody_ever_heard_of_is_switched_off_at_once(writer: Writer, config: Config) -> None:
    desk = desk_on(FakeMarket((BTC,)), writer, config)
    desk.symbols = [BTC, "BTK/USDT:USDT"]
    report = await cycle(desk, 10)
    assert report.counts["off"] == 1 and desk.symbols == [BTC]
    assert "is not traded there" in desk.reader.symbols_off("fake")["reason"].item()


async def test_a_list_that_lacks_a_symbol_ends_nothing_while_its_candles_come(writer: Writer, config: Config) -> None:
    market = FakeMarket((BTC, ETH))
    desk = desk_on(market, writer, config)
    market.listed = (BTC,)
    for minute in range(10, 200):
        await cycle(desk, minute)
    assert desk.symbols == [BTC, ETH] and market.calls["load_markets"] > 10


async def test_an_empty_list_or_one_without_a_kind_ends_nothing(writer: Writer, config: Config) -> None:
    market = FakeMarket((BTC, ETH, "SOL/USDT"))
    desk = desk_on(market, writer, config)
    await cycle(desk, 10)
    market.listed = ("SOL/USDT",)  # the list of contracts came back empty, and contracts are not answered for either
    market.symbols = ("SOL/USDT",)
    for minute in range(11, 200):
        await cycle(desk, minute)
        market.listed = () if minute > 100 else market.listed
    assert desk.symbols == [BTC, ETH, "SOL/USDT"]


async def test_a_symbol_that_is_listed_again_in_between_is_counted_anew(writer: Writer, config: Config) -> None:
    market = FakeMarket((BTC, ETH))
    desk = desk_on(market, writer, config)
    await cycle(desk, 10)
    market.symbols = (BTC,)
    for minute in range(11, 200):
        market.listed = (BTC, ETH) if minute % 40 < 16 else (BTC,)
        await cycle(desk, minute)
    assert desk.symbols == [BTC, ETH]


async def test_a_symbol_gone_before_a_start_is_switched_off_after_it(writer: Writer, config: Config) -> None:
    market = FakeMarket((BTC, ETH))
    await cycle(desk_on(market, writer, config), 10)
    market.symbols = (BTC,)
    desk = desk_on(market, writer, config)
    desk.symbols = [BTC, ETH]
    for minute in range(11, 80):
        await cycle(desk, minute)
    assert desk.symbols == [BTC]
    assert desk.reader.symbols_off("fake")["reason"].tolist() == ["delisted"]


async def test_people_are_told_of_a_symbol_that_ended(writer: Writer, config: Config) -> None:
    market = FakeMarket((BTC, ETH))
    desk = desk_on(market, writer, config)
    desk.notifiers = {"console": None}  # type: ignore[dict-item]
    await cycle(desk, 10)
    market.symbols = (BTC,)
    for minute in range(11, 80):
        await cycle(desk, minute)
    told = desk.reader.outbox()
    assert len(told) == 1
    assert f"Symbol {ETH} is switched off: fake has ended it" in told["payload"].item()
    assert f"trader symbols resume {ETH}" in told["payload"].item()


async def hang(_symbol: str) -> None:
    await asyncio.sleep(3_600)


async def test_a_symbol_that_hangs_delays_the_others_by_less_than_a_cycle_and_later_by_seconds(
    writer: Writer, config: Config
) -> None:
    market = FakeMarket((BTC, ETH, SOL))
    desk = desk_on(market, writer, config)
    await cycle(desk, 10)
    market.before[ETH] = hang
    loop, took = asyncio.get_running_loop(), []
    with skipping_idle_time():
        for minute in range(11, 45):
            began_s = loop.time()
            report = await cycle(desk, minute)
            took.append(loop.time() - began_s)
            assert stored_minutes(desk, BTC) == stored_minutes(desk, SOL) == list(range(minute))
            if minute == 11:
                assert report.problems == (f"{ETH}: fake: no useful answer within 20 s",)
    assert max(took) < 25 and all(one < 10 for one in took[1:])
    assert sum(one > 1 for one in took[5:]) <= 5
    market.before.clear()
    for minute in range(45, 62):
        await cycle(desk, minute)
    assert stored_minutes(desk, ETH) == list(range(61))


async def test_many_that_hang_keep_those_that_do_not_waiting_once(writer: Writer, config: Config) -> None:
    broken = tuple(f"X{number}/USDT:USDT" for number in range(40))
    market = FakeMarket((*broken, BTC))
    desk = desk_on(market, writer, config)
    await cycle(desk, 10)
    market.before.update(dict.fromkeys(broken, hang))
    loop, took = asyncio.get_running_loop(), []
    with skipping_idle_time():
        for minute in (11, 12, 13):
            began_s = loop.time()
            await cycle(desk, minute)
            took.append(loop.time() - began_s)
    assert stored_minutes(desk, BTC) == list(range(13))
    assert max(took) < 60


async def test_what_came_before_a_deadline_is_kept(writer: Writer, config: Config) -> None:
    market = FakeMarket((BTC, ETH))
    desk = desk_on(market, writer, config)
    answers = iter([None, None])

    async def hang_on_the_third(symbol: str) -> None:
        if next(answers, hang) is hang:
            await hang(symbol)

    market.before[BTC] = hang_on_the_third
    with skipping_idle_time():
        report = await cycle(desk, 5000)
    assert len(stored_minutes(desk, BTC)) == 400 and not report.ok
    assert len(stored_minutes(desk, ETH)) == 2000


async def test_an_exchange_that_answers_nobody_is_asked_about_one_symbol_a_cycle(
    writer: Writer, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    market = FakeMarket((BTC, ETH, SOL))
    desk = desk_on(market, writer, config)
    await cycle(desk, 10)
    market.spoil = down
    await cycle(desk, 11)
    market.requests.clear()
    for minute in range(12, 72):
        report = await cycle(desk, minute)
    assert len(market.requests) == 60 and {symbol for symbol, *_ in market.requests} == {BTC, ETH, SOL}
    assert len(report.problems) == 1 and "answers for no symbol since 2024-01-01 00:11" in report.problems[0]
    assert Board.from_text(desk.reader.meta("breakers:fake")).down_since_ms == START_MS + 11 * MINUTE_MS + 2000
    market.spoil = lambda _symbol, rows: rows
    with caplog.at_level(logging.INFO):
        assert (await cycle(desk, 72)).ok
    for symbol in (BTC, ETH, SOL):
        assert stored_minutes(desk, symbol) == list(range(72))
    assert desk.reader.meta("breakers:fake") == ""
    assert [line for line in caplog.messages if "answers again" in line] == ["fake answers again, after 1h 1m."]


def down(_symbol: str, _rows: np.ndarray) -> np.ndarray:
    raise MarketUnavailable("fake: down for maintenance")


@pytest.mark.parametrize("symbols", [(BTC,), (BTC, ETH), (BTC, ETH, SOL)])
@pytest.mark.parametrize("minutes", [1, 6, 30])
async def test_two_cycles_after_an_outage_of_several_symbols_all_are_level(
    symbols: tuple[str, ...], minutes: int, writer: Writer, config: Config
) -> None:
    followed = (*symbols, "TON/USDT:USDT") if len(symbols) > 1 else symbols
    market = FakeMarket(followed)
    desk = desk_on(market, writer, config)
    await cycle(desk, 10)
    market.spoil = lambda symbol, rows: down(symbol, rows) if symbol in symbols else rows
    for minute in range(11, 11 + minutes):
        await cycle(desk, minute)
    market.spoil = lambda _symbol, rows: rows
    for minute in (11 + minutes, 12 + minutes):
        await cycle(desk, minute)
    for symbol in followed:
        assert stored_minutes(desk, symbol) == list(range(12 + minutes))


async def test_a_breaker_says_once_that_it_opens_and_once_that_it_closes(
    writer: Writer, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    market = FakeMarket((BTC, ETH))
    desk = desk_on(market, writer, config)
    market.spoil = lambda symbol, rows: down(symbol, rows) if symbol == ETH else rows
    resting = []
    with caplog.at_level(logging.INFO):
        for minute in range(10, 60):
            report = await cycle(desk, minute)
            resting.append(report.counts["resting"])
            assert report.ok == (report.counts["resting"] == 1)
        market.spoil = lambda _symbol, rows: rows
        for minute in range(60, 77):
            await cycle(desk, minute)
    assert sum(resting) > 35
    assert len([line for line in caplog.messages if "asked less often" in line]) == 1
    assert len([line for line in caplog.messages if "is answered for again" in line]) == 1
    assert stored_minutes(desk, ETH) == list(range(76))


async def test_a_breaker_outlives_a_restart(writer: Writer, config: Config) -> None:
    market = FakeMarket((BTC, ETH))
    desk = desk_on(market, writer, config)
    market.spoil = lambda symbol, rows: down(symbol, rows) if symbol == ETH else rows
    for minute in range(10, 18):
        await cycle(desk, minute)
    again = desk_on(market, writer, config)
    market.requests.clear()
    assert (await cycle(again, 18)).counts["resting"] == 1
    assert {symbol for symbol, *_ in market.requests} == {BTC}


async def test_a_symbol_nobody_trades_for_an_hour_is_asked_each_cycle_all_the_same(
    writer: Writer, config: Config
) -> None:
    market = FakeMarket((BTC, ETH))
    market.hide(ETH, *range(20, 80))
    desk = desk_on(market, writer, config)
    for minute in range(10, 80):
        assert (await cycle(desk, minute)).counts["resting"] == 0
    for minute in (81, 82):
        await cycle(desk, minute)
    assert frontier_minute(desk, ETH) == 82


async def test_a_list_that_hangs_keeps_candles_waiting_for_seconds_only(writer: Writer, config: Config) -> None:
    market = FakeMarket((BTC,))
    desk = desk_on(market, writer, config)
    market.before["markets"] = hang
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    with skipping_idle_time():
        report = await cycle(desk, 10)
    assert loop.time() - began_s < 25
    assert report.problems == ("list of symbols: fake did not answer within 12 s",)
    assert stored_minutes(desk) == list(range(10))


async def test_those_that_are_nearly_level_go_before_those_with_a_long_way_to_go(
    writer: Writer, config: Config
) -> None:
    market = FakeMarket((BTC, ETH, SOL))
    desk = desk_on(market, writer, config)
    desk.symbols = [SOL]
    await cycle(desk, 5000)
    while frontier_minute(desk, SOL) < 5000:
        await cycle(desk, 5000)
    desk.symbols = [BTC, ETH, SOL]
    market.requests.clear()
    await cycle(desk, 5001)
    assert market.requests[0][0] == SOL and frontier_minute(desk, SOL) == 5001


async def test_a_cycle_counts_what_it_asked(writer: Writer, config: Config) -> None:
    market = MeteredMarket((BTC,))
    report = await cycle(desk_on(market, writer, config), 10)
    assert read_traffic([str(report)]) == Traffic(requests=4, failures=1, waited_ms=400, slowest_ms=250)


class MeteredMarket(FakeMarket):
    def traffic(self) -> Traffic:
        return Traffic(4, 1, 400, 250)


async def test_candles_that_cannot_be_are_quarantined_and_their_minutes_stay_missing(
    writer: Writer, config: Config
) -> None:
    market = FakeMarket()
    desk = desk_on(market, writer, config)

    def spoil(_symbol: str, rows: np.ndarray) -> np.ndarray:
        rows[rows[:, 0] == START_MS + 4 * MINUTE_MS, 2] = 1.0
        return rows

    market.spoil = spoil
    report = await cycle(desk, 10)
    assert report.counts["quarantined"] == 1 and "rejected" in report.problems[0]
    assert desk.reader.quarantine("fake", BTC, "1m")["reason"].tolist() == ["high"]
    assert gap_states(desk) == {4: "open"}
    market.spoil = lambda _symbol, rows: rows
    await cycle(desk, 11)
    assert stored_minutes(desk) == list(range(11))


async def test_a_symbol_nobody_has_traded_yet_is_waited_for(writer: Writer, config: Config) -> None:
    market = FakeMarket((BTC, ETH))
    market.hide(ETH, *range(15))
    desk = desk_on(market, writer, config)
    report = await cycle(desk, 10)
    assert report.ok and report.counts["waiting"] == 1
    await cycle(desk, 20)
    assert stored_minutes(desk, ETH) == [15, 16, 17, 18, 19] and gap_states(desk, ETH) == {}


async def test_a_stale_symbol_has_the_list_of_symbols_read_again(writer: Writer, config: Config) -> None:
    market = FakeMarket()
    desk = desk_on(market, writer, config)
    await cycle(desk, 10)
    market.spoil = lambda _symbol, rows: rows[:0]
    for minute in range(11, 40):
        await cycle(desk, minute)
    assert 2 <= market.calls["load_markets"] <= 3


async def test_what_could_not_be_written_is_fetched_again(tmp_path: Path, config: Config) -> None:
    market = FakeMarket()
    market.hide(BTC, 5)
    with Writer(tmp_path / "ohlcv.db") as writer:
        desk = desk_on(market, writer, config)
        await cycle(desk, 4)
        desk.writer.put_gaps = lambda *_: (_ for _ in ()).throw(StoreError("disk gone"))  # type: ignore[method-assign]
        with pytest.raises(StoreError):
            await cycle(desk, 10)
        assert stored_minutes(desk) == [0, 1, 2, 3]
        del desk.writer.put_gaps  # type: ignore[method-assign]
        await cycle(desk, 11)
        await cycle(desk, 12)
        assert stored_minutes(desk) == [0, 1, 2, 3, 4, *range(6, 12)]


async def test_what_another_process_wrote_is_taken_over(writer: Writer, config: Config) -> None:
    market = FakeMarket()
    desk, other = desk_on(market, writer, config), desk_on(market, writer, config)
    await cycle(desk, 10)
    await cycle(other, 20)
    market.requests.clear()
    await cycle(desk, 21)
    assert market.requests == [(BTC, START_MS + 17 * MINUTE_MS, 5)]


def content(desk: Desk, symbols: tuple[str, ...]) -> list[pd.DataFrame]:
    """What a run leaves behind, but for times of seeing."""
    found = []
    for symbol in symbols:
        candles = desk.reader.candles("fake", symbol, "1m")
        found.append(pd.DataFrame({name: getattr(candles, name) for name in ("ts", "open", "high", "low", "close")}))
        found.append(desk.reader.gaps("fake", symbol, "1m"))
        marks = (desk.reader.frontier("fake", symbol, "1m"), desk.reader.checkpoint("fake", symbol, "1m"))
        found.append(pd.DataFrame({"marks": marks}))
    return found


def troubled(seed: int, until_minute: int) -> Callable[[FakeMarket], Callable[[str, np.ndarray], np.ndarray]]:
    """Faults drawn by symbol and time, the same however often and by whom a minute is asked about."""

    def spoil_of(market: FakeMarket) -> Callable[[str, np.ndarray], np.ndarray]:
        def spoil(symbol: str, rows: np.ndarray) -> np.ndarray:
            minute = (market.now - START_MS) // MINUTE_MS
            rng = np.random.default_rng((seed, len(symbol), ord(symbol[0]), minute, len(rows)))
            if minute >= until_minute or rng.random() > 0.5:
                return rows
            kind = rng.integers(6)
            if kind == 0:
                raise MarketUnavailable("fake: gone for a minute")
            if kind == 1:
                return rows[:0]
            if kind == 2:
                return rows[: len(rows) // 2]
            if kind == 3:
                return rows[rng.random(len(rows)) > 0.2]
            if kind == 4:
                return rows + np.array([1234.0, 0, 0, 0, 0, 0])
            return rows[rng.permutation(len(rows))]

        return spoil

    return spoil_of


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_restart_every_cycle_equals_no_restart(seed: int, tmp_path: Path, config: Config) -> None:
    left = []
    for is_restarting in (False, True):
        market = FakeMarket((BTC, ETH))
        market.hide(BTC, 20, 21, 60)
        market.spoil = troubled(seed, 90)(market)
        path = tmp_path / f"{is_restarting}.db"
        writer = Writer(path)
        desk = desk_on(market, writer, config)
        for minute in range(1, 120):
            if is_restarting:
                writer.close()
                writer = Writer(path)
                desk = desk_on(market, writer, config)
            await cycle(desk, minute)
        left.append(content(desk, (BTC, ETH)))
        writer.close()
    for one, other in zip(*left, strict=True):
        pd.testing.assert_frame_equal(one, other)


@pytest.mark.parametrize("seed", [4, 5, 6, 7])
async def test_two_cycles_after_the_faults_the_content_is_that_of_a_run_without(
    seed: int, tmp_path: Path, config: Config
) -> None:
    left = []
    for is_troubled in (False, True):
        market = FakeMarket((BTC, ETH))
        market.hide(ETH, 33)
        if is_troubled:
            market.spoil = troubled(seed, 60)(market)
        with Writer(tmp_path / f"{is_troubled}.db") as writer:
            desk = desk_on(market, writer, config)
            for minute in range(1, 63):
                await cycle(desk, minute)
            left.append([content(desk, (symbol,)) for symbol in (BTC, ETH)])
    for calm, rough in zip(*left, strict=True):
        pd.testing.assert_frame_equal(calm[0], rough[0])
        pd.testing.assert_frame_equal(calm[2], rough[2])


@pytest.mark.parametrize("step", [1, 7, 15])
async def test_larger_steps_store_the_same_candles_and_gaps(step: int, writer: Writer, config: Config) -> None:
    market = FakeMarket()
    market.hide(BTC, 20, 21, 60)
    desk = desk_on(market, writer, config)
    for minute in range(step, 211, step):
        await cycle(desk, minute, seconds=0)
    await cycle(desk, 211, seconds=0)
    assert stored_minutes(desk) == [minute for minute in range(211) if minute not in (20, 21, 60)]
    assert gap_states(desk) == dict.fromkeys((20, 21, 60), "confirmed") and frontier_minute(desk) == 211


def settlements(*hours: float) -> np.ndarray:
    return np.array([[START_MS + hour * HOUR_MS, 1e-4 * (1 + hour)] for hour in hours])


async def funding_at(desk: Desk, hour: float) -> Report:
    desk.market.now = START_MS + int(hour * HOUR_MS)  # type: ignore[attr-defined]
    return await funding.run(desk, desk.market.now_ms())


async def test_funding_is_fetched_after_each_settlement_and_not_in_between(writer: Writer, config: Config) -> None:
    market = FakeMarket()
    market.rates[BTC] = settlements(0, 8, 16, 24)
    desk = desk_on(market, writer, config)
    for hour in (9, 10, 15.9):
        await funding_at(desk, hour)
    assert market.calls["fetch_funding"] == 1
    report = await funding_at(desk, 16)
    assert report.counts["settlements"] == 1
    assert desk.reader.funding("fake", BTC).tolist() == settlements(0, 8, 16).tolist()


async def test_funding_follows_the_rhythm_it_sees(writer: Writer, config: Config) -> None:
    market = FakeMarket()
    market.rates[BTC] = settlements(0, 4, 8, 12)
    desk = desk_on(market, writer, config)
    for hour in (9, 11, 12):
        await funding_at(desk, hour)
    assert len(desk.reader.funding("fake", BTC)) == 4 and market.calls["fetch_funding"] == 2


async def test_a_settlement_that_is_late_is_asked_for_ever_more_rarely(writer: Writer, config: Config) -> None:
    market = FakeMarket()
    market.rates[BTC] = settlements(0, 8)
    desk = desk_on(market, writer, config)
    await funding_at(desk, 9)
    for minute in range(16 * 60, 20 * 60):
        await funding_at(desk, minute / 60)
    assert 5 <= market.calls["fetch_funding"] <= 9
    market.rates[BTC] = settlements(0, 8, 16)
    await funding_at(desk, 21)
    assert len(desk.reader.funding("fake", BTC)) == 3


async def test_after_one_that_never_came_the_next_settlement_is_asked_for_in_time(
    writer: Writer, config: Config
) -> None:
    market = FakeMarket()
    market.rates[BTC] = settlements(4, 12, 28)
    market.rates[BTC][-1, 0] += 8 * MINUTE_MS  # out eight minutes late
    desk = desk_on(market, writer, config)
    for minute in range(13 * 60, 28 * 60 + 10):
        await funding_at(desk, minute / 60)
    assert len(desk.reader.funding("fake", BTC)) == 3


async def test_a_hole_in_the_record_delays_no_settlement(writer: Writer, config: Config) -> None:
    market = FakeMarket()
    market.rates[BTC] = settlements(0, 4, 8, 16, 20)
    desk = desk_on(market, writer, config)
    await funding_at(desk, 17)
    await funding_at(desk, 20)
    assert len(desk.reader.funding("fake", BTC)) == 5


async def test_a_market_without_funding_history_is_asked_once_and_spot_never(writer: Writer, config: Config) -> None:
    market = FakeMarket((BTC, "BTC/USDT"))
    desk = desk_on(market, writer, config)
    for hour in (1, 9, 17, 25):
        assert (await funding_at(desk, hour)).ok
    assert market.calls["fetch_funding"] == 1


async def test_funding_goes_on_after_a_restart_without_asking(writer: Writer, config: Config) -> None:
    market = FakeMarket()
    market.rates[BTC] = settlements(0, 8, 16)
    await funding_at(desk_on(market, writer, config), 9)
    desk = desk_on(market, writer, config)
    await funding_at(desk, 10)
    assert market.calls["fetch_funding"] == 1
    await funding_at(desk, 17)
    assert len(desk.reader.funding("fake", BTC)) == 3


async def test_funding_that_hangs_delays_the_minute_by_seconds_and_is_asked_again_the_next(
    writer: Writer, config: Config
) -> None:
    market = FakeMarket((BTC, ETH))
    market.rates[BTC] = market.rates[ETH] = settlements(0, 8, 16)
    desk = desk_on(market, writer, config)
    await funding_at(desk, 9)
    market.before[f"funding {ETH}"] = hang
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    with skipping_idle_time():
        report = await funding_at(desk, 16)
    assert loop.time() - began_s < 12
    assert report.problems == (f"{ETH}: fake funding: no useful answer within 8 s",)
    assert len(desk.reader.funding("fake", BTC)) == 3 and len(desk.reader.funding("fake", ETH)) == 2
    market.before.clear()
    await funding_at(desk, 16 + 1 / 60)
    assert len(desk.reader.funding("fake", ETH)) == 3


async def test_funding_is_not_asked_for_while_the_exchange_answers_nobody(writer: Writer, config: Config) -> None:
    market = FakeMarket((BTC,))
    market.rates[BTC] = settlements(0, 8, 16)
    desk = desk_on(market, writer, config)
    await funding_at(desk, 9)
    writer.set_meta("breakers:fake", Board(down_since_ms=START_MS).to_text())
    await funding_at(desk, 17)
    assert market.calls["fetch_funding"] == 1
    writer.set_meta("breakers:fake", "")
    await funding_at(desk, 17.1)
    assert len(desk.reader.funding("fake", BTC)) == 3
