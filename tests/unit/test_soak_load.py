"""The soak and the load test: faults come as asked for, growth is found, promises are judged, both programs run."""

from __future__ import annotations

import asyncio
import json
import logging
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import _data, _load_rows, _soak_page, _soak_rows, load, soak
from benchmarks._load_exchange import MARKET, Offer, PacedBitget
from benchmarks._load_stage import TIMEFRAMES as LOAD_TIMEFRAMES
from benchmarks._soak_faults import FaultyMarket, FaultyNotifier, Troubles
from benchmarks._soak_gauges import descriptors, file_bytes, quantiles, resident_bytes, slope, threads
from benchmarks._soak_stage import Plan, plan_of, prepare
from benchmarks._soak_watch import Kinds, kind_of
from benchmarks.results import Bar, Row
from core.adapters.markets.replay import ReplayMarket, Tape
from core.clock import DAY_MS, HOUR_MS, MINUTE_MS, format_ms, parse_time
from core.errors import MarketUnavailable, NotifierError, NotifierUnavailable
from core.ports import Message
from tests.servers.bitget import Listing

BTC = _data.BTC
START_MS = parse_time("2023-01-23")
CALM = Troubles(START_MS, START_MS + 10 * DAY_MS, START_MS, 0.0, 0.0, 0.0, 0.0, 0.0, 100, 0, 100, 0, 0.0, 0.0)


def market(troubles: Troubles, symbols: tuple[str, ...] = (BTC,), at_ms: int = START_MS + HOUR_MS) -> FaultyMarket:
    candles = _data.make_world("edge", BTC, START_MS, 2, seed=7).candles
    played = ReplayMarket(Tape.of(dict.fromkeys(symbols, candles)), start_ms=at_ms)
    return FaultyMarket(played, troubles, list(symbols))


def asked(of: FaultyMarket, symbol: str = BTC, minutes: int = 5) -> np.ndarray[Any, Any]:
    return asyncio.run(of.fetch_ohlcv(symbol, "1m", of.now_ms() - minutes * MINUTE_MS, 200))


def test_a_slope_is_found_whatever_a_few_samples_say() -> None:
    day = np.arange(200) / 24
    memory = 200.0 + 0.5 * day
    memory[[20, 90, 150]] += 400.0
    found = slope(day.tolist(), memory.tolist())
    assert found == pytest.approx(0.5, abs=0.01)


def test_a_slope_over_many_samples_is_that_of_all() -> None:
    day = np.arange(5_000) / 24
    assert slope(day.tolist(), (3.0 * day).tolist()) == pytest.approx(3.0)


def test_there_is_no_slope_at_one_place() -> None:
    assert slope([1.0], [5.0]) is None
    assert slope([1.0, 1.0], [5.0, 6.0]) is None


def test_the_99th_percentile_of_few_samples_is_the_largest() -> None:
    assert quantiles(range(1, 32)) == {"p50": 16.0, "p99": 31.0, "max": 31.0, "n": 31}
    assert quantiles([]) == {}


def test_this_process_is_measured(tmp_path: Path) -> None:
    assert (resident_bytes() or 2**24) > 2**23
    assert threads() >= 1
    before = descriptors()
    with (tmp_path / "open").open("w", encoding="utf-8"):
        assert before is None or descriptors() == before + 1
    assert file_bytes(tmp_path / "none") == 0


def test_without_troubles_the_market_is_the_market() -> None:
    faulty = market(CALM)
    assert np.array_equal(
        asked(faulty), asyncio.run(faulty.inner.fetch_ohlcv(BTC, "1m", START_MS + 55 * MINUTE_MS, 200))
    )
    assert not faulty.faults


def test_requests_time_out_as_often_as_asked_for_and_always_the_same_ones() -> None:
    def hit() -> list[int]:
        faulty, found = market(replace(CALM, timeouts=0.1)), []
        for number in range(400):
            try:
                asked(faulty)
            except MarketUnavailable:
                found.append(number)
        return found

    assert hit() == hit()
    assert 20 < len(hit()) < 70


def test_answers_hold_nothing_for_some_minutes_on_end() -> None:
    troubles = replace(CALM, empties=1.0)
    sizes = [len(asked(faulty)) for faulty in [market(troubles)] for _ in range(60)]
    assert 20 < sizes.count(0) < 60


def test_a_symbol_is_out_for_hours_and_then_the_next_one() -> None:
    troubles = replace(CALM, outage_days=3, outage_ms=6 * HOUR_MS)
    assert troubles.is_out(0, 2, START_MS + HOUR_MS)
    assert not troubles.is_out(1, 2, START_MS + HOUR_MS)
    assert not troubles.is_out(0, 2, START_MS + 7 * HOUR_MS)
    assert troubles.is_out(1, 2, START_MS + 3 * DAY_MS)
    with pytest.raises(MarketUnavailable, match="this symbol is out"):
        asked(market(troubles))


