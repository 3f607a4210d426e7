"""With a model in force a tape played through the live cycle and a retro scan over the same candles write the same.

The models are small and the markets synthetic; what is compared is every verdict with its numbers, every vector and
every trade, row by row. What was in force changes on the way: the model, the thresholds, an alarm; or the weekly jobs
of the engine change it themselves.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core import app
from core.adapters.markets.offline import OfflineMarket
from core.adapters.markets.replay import ReplayMarket, Tape
from core.adapters.markets.synthetic import make_tape
from core.cli.engine import refreshed
from core.clock import DAY_MS, HOUR_MS, MINUTE_MS, parse_time
from core.estimators.logistic import Logistic
from core.gate import Calibrator, Evidence, Slice
from core.jobs import resample, retro, train
from core.jobs._desk import Desk
from core.jobs._gating import gating_text, load_model, newest_champion
from core.jobs._learning import publish
from core.jobs.schedule import Schedule
from core.jobs.weekly import Weekly
from core.store.reader import Reader
from core.training.card import golden_rows
from tests.engine import differences, record, write_config

SYMBOLS = ["BTC/USDT:USDT", "ETH/USDT:USDT"]
TIMEFRAMES = ["15m", "1h"]
EXCHANGE = "synthetic"
START = parse_time("2024-01-01")  # a Monday
HISTORY_DAYS, LIVE_DAYS, SEED = 48, 3, 11
LIVE = START + HISTORY_DAYS * DAY_MS
END = LIVE + LIVE_DAYS * DAY_MS
STEP = 15 * MINUTE_MS
NOBODY: dict[str, Any] = {"auto": {"enabled": False}}

Change = Callable[[Desk, int], None]


def settings(folder: Path, change: dict[str, Any]) -> Path:
    gating = {"use_ev": False, "threshold": 0.42}
    meta = {"model_path": str(folder / "models"), "estimator": "logistic", "min_signals_for_training": 60}
    plain = {
        "exchange": {"id": EXCHANGE, "synthetic": {"start": "2024-01-01", "days": HISTORY_DAYS + LIVE_DAYS}},
        "symbols": SYMBOLS,
        "timeframes": TIMEFRAMES,
        "app": {"log_level": "ERROR"},
        "notify": {"console": False},
        "models": {"meta": {**meta, "gating": gating}},
    }
    return write_config(folder, {**plain, **change})


@pytest.fixture(scope="module")
def tape() -> Tape:
    return make_tape("edge", SYMBOLS, START, HISTORY_DAYS + LIVE_DAYS, SEED, 0.8)


@contextmanager
def opened(config: Path, market: Any = None, now_ms: int = END) -> Iterator[Desk]:
    source = app.config_source(config, None, {})
    desk = app.open_desk(source, logging.getLogger("test"), market or OfflineMarket(EXCHANGE, True, now_ms))
    try:
        yield desk
    finally:
        desk.writer.close()


def give(desk: Desk, tape: Tape, to_ms: int) -> None:
    """Store the minutes of a tape up to a time, and what is made of them."""
    desk.writer.put_instruments(list(tape.instruments(EXCHANGE).values()))
    for symbol in SYMBOLS:
        key = (EXCHANGE, symbol, "1m")
        with desk.writer.transaction():
            desk.writer.put_candles(*key, tape.series[symbol].candles.between(None, to_ms), to_ms)
            desk.writer.set_checkpoint(*key, to_ms)
            desk.writer.set_frontier(*key, to_ms)
    asyncio.run(resample.run(desk, to_ms))


@pytest.fixture(scope="module")
def history(tape: Tape, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a month scanned in retrospect, a model learned from it, and thresholds with evidence."""
    folder = tmp_path_factory.mktemp("history")
    config = settings(folder, NOBODY)
    with opened(config, now_ms=LIVE) as desk:
        give(desk, tape, LIVE)
        asyncio.run(retro.run(desk, LIVE, retro.RetroRequest(0, LIVE, SYMBOLS, TIMEFRAMES)))
        assert asyncio.run(train.run(desk, LIVE)).counts["promoted"] == 1
        put_thresholds(desk, LIVE + 1, "the first")
    return folder


def put_thresholds(desk: Desk, since_ms: int, note: str, threshold: float = 0.42, certified: bool = True) -> None:
    gating = desk.config.models.meta.gating.model_copy(update={"threshold": threshold})
    evidence = json.dumps(evidence_of(certified).to_json())
    desk.writer.put_thresholds(since_ms, gating_text(gating), evidence, "user", note)


def evidence_of(certified: bool) -> Evidence:
    numbers = {"n": 412, "n_eff": 300.0, "weeks": 40, "mean_r": 0.1, "lower_r": 0.03, "win_rate": 0.5}
    rest = {"lower_win": 0.46, "threshold": 0.0, "certified": certified, "speaks": True}
    names = ("15m", "1h", "vol_low", "vol_normal")
    return Evidence("p", LIVE, {name: Slice(name=name, **numbers, **rest, expires_ms=END - HOUR_MS) for name in names})


