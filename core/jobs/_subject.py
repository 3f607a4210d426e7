"""Which candidates and trades an overview is about: those of the rules in force, or else of the newest on record.

The law: one exit policy at a time, and the plans of one configuration; figures of different rules are never added up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from core.errors import UsageError, nearest
from core.jobs._desk import Desk
from core.jobs._learning import plans_of
from core.results.rows import newest_policy, plan_table

__all__ = ["Subject", "narrowed", "subject_of"]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is counted.

    Parameters
    ----------
    plans : tuple of str
    exit_policy : str
        ``""`` where nothing was played yet.
    in_force : bool
        Whether both are those of the configuration in force.
    """

    plans: tuple[str, ...]
    exit_policy: str
    in_force: bool

    def __str__(self) -> str:
        plans, more = ", ".join(self.plans), "" if self.in_force else " (the newest on record; others are in force)"
        return f"plan {plans or 'none'}, exit policy {self.exit_policy or 'none'}{more}"


def subject_of(desk: Desk) -> Subject:
    """Return the plans and the exit policy in force, or the newest on record of what has no candidate yet."""
    signals = desk.reader.signals(exchange=desk.exchange, columns=["id", "plan_hash", "decided_ms"])
    plans, known = tuple(plans_of(desk)), set(signals["plan_hash"])
    planned = bool(known.intersection(plans)) or not known
    chosen = plans if planned else (str(plan_table(signals).index[0]),)
    trades = desk.reader.trades(exchange=desk.exchange, columns=["signal_id", "exit_policy"])
    exits = desk.exits
    mine = trades[trades["signal_id"].isin(signals.loc[signals["plan_hash"].isin(chosen), "id"])]
    played = mine.empty or bool((mine["exit_policy"] == exits).any())
    policy = exits if played else newest_policy(mine, desk.reader.exit_policies())
    return Subject(chosen, policy, planned and played)


def narrowed(
    heads: pd.DataFrame,
    symbols: Sequence[str],
    timeframes: Sequence[str],
    start_ms: int | None,
    end_ms: int | None,
) -> pd.DataFrame:
    """Return the candidates a command was asked about.

    Parameters
    ----------
    heads : pandas.DataFrame
        Columns symbol, timeframe and decided_ms.
    symbols, timeframes : sequence of str
        Empty for all.
    start_ms, end_ms : int or None
        Decided in ``[start_ms, end_ms)``.

    Raises
    ------
    UsageError
        One of the names is not among the candidates.
    """
    keep = pd.Series(True, index=heads.index)
    for column, asked in (("symbol", symbols), ("timeframe", timeframes)):
        known = sorted(set(heads[column]))
        for name in asked:
            if name not in known:
                raise UsageError(f"{column} '{name}' has no trade under this choice; {nearest(name, known)}")
        if asked:
            keep &= heads[column].isin(list(asked))
    if start_ms is not None:
        keep &= heads["decided_ms"] >= start_ms
    if end_ms is not None:
        keep &= heads["decided_ms"] < end_ms
    return heads[keep]