def test_the_whole_exchange_is_out_in_the_middle_of_a_stretch_of_days() -> None:
    troubles = replace(CALM, closed_days=2, closed_ms=HOUR_MS)
    faulty = market(troubles, at_ms=START_MS + DAY_MS)
    with pytest.raises(MarketUnavailable, match="the exchange is out"):
        asyncio.run(faulty.load_markets())
    assert not troubles.is_closed(START_MS + DAY_MS + HOUR_MS)


def test_minutes_are_withheld_for_an_hour() -> None:
    troubles = replace(CALM, gaps_a_day=24.0, gaps_until_ms=START_MS + DAY_MS)
    ts = START_MS + MINUTE_MS * np.arange(60.0)
    hidden = troubles.withheld(BTC, ts, START_MS + 50 * MINUTE_MS)
    assert hidden.sum() == 3
    assert np.ptp(ts[hidden]) == 2 * MINUTE_MS
    assert not troubles.withheld(BTC, ts, START_MS + 2 * HOUR_MS).any()


def test_a_candle_is_shown_with_another_close_for_two_minutes_only() -> None:
    faulty = market(replace(CALM, revised=1.0))
    first = asked(faulty)[-2]
    asyncio.run(faulty.advance())
    asyncio.run(faulty.advance())
    later = asked(faulty)
    assert first[4] != later[later[:, 0] == first[0]][0, 4]


def test_nothing_goes_wrong_any_more_at_the_end() -> None:
    troubles = Troubles(START_MS, START_MS + HOUR_MS, START_MS, timeouts=1.0, empties=1.0, outage_ms=10 * DAY_MS)
    assert len(asked(market(troubles))) == 6
    messenger = FaultyNotifier(market(troubles), replace(troubles, refused=1.0))
    assert asyncio.run(messenger.send(Message("", ""))) == "1"


def test_a_messenger_refuses_some_cannot_be_reached_at_times_and_delivers_the_rest() -> None:
    messenger = FaultyNotifier(market(CALM), replace(CALM, refused=0.1, unreachable=0.4))
    waits = []
    for _ in range(300):
        try:
            asyncio.run(messenger.send(Message("", "")))
        except NotifierUnavailable as error:
            waits.append(error.retry_after_s)
        except NotifierError:
            continue
    assert set(waits) == {None, 120.0}
    assert all(messenger.counts[name] > 10 for name in ("sent", "refused", "not reached", "asked to wait"))


def test_problems_are_told_apart_by_kind_and_only_so_many_of_them() -> None:
    one = kind_of("sync: S03/USDT:USDT: no candle later than 2023-01-22 13:20 UTC where one is due")
    assert one == kind_of("sync: S11/USDT:USDT: no candle later than 2023-02-01 00:05 UTC where one is due")
    kinds = Kinds()
    logger = logging.Logger("soak")
    logger.addHandler(kinds)
    for number in range(200):
        logger.warning("%s is wrong", chr(300 + number))
    assert len(kinds.counts) == 61
    assert sum(kinds.counts.values()) == 200


def test_a_soak_begins_on_a_monday_and_a_short_one_holds_a_sunday_evening() -> None:
    whole, short = plan_of(Path("x"), 30, 20, 22), plan_of(Path("x"), 2, 4, 22)
    assert (format_ms(whole.start_ms), _soak_rows.sundays(whole)) == ("2023-01-23 00:00 UTC", 4)
    assert (format_ms(short.start_ms), _soak_rows.sundays(short)) == ("2023-01-22 00:00 UTC", 1)
    assert whole.start_ms < whole.gaps_until_ms < whole.calm_ms < whole.end_ms
    assert whole.start_ms - whole.past_ms == 22 * DAY_MS
    assert Plan(**whole.as_values()) == whole