def another_model(desk: Desk) -> str:
    """Publish the champion with another calibrator."""
    champion = load_model(desk, newest_champion(desk))
    other = replace(champion, calibrator=Calibrator("platt", a=0.3, b=-0.02, n_eff=200.0))
    _, vectors = desk.reader.features(champion.feature_set)
    facts = {"n": len(vectors), "n_eff": 100.0, "golden": golden_rows(other, vectors)}
    version, _ = publish(desk, other, Logistic(), facts, LIVE)
    return version


def play(folder: Path, tape: Tape, history: Path, change: dict[str, Any], at: dict[int, Change]) -> Path:
    """Play the tape's last days through the scheduler, from the history on; do what is to be done after a close."""
    shutil.copytree(history, folder)
    assert play_on(settings(folder, change), tape, LIVE, END, at) == LIVE_DAYS * DAY_MS // STEP
    return folder


def play_on(config: Path, tape: Tape, start_ms: int, end_ms: int, at: dict[int, Change]) -> int:
    """Play a part of the tape through the scheduler; return the number of cycles."""
    market = ReplayMarket(tape, EXCHANGE, start_ms=start_ms, end_ms=end_ms, step_ms=STEP, synthetic=True)
    with opened(config, market) as desk:
        assert desk.source is not None
        source = desk.source

        def on_cycle(now_ms: int, reports: list[Any]) -> None:
            assert all(report.ok for report in reports), [str(report) for report in reports]
            if now_ms in at:
                at[now_ms](desk, now_ms)

        schedule = Schedule(desk, lambda now: refreshed(now, source), on_cycle, weekly=Weekly())
        asyncio.run(schedule.run())
        return schedule.cycles


def scan_in_retrospect(
    folder: Path, tape: Tape, played: Path, change: dict[str, Any], to_ms: int = END, **asked: Any
) -> Path:
    """Scan the same candles in a new database that knows the same models and what was in force when."""
    config = settings(folder, change)
    shutil.copytree(played / "models", folder / "models")
    shutil.copy(played / "config.yaml", config)
    config.write_text(config.read_text(encoding="utf-8").replace(str(played), str(folder)), encoding="utf-8")
    with opened(config) as desk:
        give(desk, tape, to_ms)
        copy_what_was_in_force(Reader(played / "ohlcv.db"), desk)
        report = asyncio.run(retro.run(desk, to_ms, retro.RetroRequest(0, to_ms, SYMBOLS, TIMEFRAMES, **asked)))
        assert report.ok, str(report)
    return folder


def copy_what_was_in_force(known: Reader, desk: Desk) -> None:
    for row in known.models().to_dict("records"):
        card = known.model_card(row["version"])
        assert card is not None
        desk.writer.put_model(card_json=card, **{name: row[name] for name in row if name != "state"})
    for row in known.reigns().to_dict("records"):
        desk.writer.crown(row["version"] or None, row["since_ms"], row["reason"])
    for row in known.thresholds().to_dict("records"):
        desk.writer.put_thresholds(row["since_ms"], row["gating"], row["evidence"], row["origin"], row["note"])
    for row in known.drift().to_dict("records"):
        names = ("ms", "statistic", "state", "value", "n", "detail")
        desk.writer.put_drift(*(row[name] for name in names))


def assert_same_since_live(played: Path, scanned: Path) -> pd.DataFrame:
    """Compare what was decided from the first live close on; return those signals."""
    mine, theirs = (written(folder) for folder in (played, scanned))
    for one, other in zip(mine, theirs, strict=True):
        assert len(one) > 10
        assert differences(one, other) == []
    return mine[0]


def written(folder: Path) -> tuple[pd.DataFrame, ...]:
    """Return signals, trades, events, decisions and vectors of the live days, ordered by key."""
    signals, trades, events = record(folder / "ohlcv.db")
    signals = signals[signals["decided_ms"] > LIVE].reset_index(drop=True)
    reader, ids = Reader(folder / "ohlcv.db"), signals["id"]
    decisions = reader.decisions(ids.tolist()).set_index("signal_id").loc[ids].reset_index()
    found, vectors = reader.features(reader.models()["feature_set"].iloc[0], ids.tolist())
    order = pd.Index(found).get_indexer(pd.Index(ids))
    assert (order >= 0).all()
    told = pd.DataFrame(vectors[order]).add_prefix("f")
    keep = signals["key"]
    parts = [frame[frame["key"].isin(keep)].reset_index(drop=True) for frame in (trades, events)]
    return (signals, *parts, decisions.assign(key=keep), told.assign(key=keep))


def models_change(desk: Desk, now_ms: int) -> None:
    desk.writer.crown(another_model(desk), now_ms + 1, "half-way")


