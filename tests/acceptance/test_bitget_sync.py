"""ccxt's own Bitget client, pointed at a server with Bitget's habits and faults, fills a database without a gap."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import numpy as np
import pytest

from core.adapters.markets.ccxt import CcxtMarket
from core.clock import DAY_MS, HOUR_MS, MINUTE_MS, floor_to, format_ms
from core.config import load_config
from core.errors import ConfigError, MarketUnavailable, UnknownSymbol
from core.jobs import backfill, funding, sync
from core.jobs._desk import Desk
from core.schema import Candles
from core.store.writer import Writer
from tests.servers.bitget import BitgetServer, Listing, random_candles

# aiohttp warns where CPython has mended what ccxt asks it to work around.
pytestmark = pytest.mark.filterwarnings("ignore:enable_cleanup_closed ignored:DeprecationWarning")

ROOT = Path(__file__).resolve().parents[2]
NOW_MS = 1_750_000_020_000  # 2025-06-15 15:07
BEGIN_MS = floor_to(NOW_MS, MINUTE_MS) - 12 * HOUR_MS
PERPETUAL, HOLED, SPOT = "BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT"


def without(candles: Candles, *minutes: int) -> Candles:
    """The candles, some missing."""
    kept = np.flatnonzero(~np.isin(np.arange(len(candles)), minutes))
    return Candles.of(*(getattr(candles, name)[kept] for name in Candles.__slots__))


def three_listings(begin_ms: int = BEGIN_MS, minutes: int = 13 * 60) -> list[Listing]:
    return [
        Listing("USDT-FUTURES", "BTC", random_candles(begin_ms, minutes, 1)),
        Listing("USDT-FUTURES", "ETH", without(random_candles(begin_ms, minutes, 2), 17, *range(100, 107))),
        Listing("spot", "SOL", random_candles(begin_ms, minutes, 3)),
    ]


@contextmanager
def open_desk(market: CcxtMarket, folder: Path, start_ms: int, symbols: list[str], page: int = 200) -> Iterator[Desk]:
    (folder / "start.yaml").write_text(f"backfill: {{start_date: '{start_ms}', batch_limit: {page}}}\n")
    config = load_config(ROOT / "config.yaml", {}, [folder / "start.yaml"])
    with Writer(folder / "ohlcv.db") as writer:
        yield Desk(
            config=config,
            market=market,
            writer=writer,
            reader=writer.reader,
            exchange=market.exchange,
            symbols=list(symbols),
            setups=[],
            exit_policy=None,  # type: ignore[arg-type]
            costs=None,  # type: ignore[arg-type]
            rules=None,  # type: ignore[arg-type]
            notifiers={},
            log=logging.getLogger("test"),
        )


@asynccontextmanager
async def open_market(server: BitgetServer) -> AsyncIterator[CcxtMarket]:
    market = CcxtMarket("bitget", 1, server.url, backoff_s=0.01)
    try:
        yield market
    finally:
        await market.close()


async def now_of(desk: Desk) -> int:
    now_ms = await desk.market.advance()
    assert now_ms is not None
    return now_ms


async def cycle_until_level(desk: Desk, server: BitgetServer, most: int) -> int:
    """Run cycles, each a minute later, until every frontier is level with the clock; return how many it took."""
    for number in range(most):
        now_ms = await now_of(desk)
        await sync.run(desk, now_ms)
        frontiers = [desk.reader.frontier("bitget", symbol, "1m") for symbol in desk.symbols]
        if all(frontier == floor_to(now_ms, MINUTE_MS) for frontier in frontiers):
            return number + 1
        server.skip(MINUTE_MS)
        await desk.market.load_markets()  # its clock is measured again
    raise AssertionError(f"not level after {most} cycles: {frontiers}")


def assert_stored(desk: Desk, listing: Listing, symbol: str, start_ms: int) -> None:
    frontier = desk.reader.frontier("bitget", symbol, "1m")
    stored, truth = desk.reader.candles("bitget", symbol, "1m"), listing.candles.between(start_ms, frontier)
    assert np.array_equal(stored.ts, truth.ts)
    for name in ("open", "high", "low", "close", "volume"):
        assert np.array_equal(getattr(stored, name), getattr(truth, name))


@pytest.mark.parametrize("seed", [1, 3, 5])
async def test_three_symbols_are_synced_gap_free_through_one_fault_in_five(seed: int, tmp_path: Path) -> None:
    listings = three_listings()
    with BitgetServer(listings, NOW_MS, fault_rate=0.2, seed=seed) as server:
        async with open_market(server) as market:
            with open_desk(market, tmp_path, BEGIN_MS, [PERPETUAL, HOLED, SPOT], page=40) as desk:
                await cycle_until_level(desk, server, most=25)
                for listing, symbol in zip(listings, (PERPETUAL, HOLED, SPOT), strict=True):
                    assert_stored(desk, listing, symbol, BEGIN_MS)
                gaps = desk.reader.gaps("bitget", HOLED, "1m", "confirmed")
                holes = [BEGIN_MS + minute * MINUTE_MS for minute in (17, *range(100, 107))]
                assert gaps["ts_ms"].tolist() == holes
                assert desk.reader.gaps("bitget", PERPETUAL, "1m", "open").empty
        assert sum(server.faulted.values()) > 10


async def test_a_forming_candle_is_never_stored_and_its_final_values_are(tmp_path: Path) -> None:
    listings = three_listings()[:1]
    with BitgetServer(listings, NOW_MS) as server:
        async with open_market(server) as market:
            with open_desk(market, tmp_path, NOW_MS - HOUR_MS, [PERPETUAL]) as desk:
                for _ in range(3):
                    await cycle_until_level(desk, server, most=3)
                    server.skip(MINUTE_MS)
                    await market.load_markets()
                assert_stored(desk, listings[0], PERPETUAL, floor_to(NOW_MS - HOUR_MS, MINUTE_MS))
                assert desk.reader.revisions("bitget", PERPETUAL, "1m").empty


async def test_instruments_carry_tick_lot_and_least_notional() -> None:
    with BitgetServer(three_listings(), NOW_MS) as server:
        async with open_market(server) as market:
            found = await market.load_markets()
    perpetual, spot = found[PERPETUAL], found[SPOT]
    assert (perpetual.tick, perpetual.lot, perpetual.min_notional, perpetual.active) == (0.5, 0.001, 5.0, True)
    assert (spot.tick, spot.lot, spot.min_notional) == (0.01, 1e-06, 1.0)
    assert set(found) == {PERPETUAL, HOLED, SPOT}


async def test_the_exchange_s_clock_counts_not_the_machine_s() -> None:
    with BitgetServer(three_listings(), NOW_MS) as server:
        async with open_market(server) as market:
            await market.load_markets()
            assert abs(market.now_ms() - server.now_ms()) < 500
            assert await market.advance() == pytest.approx(market.now_ms(), abs=50)


async def test_nothing_is_taken_for_closed_before_the_exchange_told_its_time(tmp_path: Path) -> None:
    with BitgetServer(three_listings(), NOW_MS, fault_rate=1.0, faults=("empty_list",)) as server:
        async with open_market(server) as market:
            with open_desk(market, tmp_path, BEGIN_MS, [PERPETUAL]) as desk:
                report = await sync.run(desk, await now_of(desk))
                assert desk.reader.candles("bitget", PERPETUAL, "1m").ts.size == 0
    assert f"{PERPETUAL}: bitget time: it could not be read" in report.problems


async def test_history_pages_begin_with_the_candle_asked_for() -> None:
    old_ms = floor_to(NOW_MS, MINUTE_MS) - 60 * DAY_MS
    listing = Listing("USDT-FUTURES", "BTC", random_candles(old_ms, 2000, 5))
    with BitgetServer([listing], NOW_MS) as server:
        async with open_market(server) as market:
            rows = await market.fetch_ohlcv(PERPETUAL, "1m", old_ms + 300 * MINUTE_MS, 1000)
        assert server.requests["/api/v2/mix/market/history-candles"] == 1
    assert len(rows) == 200
    assert rows[0, 0] == old_ms + 300 * MINUTE_MS
    assert np.array_equal(rows[:, 4], listing.candles.close[300:500])


async def test_a_window_cut_at_its_beginning_is_asked_for_again() -> None:
    old_ms = floor_to(NOW_MS, MINUTE_MS) - 60 * DAY_MS
    listing = Listing("USDT-FUTURES", "BTC", random_candles(old_ms, 2000, 5))
    with BitgetServer([listing], NOW_MS) as server:
        server.end_is_inclusive = True
        async with open_market(server) as market:
            rows = await market.fetch_ohlcv(PERPETUAL, "1m", old_ms + 300 * MINUTE_MS, 200)
    assert rows[:, 0].tolist() == listing.candles.ts[300:500].tolist()


async def test_a_hole_longer_than_a_page_is_crossed_to_the_first_candle_behind_it() -> None:
    old_ms = floor_to(NOW_MS, DAY_MS) - 200 * DAY_MS
    candles = random_candles(old_ms, 6 * 1440, 5)
    listing = Listing("USDT-FUTURES", "BTC", without(candles, *range(500, 5 * 1440 + 700)))
    with BitgetServer([listing], NOW_MS) as server:
        async with open_market(server) as market:
            rows = await market.fetch_ohlcv(PERPETUAL, "1m", old_ms + 500 * MINUTE_MS, 200)
            early = await market.fetch_ohlcv(PERPETUAL, "1m", old_ms - 150 * DAY_MS, 200)
    assert rows[0, 0] == old_ms + (5 * 1440 + 700) * MINUTE_MS
    assert early[0, 0] == old_ms


async def test_funding_history_is_read_back_to_the_first_settlement_wanted(tmp_path: Path) -> None:
    first_ms = floor_to(NOW_MS, 8 * HOUR_MS) - 250 * 8 * HOUR_MS
    settled = [(first_ms + i * 8 * HOUR_MS, round(1e-4 + i * 1e-6, 6)) for i in range(260)]
    listing = Listing("USDT-FUTURES", "BTC", random_candles(BEGIN_MS, 60, 1), settled)
    with BitgetServer([listing, *three_listings()[2:]], NOW_MS) as server:
        async with open_market(server) as market:
            with open_desk(market, tmp_path, settled[20][0], [PERPETUAL, SPOT]) as desk:
                report = await funding.run(desk, await now_of(desk))
                asked = server.requests["/api/v2/mix/market/history-fund-rate"]
                again = await funding.run(desk, market.now_ms())
                stored = desk.reader.funding("bitget", PERPETUAL)
            assert await market.fetch_funding(SPOT, 0, 10) is None
        assert server.requests["/api/v2/mix/market/history-fund-rate"] == asked
    assert stored.tolist() == [list(map(float, one)) for one in settled[20:251]]
    assert report.counts["settlements"] == 231
    assert not again.counts


async def test_a_symbol_the_exchange_does_not_list_is_switched_off_with_the_nearest_name(tmp_path: Path) -> None:
    with BitgetServer(three_listings(), NOW_MS) as server:
        async with open_market(server) as market:
            with open_desk(market, tmp_path, NOW_MS - HOUR_MS, ["BTCC/USDT:USDT", HOLED]) as desk:
                report = await sync.run(desk, await now_of(desk))
                assert desk.symbols == [HOLED]
                off = desk.reader.symbols_off("bitget")
                assert len(desk.reader.candles("bitget", HOLED, "1m")) > 50
    assert off["symbol"].tolist() == ["BTCC/USDT:USDT"]
    assert "did you mean 'BTC/USDT:USDT'?" in off["reason"].item()
    assert report.counts["off"] == 1


async def test_a_list_that_lacks_a_symbol_once_is_not_believed() -> None:
    with BitgetServer(three_listings(), NOW_MS) as server:
        async with open_market(server) as market:
            listings, server.listings = server.listings, server.listings[1:]
            await market.load_markets()
            server.listings = listings
            rows = await market.fetch_ohlcv(PERPETUAL, "1m", BEGIN_MS, 5)
            assert len(rows) == 5
            with pytest.raises(UnknownSymbol, match="not traded there"):
                await market.fetch_ohlcv("NOPE/USDT", "1m", BEGIN_MS, 5)


@pytest.mark.parametrize("fault", ["server_error", "too_many", "html", "empty_body", "cut_json", "reset"])
async def test_a_passing_fault_is_retried_and_reported_as_passing(fault: str) -> None:
    with BitgetServer(three_listings(), NOW_MS) as server:
        async with open_market(server) as market:
            await market.load_markets()
            before = sum(server.requests.values())
            server.fault_rate, server.faults = 1.0, (fault,)
            with pytest.raises(MarketUnavailable) as told:
                await market.fetch_ohlcv(PERPETUAL, "1m", BEGIN_MS, 5)
            assert sum(server.requests.values()) - before >= 3
            assert "\n" not in str(told.value)
            server.fault_rate = 0.0
            assert len(await market.fetch_ohlcv(PERPETUAL, "1m", BEGIN_MS, 5)) == 5


async def test_an_unknown_exchange_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'bitget'"):
        CcxtMarket("bitgett", 50)


async def test_backfill_fills_from_the_date_confirms_holes_and_reports_them(tmp_path: Path) -> None:
    listings = three_listings()
    told: list[tuple[int, int, float]] = []
    with BitgetServer(listings, NOW_MS, fault_rate=0.1, seed=2) as server:
        async with open_market(server) as market:
            with open_desk(market, tmp_path, BEGIN_MS + 6 * HOUR_MS, [PERPETUAL, HOLED, SPOT]) as desk:
                late = await backfill.run(desk, await now_of(desk), progress=lambda *step: told.append(step))
                report = await backfill.run(desk, market.now_ms(), start_ms=BEGIN_MS)
                for listing, symbol in zip(listings, (PERPETUAL, HOLED, SPOT), strict=True):
                    assert_stored(desk, listing, symbol, BEGIN_MS)
                assert desk.reader.meta(f"rebuild:bitget:{HOLED}") == str(BEGIN_MS)
    assert late.ok and report.ok
    assert told[-1][0] == told[-1][1] and told[-1][2] > 0
    assert report.counts["missing"] == 8
    first, last = format_ms(BEGIN_MS + 100 * MINUTE_MS), format_ms(BEGIN_MS + 106 * MINUTE_MS)
    assert f"{HOLED}: 7 minute(s) missing, {first} to {last} (confirmed)" in report.problems


async def test_a_stopped_backfill_goes_on_where_it_was(tmp_path: Path) -> None:
    listings = three_listings(BEGIN_MS - 60 * HOUR_MS, 73 * 60)[:1]
    with BitgetServer(listings, NOW_MS) as server:
        async with open_market(server) as market:
            with open_desk(market, tmp_path, BEGIN_MS - 60 * HOUR_MS, [PERPETUAL]) as desk:
                stopped = asyncio.Event()
                job = asyncio.create_task(backfill.run(desk, await now_of(desk), progress=lambda *_: stopped.set()))
                await stopped.wait()
                job.cancel()
                await asyncio.gather(job, return_exceptions=True)
                reached = desk.reader.checkpoint("bitget", PERPETUAL, "1m")
                assert reached is not None and reached < floor_to(market.now_ms(), MINUTE_MS)
                server.queries.clear()
                assert (await backfill.run(desk, market.now_ms())).ok
                asked = [int(query["startTime"]) for path, query in server.queries if path.endswith("candles")]
                assert min(asked) >= reached - 3 * MINUTE_MS
                assert_stored(desk, listings[0], PERPETUAL, BEGIN_MS - 60 * HOUR_MS)