def measured(plan: Plan, mb_a_day: float = 0.0, **more: Any) -> dict[str, Any]:
    day = np.arange(0, plan.days, 1 / 24)
    cycles = int((plan.end_ms - plan.start_ms) // plan.step_ms)
    hours = {"day": day, "rss": 2**20 * (300 + mb_a_day * day), "db": 2**20 * (900 + 4 * day)}
    hours |= {"fds": np.full(len(day), 16.0), "threads": np.full(len(day), 4.0), "wal": np.full(len(day), 2.0**22)}
    told = {"cycles": cycles, "cycle_ms": [20.0] * cycles, "beside": [0] * cycles, "hours": hours}
    told |= {"wal_peak": 20 * 2**20, "wal_peak_day": 3.0, "wal_stuck": 100 * 2**20, "wal_after": 2**20}
    told |= {"faults": {"timeout": 3}, "messages": {"sent": 9}, "undelivered": 0, "work": {"signals": 5}, "differ": 0}
    told |= {"job_runs": 9, "runs_days": 14, "oldest_run_days": 14.5, "weekly_ok": 12, "weekly_failed": []}
    return {**told, "upkeep_ms": {"maintain": [5.0]}, "log_bytes": 1_000, **more}


VIEWER = {"polls": 10, "mean_ms": 4.0, "slowest_ms": 9.0, "errors": {}}


def test_a_run_that_kept_its_promises_is_said_to_have() -> None:
    plan = plan_of(Path("x"), 30, 20, 22)
    rows = _soak_rows.rows_of(plan, measured(plan), VIEWER)
    assert _soak_page.broken(rows) == []
    assert sum(row.met is True for row in rows) >= 10


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"mb_a_day": 1.5}, "memory after warm-up: slope"),
        ({"wal_peak": 80 * 2**20}, "write-ahead log"),
        ({"wal_after": 80 * 2**20}, "... within an hour of its end"),
        ({"undelivered": 2}, "alerts not delivered at the end"),
        ({"differ": 1}, "minutes that differ from the market"),
        ({"weekly_ok": 11}, "weekly jobs not done"),
        ({"oldest_run_days": 29.0}, "rows of job_runs: older than they may be"),
        ({"log_bytes": 26_000_000}, "log files"),
        ({"cycles": 43_000}, "the engine reached the end"),
    ],
)
def test_each_broken_promise_is_found(change: dict[str, Any], what: str) -> None:
    plan = plan_of(Path("x"), 30, 20, 22)
    assert _soak_page.broken(_soak_rows.rows_of(plan, measured(plan, **change), VIEWER)) == [what]


@pytest.mark.parametrize(("name", "what"), [("fds", "open descriptors: growth"), ("threads", "threads: growth")])
def test_descriptors_and_threads_that_grow_are_found(name: str, what: str) -> None:
    plan = plan_of(Path("x"), 30, 20, 22)
    told = measured(plan)
    told["hours"][name] = 10.0 + told["hours"]["day"]
    assert _soak_page.broken(_soak_rows.rows_of(plan, told, VIEWER)) == [what]


def test_pages_the_viewer_could_not_read_are_found() -> None:
    plan = plan_of(Path("x"), 30, 20, 22)
    rows = _soak_rows.rows_of(plan, measured(plan), {**VIEWER, "errors": {"StoreError": 1}})
    assert _soak_page.broken(rows) == ["viewer: pages that failed"]


def test_what_a_system_does_not_tell_and_what_is_too_short_is_shown_and_not_judged() -> None:
    plan = plan_of(Path("x"), 30, 20, 22)
    told = measured(plan)
    told["hours"]["rss"] = np.full(len(told["hours"]["day"]), np.nan)
    assert "not measured on this system" in _soak_page.told(_soak_rows.rows_of(plan, told, VIEWER))
    short = plan_of(Path("x"), 9, 2, 3)
    told = measured(short, mb_a_day=50.0)
    assert _soak_page.broken(_soak_rows.rows_of(short, told, VIEWER)) == []
    assert "+50.0 MB a market day, too short to judge" in _soak_page.told(_soak_rows.rows_of(short, told, VIEWER))


def test_figures_are_kept_shown_on_the_page_and_decide_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, out = tmp_path / "page.md", tmp_path / "deep" / "soak.json"
    page.write_text("before\n<!-- soak -->\nold\n<!-- /soak -->\nafter\n", encoding="utf-8")
    about = {"processor": "P", "cores": 2, "memory_gb": 8, "system": "S", "python": "3.11", "load": 0.1}
    rows = [Row("log", "peak", 9.0, Bar(64.0, False, " MB")), Row("memory", "grows", 2.0, Bar(1.0, False, " MB"))]
    assert _soak_page.finish("soak", _soak_page.kept(about, rows[:1], "made"), out, page) == 0
    assert _soak_page.finish("soak", _soak_page.kept(about, rows, "made", notes=["", "a note"]), out, page) == 1
    text = page.read_text(encoding="utf-8")
    assert "| log | peak | 9 MB | <= 64 MB | kept |" in text
    assert "| memory | grows | 2 MB | <= 1 MB | BROKEN |" in text
    assert "a note\n<!-- /soak -->\nafter" in text
    assert "old" not in text
    assert json.loads(out.read_text(encoding="utf-8"))["rows"][1]["met"] is False
    assert "promise broken: memory" in capsys.readouterr().out
    with pytest.raises(ValueError, match="lacks the marks"):
        _soak_page.finish("load", _soak_page.kept(about, rows, "made"), out, page)