def thresholds_change(desk: Desk, now_ms: int) -> None:
    """Change the file and the record, as a tuning does."""
    assert desk.source is not None
    text = desk.source.target.read_text(encoding="utf-8")
    assert text.count("threshold: 0.42") == 1
    desk.source.target.write_text(text.replace("threshold: 0.42", "threshold: 0.44"), encoding="utf-8")
    put_thresholds(desk, now_ms + 1, "half-way", 0.44, certified=False)


def an_alarm_begins(desk: Desk, now_ms: int) -> None:
    desk.writer.put_drift(now_ms + 1, "p", "alarm", 20.0, 100, "half-way")


def the_alarm_ends(desk: Desk, now_ms: int) -> None:
    desk.writer.put_drift(now_ms + 1, "p", "clear", np.nan, 0, "half-way")


HALF_WAY: dict[int, Change] = {
    LIVE + 16 * HOUR_MS: models_change,
    LIVE + 32 * HOUR_MS: thresholds_change,
    LIVE + 44 * HOUR_MS: an_alarm_begins,
    LIVE + 54 * HOUR_MS: the_alarm_ends,
}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, tape: Tape, history: Path) -> Path:
    return play(tmp_path_factory.mktemp("live") / "one", tape, history, NOBODY, HALF_WAY)


def test_live_and_retro_agree_while_models_thresholds_and_alarms_change(
    tmp_path: Path, tape: Tape, played: Path
) -> None:
    scanned = scan_in_retrospect(tmp_path, tape, played, NOBODY)
    signals = assert_same_since_live(played, scanned)
    assert signals["model_version"].nunique() == 2
    assert {"PASS", "FILTERED", "NO_EVIDENCE"} <= set(signals["verdict"])
    assert {"CERTIFIED", "NOT_CERTIFIED", "P_BELOW", "DRIFT"} <= set(signals["reason"])
    assert Reader(played / "ohlcv.db").thresholds()["note"].tolist() == ["the first", "half-way"]
    again = written(tmp_path)
    with opened(tmp_path / "config.yaml") as desk:
        asyncio.run(retro.run(desk, END, retro.RetroRequest(0, END, SYMBOLS, TIMEFRAMES)))
    for one, other in zip(again, written(tmp_path), strict=True):
        assert one.equals(other)


def test_chunks_and_processes_change_nothing(
    tmp_path: Path, tape: Tape, played: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retro, "CHUNK_MS", 5 * DAY_MS + HOUR_MS)
    assert_same_since_live(played, scan_in_retrospect(tmp_path, tape, played, NOBODY, jobs=2))


def test_what_was_missed_while_nobody_ran_is_decided_as_if_somebody_had(
    tmp_path: Path, tape: Tape, history: Path
) -> None:
    played = tmp_path / "live"
    shutil.copytree(history, played)
    config, back = settings(played, NOBODY), LIVE + 54 * HOUR_MS
    assert play_on(config, tape, LIVE, LIVE + HOUR_MS, {}) == 4
    assert play_on(config, tape, back, back + HOUR_MS, {}) == 4
    signals = assert_same_since_live(
        played, scan_in_retrospect(tmp_path / "retro", tape, played, NOBODY, back + HOUR_MS)
    )
    assert ((signals["decided_ms"] > LIVE + HOUR_MS) & (signals["decided_ms"] < back)).sum() > 5


WEEKLY: dict[str, Any] = {
    "auto": {
        "weekly_train": {"day_of_week": "mon", "hour_utc": 6, "minute": 0},
        "weekly_calibrate": {"day_of_week": "mon", "hour_utc": 12, "minute": 0},
        "weekly_tune": {"day_of_week": "mon", "hour_utc": 12, "minute": 0, "mode": "p"},
    }
}


def test_live_and_retro_agree_when_the_weekly_jobs_run_and_the_same_tape_gives_the_same(
    tmp_path: Path, tape: Tape, history: Path
) -> None:
    spoil = {LIVE + 15 * MINUTE_MS: lambda desk, now_ms: desk.writer.crown(None, now_ms + 1, "so that one is learned")}
    one, two = (play(tmp_path / name, tape, history, WEEKLY, spoil) for name in ("one", "two"))
    first, second = (Reader(folder / "ohlcv.db") for folder in (one, two))
    runs = first.job_runs(limit=10_000)
    assert set(runs.loc[runs["job"].str.startswith("auto"), "status"]) == {"ok"}
    assert len(first.models()) >= 2 and first.thresholds()["origin"].tolist().count("tune") == 1
    assert first.models().equals(second.models()) and first.reigns().equals(second.reigns())
    assert first.predictions().equals(second.predictions())
    for mine, theirs in zip(written(one), written(two), strict=True):
        assert mine.equals(theirs)
    signals = assert_same_since_live(one, scan_in_retrospect(tmp_path / "retro", tape, one, WEEKLY))
    assert signals["model_version"].nunique() >= 2
