"""Outcomes of a model that tells the truth, until it does not: won fewer than said from one outcome on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr

from core.clock import DAY_MS
from core.training.drift import alarms

__all__ = ["DriftRates", "drift_rates", "drifting_rows"]

FOREVER_MS = 10**15


class DriftRates(NamedTuple):
    """Means over seeds."""

    false_alarms: float  # in 2500 outcomes that are as said
    outcomes_until_noticed: float  # from the change on


def drifting_rows(
    seed: int, n: int, per_day: float, alike_day: float = 0.0, alike_week: float = 0.0, change_at: int = 10**9,
    change: float = -0.15,
) -> pd.DataFrame:  # fmt: skip
    """Return `n` outcomes, about `per_day` a day; those of a day and of a week share their fate as far as said."""
    rng = np.random.default_rng(seed)
    days = int(1.3 * n / per_day) + 40
    day = np.repeat(np.arange(days), rng.poisson(per_day, days))[:n]
    luck = ndtr(
        np.sqrt(alike_day) * rng.normal(size=days)[day]
        + np.sqrt(alike_week) * rng.normal(size=days // 7 + 1)[day // 7]
        + np.sqrt(1.0 - alike_day - alike_week) * rng.normal(size=n)
    )
    p = rng.uniform(0.3, 0.6, n)
    won = luck < p + np.where(np.arange(n) >= change_at, change, 0.0)
    return pd.DataFrame(
        {
            "known_ms": day * DAY_MS + rng.integers(0, DAY_MS, n),
            "won": won.astype(np.float64),
            "net_r": np.where(won, 1.3, -1.0),
            "p": p,
            "ev_r": p * 1.3 - (1.0 - p),
        }
    )


def drift_rates(seeds: int, change_at: int = 800, **world: float) -> DriftRates:
    """Return how often an honest model is accused, and how soon 15 points less are noticed."""
    false, noticed = [], []
    for seed in range(seeds):
        false.append(len({one.at_ms for one in alarms(drifting_rows(seed, 2_500, **world), FOREVER_MS)}))
        rows = drifting_rows(seed, 2_500, change_at=change_at, **world)
        begun = (int(rows["known_ms"].iloc[change_at]) // DAY_MS + 1) * DAY_MS
        at = [one.at_ms for one in alarms(rows, FOREVER_MS) if one.at_ms >= begun]
        noticed.append(int((rows["known_ms"] < at[0]).sum()) - change_at if at else 2_500 - change_at)
    return DriftRates(float(np.mean(false)), float(np.mean(noticed)))