@pytest.mark.parametrize("name", ["soak", "load"])
def test_the_page_has_the_marks_its_tables_go_between(name: str) -> None:
    text = _soak_page.PAGE.read_text(encoding="utf-8")
    assert text.count(f"<!-- {name} -->") == text.count(f"<!-- /{name} -->") == 1


def minute(close_ms: int, late_s: float, behind: int = 0) -> dict[str, Any]:
    stages = {"incremental_sync": 2_500, "scan_signals": 40}
    counts = {"closes": 250, "signals": 2, "queued": 1, "behind": behind, "problems": []}
    return {"close_ms": close_ms, "late_ms": late_s * 1000, "stages_ms": stages, **counts}


def test_lateness_is_held_against_the_promise_of_its_size() -> None:
    minutes = [minute(START_MS + number * MINUTE_MS, 6.0) for number in range(30)]
    minutes.append(minute(START_MS + 30 * MINUTE_MS, 11.0))
    told, exchange = {"minutes": minutes, "sent": 3}, {"requests": {"/candles": 1_500}, "refused": 0}
    first = _load_rows.size_rows(50, 20, told, exchange)
    assert _soak_page.broken(first) == [
        f"50 symbols x {len(LOAD_TIMEFRAMES)} timeframes: close to decided and queued, p99"
    ]
    assert "00:30: incremental_sync 2.50 s" in first[2].measured
    assert _soak_page.broken(_load_rows.size_rows(200, 20, told, exchange)) == []
    assert _load_rows.size_rows(500, 20, told, exchange)[0].met is None
    told["minutes"][3] = minute(START_MS, 6.0, behind=2)
    assert "... symbols left behind by a close" in _soak_page.broken(_load_rows.size_rows(200, 20, told, exchange))


def test_the_same_closes_are_compared_with_and_without_work_beside_them() -> None:
    quiet = [minute(START_MS + number * MINUTE_MS, 5.0 + number) for number in range(4)]
    busy = [minute(one["close_ms"], one["late_ms"] / 1000 + 0.3) for one in quiet]
    (row,) = _load_rows.extra_rows(quiet, busy, {"retro-scan": 2, "train-meta": 0})
    assert row.value == pytest.approx(0.3)
    assert "train-meta 0 times" in row.measured


def test_the_exchange_takes_its_time_and_refuses_who_asks_too_often() -> None:
    candles = _data.make_world("edge", "L000/USDT:USDT", START_MS, 1, seed=7).candles
    offer = Offer(["L000/USDT:USDT"], [], START_MS + HOUR_MS, latency_s=0.01, per_second=1)

    def ask(server: PacedBitget, path: str) -> int:
        try:
            with urllib.request.urlopen(server.url + path, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    with PacedBitget([Listing(MARKET, "L000", candles)], offer) as server:
        codes = [ask(server, "/api/v2/public/time") for _ in range(20)]
        assert codes[0] == 200 and set(codes) == {200, 429}
        assert server.faulted["too_many"] == codes.count(429)
        (contract,) = server.answer("/api/v2/mix/market/contracts", {"productType": MARKET})  # type: ignore[misc]
        assert int(contract["pricePlace"]) >= 3


def test_a_short_soak_runs_from_its_past_to_its_last_alert(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, 0.1, 2, 3)
    said: list[str] = []
    prepare(plan, said.append)
    run = soak.soak(plan)
    assert "2 symbols" in said[-1]
    assert run.told["cycles"] == 144
    assert run.told["undelivered"] == run.told["differ"] == 0
    assert run.told["faults"]["symbol out"] > 0
    assert len(run.told["upkeep_ms"]["maintain"]) >= 3
    assert _soak_page.broken(run.rows) == []


def test_a_soak_whose_engine_ends_before_its_time_says_why(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, 0.1, 1, 1)
    tmp_path.joinpath("config.yaml").write_text("nonsense: 1\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match="symbols: missing"):
        soak.soak(plan)


def test_a_short_load_test_decides_its_closes_against_the_exchange(tmp_path: Path) -> None:
    terms = load.Terms(minutes=2, warm=1, latency_s=0.01, per_second=1_000, history_days=8)
    rows = load.measure(tmp_path, [3], terms, beside=False)
    assert rows[0].figures["n"] == 2
    assert 3.0 <= rows[0].figures["max"] < 30.0
    assert "closes decided" in rows[3].measured
    assert rows[-1].met is True
