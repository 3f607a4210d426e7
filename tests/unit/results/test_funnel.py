"""The funnel: every candidate is counted once in its place, and a rate is shown only where it can be read as one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.clock import DAY_MS
from core.results.funnel import ALL, FUNNEL_ROWS, funnel_lines, funnel_of
from core.schema import conform

WEEK_MS = 7 * DAY_MS


def rows(*changes: dict[str, Any], times: int = 1) -> pd.DataFrame:
    plain = {
        "timeframe": "1h",
        "verdict": "PASS",
        "reason": "CERTIFIED",
        "decided_ms": 0,
        "status": "CLOSED",
        "taken": 1,
        "blocked_by": "",
        "opened_ms": 1,
        "known_ms": 2,
        "signal_id": 0,
        "pnl_pct": 1.0,
        "r_multiple": 1.0,
    }
    full = [{**plain, "decided_ms": k * WEEK_MS // 4, **change} for k in range(times) for change in changes]
    frame = pd.DataFrame(full, columns=list(plain))
    return conform(frame.assign(signal_id=np.arange(len(frame))), FUNNEL_ROWS)


REFUSED = {"verdict": "FILTERED", "reason": "EV_BELOW", "taken": 0, "pnl_pct": -1.0, "r_multiple": -1.0}
BLOCKED = {"taken": 0, "blocked_by": "MAX_OPEN"}
WAITING = {"status": "PENDING", "opened_ms": 0, "known_ms": 0, "r_multiple": np.nan, "pnl_pct": np.nan}
VOID = {"status": "CANCELLED", "opened_ms": 0, "r_multiple": np.nan, "pnl_pct": np.nan}
NOBODY = {"verdict": "UNGATED", "reason": "NO_MODEL", "pnl_pct": -0.5, "r_multiple": -0.5}
LACKING = {"verdict": "ABSTAIN", "reason": "MISSING_FEATURE:trend_adx", "taken": 0, "status": "", "opened_ms": 0}


def test_every_candidate_is_counted_in_its_place() -> None:
    found = funnel_of(rows({}, REFUSED, BLOCKED, WAITING, VOID, NOBODY, LACKING), closes=500)
    assert (found.closes, found.candidates, found.passed) == (500, 7, 5)
    assert found.reasons == {
        ("PASS", "CERTIFIED"): 4,
        ("FILTERED", "EV_BELOW"): 1,
        ("UNGATED", "NO_MODEL"): 1,
        ("ABSTAIN", "MISSING_FEATURE"): 1,
    }
    assert found.blocked == {"MAX_OPEN": 1}
    assert (found.taken, found.filled, found.won) == (4, 2, 1)
    assert found.pass_rate.value == pytest.approx(4 / 6)
    assert found.taken_rate.value == pytest.approx(4 / 5)
    assert found.fill_rate.value == pytest.approx(2 / 3)  # the one that waits may still fill
    assert found.win_rate.value == pytest.approx(1 / 2)


def test_passed_refused_and_unjudged_are_compared_on_all_that_was_played_out() -> None:
    found = funnel_of(rows({}, BLOCKED, REFUSED, NOBODY, WAITING, times=20), closes=0)
    assert (found.passed_r.value, found.passed_r.n) == (1.0, 40)
    assert (found.refused_r.value, found.refused_r.n) == (-1.0, 20)
    assert (found.ungated_r.value, found.ungated_r.n) == (-0.5, 20)
    lines = "\n".join(funnel_lines({"1h": found}))
    assert "Expectancy of the passed, taken or not\n  1h  +1.00 R  (95 %: +1.00 to +1.00 R, n = 40)" in lines
    assert "1h  not enough data  (20 closed, 30 needed)" in lines


def test_timeframes_stand_side_by_side_and_add_up() -> None:
    hours, days = rows({}, REFUSED, times=30), rows({**BLOCKED, "timeframe": "1d"}, times=3)
    both = pd.concat([hours, days], ignore_index=True)
    funnels = {"1h": funnel_of(hours, 1_000), "1d": funnel_of(days, 42), ALL: funnel_of(both, 1_042)}
    lines = funnel_lines(funnels)
    table = {" ".join(line.split()[:-3]): line.split()[-3:] for line in lines[1 : lines.index("")]}
    assert lines[0].split() == ["1h", "1d", "all"]
    assert table["Closes looked at"] == ["1,000", "42", "1,042"]
    assert table["Candidates"] == ["60", "3", "63"]
    assert table["FILTERED EV_BELOW"] == ["30", "0", "30"]
    assert table["blocked by MAX_OPEN"] == ["0", "3", "3"]
    assert len({len(line) for line in lines[: lines.index("")]}) == 1


def test_nothing_is_no_error_and_no_figure() -> None:
    found = funnel_of(rows(), closes=0)
    assert found.candidates == 0
    lines = funnel_lines({ALL: found})
    assert lines[-1].strip().startswith("not enough data")
