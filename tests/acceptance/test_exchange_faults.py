"""What an exchange does wrong, over HTTP through ccxt's own client: noticed, survived, and made good afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from core.adapters.markets.ccxt import CcxtMarket
from core.clock import HOUR_MS, MINUTE_MS, floor_to
from core.errors import CredentialsError, MarketUnavailable
from core.ingest.breaker import Board
from core.ingest.traffic import read_traffic
from core.jobs import backfill, sync
from core.jobs._desk import Desk, Report
from tests.acceptance.test_bitget_sync import (
    BEGIN_MS,
    HOLED,
    NOW_MS,
    PERPETUAL,
    SPOT,
    assert_stored,
    cycle_until_level,
    now_of,
    open_desk,
    three_listings,
)
from tests.servers.bitget import BitgetServer
from tests.servers.bitget_faults import DATA_FAULTS, FAULTS, REFUSALS, SILENCES

pytestmark = pytest.mark.filterwarnings("ignore:enable_cleanup_closed ignored:DeprecationWarning")

SYMBOLS = [PERPETUAL, HOLED, SPOT]
START_MS = NOW_MS - HOUR_MS
BANNED = "banned"  # a test of its own: the exchange is left alone for half a minute
PASSING = [fault for fault in (*FAULTS, *REFUSALS, *SILENCES) if fault != BANNED]
HARMLESS = ["doubled", "shuffled", "fewer", "future"]


@asynccontextmanager
async def open_market(server: BitgetServer, **settings: float) -> AsyncIterator[CcxtMarket]:
    market = CcxtMarket("bitget", 1, server.url, backoff_s=0.01, timeout_s=settings.get("timeout_s", 0.4))
    try:
        yield market
    finally:
        await market.close()


def of_candles(path: str, _query: dict[str, str]) -> bool:
    return path.endswith("candles")


def of_one(path: str, query: dict[str, str]) -> bool:
    return path.endswith("candles") and query.get("symbol") == "ETHUSDT"


async def minute(desk: Desk, server: BitgetServer, skipped: int = 1) -> Report:
    """Run a cycle one minute later, or more."""
    server.skip(skipped * MINUTE_MS)
    assert isinstance(desk.market, CcxtMarket)
    await desk.market.measure_clock()
    return await sync.run(desk, await now_of(desk))


def assert_level(desk: Desk, server: BitgetServer, symbols: list[str] = SYMBOLS) -> None:
    for listing, symbol in zip(server.listings, SYMBOLS, strict=True):
        if symbol in symbols:
            assert desk.reader.frontier("bitget", symbol, "1m") == floor_to(desk.market.now_ms(), MINUTE_MS)
            assert_stored(desk, listing, symbol, floor_to(START_MS, MINUTE_MS))


@pytest.mark.parametrize("fault", [*PASSING, *HARMLESS, "stale"])
async def test_an_outage_of_the_whole_exchange_is_made_good_within_two_cycles(fault: str, tmp_path: Path) -> None:
    with BitgetServer(three_listings(), NOW_MS, seed=1) as server:
        async with open_market(server) as market:
            with open_desk(market, tmp_path, START_MS, SYMBOLS) as desk:
                await cycle_until_level(desk, server, most=5)
                server.fault_rate, server.faults, server.hit = 1.0, (fault,), of_candles
                for _ in range(3):
                    report = await minute(desk, server)
                    assert report.ok == (fault in HARMLESS), str(report)
                assert desk.reader.revisions("bitget", PERPETUAL, "1m").empty
                assert desk.reader.candles("bitget", PERPETUAL, "1m").ts[-1] + MINUTE_MS <= market.now_ms()
                server.fault_rate = 0.0
                for _ in range(2):
                    report = await minute(desk, server)
                assert report.ok, str(report)
                assert_level(desk, server)
                assert desk.symbols == SYMBOLS and desk.reader.meta("breakers:bitget") in (None, "")
                assert desk.reader.revisions("bitget", PERPETUAL, "1m").empty


@pytest.mark.parametrize("fault", ["holed", "not_numbers", "upside_down"])
async def test_one_answer_with_bad_rows_is_made_good_within_two_cycles(fault: str, tmp_path: Path) -> None:
    with BitgetServer(three_listings(), NOW_MS) as server:
        async with open_market(server) as market:
            with open_desk(market, tmp_path, START_MS, SYMBOLS) as desk:
                await cycle_until_level(desk, server, most=5)
                server.fault_rate, server.faults, server.hit = 1.0, (fault,), of_candles
                report = await minute(desk, server, 5)
                if fault != "holed":
                    assert not report.ok and report.counts["quarantined"] > 0
                    prices = desk.reader.candles("bitget", PERPETUAL, "1m")
                    assert np.isfinite(prices.close).all() and (prices.low > 0).all()
                server.fault_rate = 0.0
                for _ in range(2):
                    await minute(desk, server)
                assert_level(desk, server)


@pytest.mark.parametrize("fault", ["server_error", "html", "empty_list", "hang", "reset", "maintenance", "stale"])
async def test_what_one_symbol_suffers_the_others_do_not_notice(fault: str, tmp_path: Path) -> None:
    with BitgetServer(three_listings(), NOW_MS) as server:
        async with open_market(server) as market:
            with open_desk(market, tmp_path, START_MS, SYMBOLS) as desk:
                await cycle_until_level(desk, server, most=5)
                server.fault_rate, server.faults, server.hit = 1.0, (fault,), of_one
                for _ in range(3):
                    report = await minute(desk, server)
                    assert_level(desk, server, [PERPETUAL, SPOT])
                    assert len(report.problems) == 1 and report.problems[0].startswith(HOLED)
                server.fault_rate = 0.0
                for _ in range(2):
                    await minute(desk, server)
                assert_level(desk, server)


async def test_a_symbol_that_hangs_and_hangs_is_asked_less_often_and_comes_back(tmp_path: Path) -> None:
    with BitgetServer(three_listings(), NOW_MS) as server:
        async with open_market(server, timeout_s=0.2) as market:
            with open_desk(market, tmp_path, START_MS, SYMBOLS) as desk:
                await cycle_until_level(desk, server, most=5)
                server.fault_rate, server.faults, server.hit = 1.0, ("hang",), of_one
                resting = [(await minute(desk, server)).counts["resting"] for _ in range(14)]
                assert resting == [0, 0, 0, 0, 0, 1, 0, 1, 1, 1, 0, 1, 1, 1]
                board = Board.from_text(desk.reader.meta("breakers:bitget"))
                assert board.failing[HOLED].faults == 7 and "RequestTimeout" in board.failing[HOLED].reason
                server.fault_rate = 0.0
                for _ in range(16):
                    await minute(desk, server)
                assert_level(desk, server)
                assert desk.reader.meta("breakers:bitget") == ""


async def test_while_the_exchange_is_down_a_cycle_costs_the_requests_of_one_symbol(tmp_path: Path) -> None:
    with BitgetServer(three_listings(), NOW_MS) as server:
        async with open_market(server) as market:
            with open_desk(market, tmp_path, START_MS, SYMBOLS) as desk:
                await cycle_until_level(desk, server, most=5)
                server.fault_rate, server.faults, server.hit = 1.0, ("bad_gateway",), of_candles
                await minute(desk, server)
                for _ in range(8):
                    before = _candle_requests(server)
                    report = await minute(desk, server)
                    assert _candle_requests(server) - before <= 3  # one symbol, asked three times
                    assert len(report.problems) == 1 and "answers for no symbol since" in report.problems[0]
                server.fault_rate = 0.0
                await minute(desk, server)
                assert_level(desk, server)


def _candle_requests(server: BitgetServer) -> int:
    return sum(count for path, count in server.requests.items() if path.endswith("candles"))


@pytest.mark.parametrize("fault", ["html", "empty_list", "null_data", "cut_json", "hang", "maintenance"])
async def test_a_list_of_markets_that_cannot_be_had_ends_no_symbol(fault: str, tmp_path: Path) -> None:
    with BitgetServer(three_listings(), NOW_MS) as server:
        server.hit = lambda path, _query: path.endswith(("contracts", "symbols", "candles"))
        async with open_market(server) as market:
            with open_desk(market, tmp_path, START_MS, SYMBOLS) as desk:
                await cycle_until_level(desk, server, most=5)
                server.fault_rate, server.faults = 1.0, (fault,)
                for _ in range(4):
                    assert not (await minute(desk, server, 14)).ok
                assert desk.symbols == SYMBOLS
                assert desk.reader.symbols_off("bitget").empty
                server.fault_rate = 0.0
                for _ in range(2):
                    await minute(desk, server)
                assert_level(desk, server)


def end_candles(server: BitgetServer, number: int) -> None:
    """Let a symbol have no candle from now on."""
    listing = server.listings[number]
    listing.candles = listing.candles.between(None, floor_to(server.now_ms(), MINUTE_MS))


async def test_a_symbol_that_is_removed_is_switched_off_after_several_looks(tmp_path: Path) -> None:
    with BitgetServer(three_listings(), NOW_MS) as server:
        async with open_market(server) as market:
            with open_desk(market, tmp_path, START_MS, SYMBOLS) as desk:
                await cycle_until_level(desk, server, most=5)
                server.removed.add(server.listings.pop(1).id)
                report = await minute(desk, server)
                assert "The contract has been removed" in report.problems[0]
                looks = 0
                while HOLED in desk.symbols and looks < 6:
                    await minute(desk, server, 16)
                    looks += 1
                assert looks == 3
                off = desk.reader.symbols_off("bitget")
                assert off[["symbol", "reason"]].values.tolist() == [[HOLED, "delisted"]]
                report = await minute(desk, server)
                assert report.ok and report.counts["candles"] == 2


@pytest.mark.parametrize(("status", "is_over"), [("off", True), ("maintain", False), ("normal", False)])
async def test_a_symbol_without_candles_is_over_where_the_list_says_so(
    status: str, is_over: bool, tmp_path: Path
) -> None:
    with BitgetServer(three_listings(), NOW_MS) as server:
        async with open_market(server) as market:
            with open_desk(market, tmp_path, START_MS, SYMBOLS) as desk:
                await cycle_until_level(desk, server, most=5)
                end_candles(server, 1)
                server.statuses["ETHUSDT"] = status
                for _ in range(9):
                    await minute(desk, server)
                for _ in range(2):
                    await minute(desk, server, 5)
                assert desk.symbols == SYMBOLS
                for _ in range(3):
                    await minute(desk, server, 10)
                    await minute(desk, server, 6)
                assert (HOLED not in desk.symbols) == is_over
                assert desk.reader.symbols_off("bitget")["reason"].tolist() == ["delisted"] * is_over


async def test_maintenance_is_passing_and_said_in_the_exchange_s_words() -> None:
    with BitgetServer(three_listings(), NOW_MS) as server:
        async with open_market(server) as market:
            await market.load_markets()
            server.fault_rate, server.faults = 1.0, ("maintenance",)
            with pytest.raises(MarketUnavailable, match=r"OnMaintenance.*Server upgrade"):
                await market.fetch_ohlcv(PERPETUAL, "1m", BEGIN_MS, 5)


async def test_a_ban_is_answered_by_silence() -> None:
    with BitgetServer(three_listings(), NOW_MS) as server:
        async with open_market(server) as market:
            await market.load_markets()
            server.fault_rate, server.faults = 1.0, (BANNED,)
            before = sum(server.requests.values())
            for _ in range(5):
                with pytest.raises(MarketUnavailable) as told:
                    await market.fetch_ohlcv(PERPETUAL, "1m", BEGIN_MS, 5)
                assert told.value.retry_after_s is not None and 20 < told.value.retry_after_s <= 30
            assert sum(server.requests.values()) == before + 1


class Refusing(BitgetServer):
    """Shows candles to those it knows, and knows nobody any more once told so."""

    is_refusing = True

    def answer(self, path: str, query: dict[str, str]) -> object:
        if self.is_refusing and path.endswith("candles"):
            self.queries.append((path, query))
            raise PermissionError
        return super().answer(path, query)


async def test_a_backfill_that_is_refused_says_so_for_each_symbol_and_ends(tmp_path: Path) -> None:
    with Refusing(three_listings()[:1], NOW_MS) as server:
        server.is_refusing = False
        async with open_market(server) as market:
            with open_desk(market, tmp_path, START_MS, [PERPETUAL]) as desk:
                assert (await backfill.run(desk, await now_of(desk))).ok
                server.is_refusing = True
                report = await backfill.run(desk, market.now_ms(), start_ms=START_MS - HOUR_MS)
    assert not report.ok and report.problems[0].startswith(f"{PERPETUAL}: bitget {PERPETUAL} 1m: PermissionDenied")


async def test_refused_credentials_are_not_asked_for_again() -> None:
    with Refusing(three_listings(), NOW_MS) as server:
        async with open_market(server) as market:
            await market.load_markets()
            with pytest.raises(CredentialsError):
                await market.fetch_ohlcv(PERPETUAL, "1m", BEGIN_MS, 5)
            assert len(server.queries) - len([path for path, _ in server.queries if "candles" not in path]) == 1


@pytest.mark.parametrize("fault", SILENCES)
async def test_silence_is_cut_at_the_time_allowed(fault: str) -> None:
    with BitgetServer(three_listings(), NOW_MS) as server:
        async with open_market(server, timeout_s=0.3) as market:
            await market.load_markets()
            server.fault_rate, server.faults = 1.0, (fault,)
            began_s = time.monotonic()
            with pytest.raises(MarketUnavailable, match="RequestTimeout"):
                await market.fetch_ohlcv(PERPETUAL, "1m", BEGIN_MS, 200)
            assert 0.8 < time.monotonic() - began_s < 5


async def test_a_name_that_does_not_resolve_and_a_port_nobody_listens_on_are_passing_faults(tmp_path: Path) -> None:
    with BitgetServer(three_listings(), NOW_MS) as server:
        unused = server.url
    for url in ("http://nowhere.invalid", unused):
        market = CcxtMarket("bitget", 1, url, backoff_s=0.01, timeout_s=2.0)
        try:
            with pytest.raises(MarketUnavailable) as told:
                await market.load_markets()
            assert "\n" not in str(told.value)
            with open_desk(market, tmp_path, START_MS, SYMBOLS) as desk:
                report = await sync.run(desk, NOW_MS)
            assert not report.ok and desk.symbols == SYMBOLS
        finally:
            await market.close()


async def test_a_late_revision_is_stored_and_recorded(tmp_path: Path) -> None:
    with BitgetServer(three_listings(), NOW_MS) as server:
        async with open_market(server) as market:
            with open_desk(market, tmp_path, START_MS, SYMBOLS) as desk:
                await cycle_until_level(desk, server, most=5)
                listing = server.listings[0]
                at_ms = floor_to(server.now_ms(), MINUTE_MS) - 2 * MINUTE_MS
                close = np.where(listing.candles.ts == at_ms, listing.candles.low, listing.candles.close)
                columns = {name: getattr(listing.candles, name) for name in type(listing.candles).__slots__}
                listing.candles = type(listing.candles).of(*{**columns, "close": close}.values())
                report = await minute(desk, server)
                assert report.counts["revised"] == 1
                assert desk.reader.revisions("bitget", PERPETUAL, "1m")["ts_ms"].tolist() == [at_ms]
                assert desk.reader.meta(f"rebuild:bitget:{PERPETUAL}") == str(at_ms)
                assert_level(desk, server)


async def test_an_exchange_s_clock_that_is_minutes_off_and_steps_is_followed(tmp_path: Path) -> None:
    with BitgetServer(three_listings(), NOW_MS) as server:
        async with open_market(server, timeout_s=2.0) as market:
            with open_desk(market, tmp_path, START_MS, SYMBOLS) as desk:
                await cycle_until_level(desk, server, most=5)
                for off_ms in (-7 * MINUTE_MS, 0):
                    server.clock_off_ms = off_ms
                    await minute(desk, server)
                    assert abs(market.now_ms() - server.now_ms() - off_ms) < 500
                server.clock_off_ms = 0
                await minute(desk, server)
                assert_level(desk, server)


async def test_a_slow_answer_to_the_time_shifts_nothing() -> None:
    with BitgetServer(three_listings(), NOW_MS) as server:
        async with open_market(server, timeout_s=5.0) as market:
            await market.measure_clock()
            server.time_delay_s = 1.5
            await market.measure_clock()
            assert abs(market.now_ms() - server.now_ms()) < 300


async def test_a_time_that_is_never_told_stops_nothing_once_it_was(tmp_path: Path) -> None:
    with BitgetServer(three_listings(), NOW_MS) as server:
        async with open_market(server, timeout_s=30.0) as market:
            with open_desk(market, tmp_path, START_MS, SYMBOLS) as desk:
                await cycle_until_level(desk, server, most=5)
                server.fault_rate, server.faults = 1.0, ("hang",)
                server.hit = lambda path, _query: path.endswith("time")
                began_s = time.monotonic()
                await market.measure_clock()
                assert time.monotonic() - began_s < 12
                assert (await sync.run(desk, await now_of(desk))).ok


async def test_a_cycle_counts_its_requests_and_failures(tmp_path: Path) -> None:
    with BitgetServer(three_listings(), NOW_MS) as server:
        async with open_market(server) as market:
            with open_desk(market, tmp_path, START_MS, SYMBOLS) as desk:
                await cycle_until_level(desk, server, most=5)
                before = sum(server.requests.values())
                market.traffic()
                server.fault_rate, server.faults, server.hit = 1.0, ("bad_gateway",), of_one
                traffic = read_traffic([str(await minute(desk, server))])
                assert traffic.requests == sum(server.requests.values()) - before
                assert traffic.failures == 3 and traffic.waited_ms > 0 and traffic.slowest_ms < 5_000


async def test_a_hundred_waiting_requests_that_are_given_up_leave_nothing_behind() -> None:
    with BitgetServer(three_listings(), NOW_MS) as server:
        async with open_market(server, timeout_s=20.0) as market:
            await market.load_markets()
            server.fault_rate, server.faults = 1.0, ("hang",)
            jobs = [asyncio.create_task(market.fetch_ohlcv(PERPETUAL, "1m", BEGIN_MS, 5)) for _ in range(100)]
            await asyncio.sleep(0.3)
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
            server.fault_rate = 0.0
            assert len(await market.fetch_ohlcv(PERPETUAL, "1m", BEGIN_MS, 5)) == 5


def test_every_fault_of_the_server_is_used_here() -> None:
    used = {*PASSING, BANNED, *HARMLESS, "stale", "holed", "not_numbers", "upside_down"}
    assert used == {*FAULTS, *REFUSALS, *SILENCES, *DATA_FAULTS}
