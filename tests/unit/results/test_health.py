"""Whether the engine keeps up, from facts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.clock import HOUR_MS, MINUTE_MS
from core.results.health import FAILURES_IN_A_ROW, HealthFacts, JobState, health_of, health_words

NOW = 1_708_000_000_000
WELL = HealthFacts(
    now_ms=NOW,
    last_cycle_ms=NOW - MINUTE_MS,
    frontiers={"BTC": NOW - MINUTE_MS, "ETH": NOW - 2 * MINUTE_MS},
    off={},
    jobs={"scan_signals": JobState(NOW - MINUTE_MS)},
)


def test_an_engine_that_keeps_up_is_well() -> None:
    assert all(finding.ok for finding in health_of(WELL))
    assert [line.split()[0] for line in health_words(health_of(WELL))] == ["ok"] * 5


@pytest.mark.parametrize(
    ("change", "name", "told"),
    [
        ({"last_cycle_ms": 0}, "cycle", "none has run yet"),
        ({"last_cycle_ms": NOW - HOUR_MS}, "cycle", "1h ago"),
        ({"frontiers": {"BTC": NOW, "ETH": NOW - HOUR_MS}}, "candles", "1 of 2 symbols are late; ETH is 1h behind"),
        ({"frontiers": {"BTC": None, "ETH": NOW - HOUR_MS}}, "candles", "2 of 2 symbols are late; BTC has none"),
        (
            {"jobs": {"funding": JobState(NOW, FAILURES_IN_A_ROW, "no answer")}},
            "jobs",
            "funding failed 3 times in a row; the last time: no answer",
        ),
        ({"waiting": 4, "oldest_waiting_ms": NOW - HOUR_MS}, "messages", "4 wait, the oldest since"),
        ({"refused": 2}, "messages", "none waits; 2 refused for good in the last day"),
        ({"wal_bytes": 65_000_000}, "write-ahead log", "65.0 MB, 64 MB at most"),
    ],
)
def test_what_is_wrong_is_found_named_and_stands_first(change: dict[str, object], name: str, told: str) -> None:
    findings = health_of(replace(WELL, **change))  # type: ignore[arg-type]
    assert [finding.name for finding in findings if not finding.ok] == [name]
    first = health_words(findings)[0]
    assert first.startswith(f"WRONG  {name}: ")
    assert told in first


def test_what_is_not_wrong_yet_is_said() -> None:
    facts = replace(
        WELL,
        off={"XRP": "delisted"},
        jobs={"funding": JobState(NOW, 1, "no answer")},
        waiting=1,
        oldest_waiting_ms=NOW - MINUTE_MS,
        last_cycle_ms=NOW - MINUTE_MS,
    )
    told = " ".join(health_words(health_of(facts)))
    assert all(finding.ok for finding in health_of(facts))
    assert "switched off: XRP (delisted)" in told
    assert "failed just now, not yet often: funding" in told
    assert "1 wait" in told
