"""How long rows are kept: every table has a rule, and nothing goes that is still to be told or answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest

from core.clock import DAY_MS
from core.store.reader import Reader
from core.store.retention import NOTES_DAYS, RULES, Keep
from core.store.writer import Writer
from tests.factories import signal_rows, trade_rows

NOW_MS = 1_800_000_000_000
KEEP = Keep(runs_days=14, failed_runs_days=90, alerts_days=90)


def tables_of(path: Path) -> list[str]:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    listed = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    names = [str(name) for (name,) in connection.execute(listed)]
    connection.close()
    return names


def ago(days: float) -> int:
    return NOW_MS - round(days * DAY_MS)


def queue(
    writer: Writer, key: str, *, days: float, state: str = "sent", signal_id: int = 0, kind: str = "new_signal"
) -> None:
    row: dict[str, Any] = {"key": key, "channel": "telegram", "kind": kind, "payload": "{}", "signal_id": signal_id}
    writer.queue([{**row, "created_ms": ago(days), "next_try_ms": ago(days)}])
    if state != "queued":
        number = int(writer.reader.outbox().query("key == @key")["id"].iloc[0])
        writer.mark_outbox(number, state, ago(days))


def test_every_table_has_a_rule_or_a_reason_to_grow(writer: Writer, path: Path) -> None:
    assert tables_of(path) == sorted(RULES)
    assert all(RULES.values())


def test_runs_go_when_they_are_older_than_their_days_and_not_on_the_day_itself(writer: Writer, reader: Reader) -> None:
    for status, days in (("ok", 14), ("ok", 14.01), ("failed", 14.01), ("failed", 90), ("failed", 90.01)):
        writer.put_job_run("sync", ago(days), ago(days), status, f"{status} {days}")
    assert writer.forget(KEEP, NOW_MS) == {"job_runs": 2, "outbox": 0}
    assert reader.job_runs()["detail"].tolist() == ["failed 90", "failed 14.01", "ok 14"]


def test_delivered_alerts_go_and_those_that_wait_stay_however_old_they_are(writer: Writer, reader: Reader) -> None:
    for state in ("sent", "failed", "skipped", "queued"):
        queue(writer, f"old {state}", days=1_000, state=state)
        queue(writer, f"young {state}", days=89, state=state)
    assert writer.forget(KEEP, NOW_MS)["outbox"] == 3
    assert reader.outbox()["key"].tolist() == [
        "young sent",
        "young failed",
        "young skipped",
        "old queued",
        "young queued",
    ]


def test_what_the_engine_said_of_itself_is_kept_longer_as_its_key_keeps_it_from_being_said_again(
    writer: Writer, reader: Reader
) -> None:
    queue(writer, "note:weekly:2024-W07", days=NOTES_DAYS - 1, kind="note")
    queue(writer, "note:weekly:2023-W07", days=NOTES_DAYS + 1, kind="note")
    writer.forget(KEEP, NOW_MS)
    assert reader.outbox()["key"].tolist() == ["note:weekly:2024-W07"]


@pytest.mark.parametrize(("status", "kept"), [("PENDING", 1), ("OPEN", 1), ("CLOSED", 0), ("EXPIRED", 0)])
def test_what_an_unfinished_trade_is_answered_to_stays(writer: Writer, reader: Reader, status: str, kept: int) -> None:
    (number,) = writer.put_signals(signal_rows([{}]).drop(columns="id"))["id"].tolist()
    writer.put_trades(trade_rows([{"signal_id": number, "status": status}]))
    queue(writer, "new", days=400, signal_id=number)
    writer.forget(KEEP, NOW_MS)
    assert len(reader.outbox()) == kept


def test_the_first_message_of_a_signal_stays_while_another_about_it_waits(writer: Writer, reader: Reader) -> None:
    queue(writer, "new", days=400, signal_id=7)
    queue(writer, "event", days=399, signal_id=7, state="queued", kind="trade_event")
    assert writer.forget(KEEP, NOW_MS)["outbox"] == 0
    writer.mark_outbox(int(reader.outbox(state="queued")["id"].iloc[0]), "sent", ago(91))
    assert writer.forget(KEEP, NOW_MS)["outbox"] == 2


def test_an_announcement_that_was_forgotten_is_not_made_again_by_its_signal(writer: Writer) -> None:
    rows = signal_rows([{}]).drop(columns="id")
    assert writer.put_signals(rows)["new"].tolist() == [True]
    queue(writer, "new:key-1:telegram", days=400)
    writer.forget(KEEP, NOW_MS)
    assert writer.put_signals(rows)["new"].tolist() == [False], "only a signal that is new is announced"


def test_no_more_is_forgotten_at_once_than_was_asked_for_the_oldest_first(writer: Writer, reader: Reader) -> None:
    with writer.transaction():
        for k in range(250):
            writer.put_job_run("sync", k, k, "ok", "")
    assert writer.forget(KEEP, NOW_MS, rows=100)["job_runs"] == 100
    assert reader.job_runs(limit=1_000)["started_ms"].min() == 100
    assert [writer.forget(KEEP, NOW_MS, rows=100)["job_runs"] for _ in range(3)] == [100, 50, 0]


def test_jobs_that_take_turns_are_all_kept_from_growing(
    writer: Writer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.store._write_records._RUNS_KEPT", 100)
    jobs = ("a", "b", "c", "d", "e", "f")
    with writer.transaction():
        for k in range(2_000):
            for job in jobs:
                writer.put_job_run(job, k, k, "ok", "")
    kept = [len(writer.reader.job_runs(job, limit=5_000)) for job in jobs]
    assert min(kept) >= 100 and max(kept) <= 160, kept
