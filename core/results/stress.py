"""Stress: the trades on record, played again under other assumptions, side by side.

The law: nothing is stored; every figure is recomputed from stored signals and candles by the engine's own
`simulate`, and the first line is the record itself, played again and compared with what is stored.

A plan stays what it was: an assumption changes how it is played, never which candidates there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from core import plugins
from core.execution.identity import from_params
from core.ports import ExitPolicy
from core.results._replay import Progress, Record, Replay, Simulate, Terms, read_material, replay
from core.results.intervals import Estimate, clustered_mean, clustered_share
from core.results.rows import week_of
from core.results.statistics import Summary, summarize
from core.results.variants import VARIANTS, Variant, variants

__all__ = ["Change", "Line", "Progress", "Record", "Stress", "stress"]


@dataclass(frozen=True, slots=True)
class Change:
    """What an assumption does to the same candidates, one by one.

    Parameters
    ----------
    n : int
        Candidates that are over both as played and under the assumption.
    filled, unfilled : int
        Filled only under the assumption, and only as played.
    better, worse : int
        With a higher and a lower result; a candidate that is not filled has 0 R.
    mean_r : Estimate
        Mean difference a candidate, R.
    """

    n: int
    filled: int
    unfilled: int
    better: int
    worse: int
    mean_r: Estimate


@dataclass(frozen=True, slots=True)
class Line:
    """The results under one set of assumptions, and what they change.

    Parameters
    ----------
    variant : Variant
    summary : Summary
    same_rules : bool
        Its assumptions are those the trades were played under.
    change : Change
    """

    variant: Variant
    summary: Summary
    same_rules: bool
    change: Change


@dataclass(frozen=True, slots=True)
class Stress:
    """The trades of one plan and exit policy under several assumptions.

    Parameters
    ----------
    lines : tuple of Line
        As played first.
    n : int
        Candidates.
    ambiguous : Estimate
        Share of the deciding minutes (those that hold a stop or a target of an open position) that hold both, so that
        nobody knows which came first. Counted with the stop first: then a trade ends at its first such minute.
    n_ambiguous : int
        Number of those minutes.
    minutes_held : int
        Minutes positions were open, in all.
    differing : int
        Candidates that come out otherwise than stored when played again under their own rules: their candles or
        funding rates have been revised since.
    """

    lines: tuple[Line, ...]
    n: int
    ambiguous: Estimate
    n_ambiguous: int
    minutes_held: int
    differing: int


def stress(
    record: Record,
    exchange: str,
    exit_policy: str,
    heads: pd.DataFrame,
    simulate: Simulate,
    names: Sequence[str] = VARIANTS,
    progress: Progress | None = None,
) -> Stress:
    """Play stored candidates again under each assumption and count the results.

    Parameters
    ----------
    record : Record
        The database.
    exchange, exit_policy : str
    heads : pandas.DataFrame
        The signals to play, of one plan: id, symbol, in_sample. Those without a trade under the exit policy, and those
        judged by a model that had seen their outcome, are left out.
    simulate : callable
        `pipeline.simulate`.
    names : sequence of str
        See `core.results.variants`.
    progress : callable, optional
        Called with parts done, parts in all (1000) and the symbol.

    Returns
    -------
    Stress

    Notes
    -----
    One symbol after the other, a stretch of candles at a time: memory grows with the number of candidates, not with
    the candles they are played on. A symbol is played as far as its stored trades were.
    """
    name, text = record.exit_policies()[exit_policy]
    _, params, rules, costs = from_params(text)
    policy: ExitPolicy = plugins.build("core.exits", name, params, "exit_policies")
    chosen = variants(names, rules, costs)
    safe = replace(rules, bar_policy="conservative"), costs
    plays = list(dict.fromkeys([*(variant.terms for variant in chosen), safe]))
    of_symbol = {
        str(symbol): part["id"].tolist() for symbol, part in heads[heads["in_sample"] == 0].groupby("symbol", sort=True)
    }
    found: dict[Terms, list[Replay]] = {terms: [] for terms in plays}
    differing = 0
    for place, (symbol, ids) in enumerate(of_symbol.items()):
        material = read_material(record, exchange, symbol, exit_policy, ids, rules)
        replayed = replay(material, plays, policy, simulate, _scaled(progress, place, len(of_symbol), symbol))
        differing += material.differing(replayed[0].trades)
        for terms, one in zip(plays, replayed, strict=True):
            found[terms].append(one.narrowed(material.signals))
    joined = {terms: Replay.join(parts) for terms, parts in found.items()}
    return _compare(chosen, joined, joined[safe], differing)


def _scaled(progress: Progress | None, place: int, of: int, symbol: str) -> Callable[[float], None]:
    """Return a function that reports a symbol's share done as parts of 1000 of all symbols."""

    def moved(share: float) -> None:
        if progress:
            progress(round(1000 * (place + share) / of), 1000, symbol)

    return moved


def _compare(chosen: Sequence[Variant], joined: Mapping[Terms, Replay], safe: Replay, differing: int) -> Stress:
    played = joined[chosen[0].terms].trades
    lines = tuple(
        Line(
            variant,
            summarize(joined[variant.terms].trades),
            variant.terms == chosen[0].terms,
            _change(played, joined[variant.terms].trades),
        )
        for variant in chosen
    )
    hits, weeks = _deciding(safe)
    open_ms = played.loc[played["opened_ms"] > 0, ["opened_ms", "known_ms", "next_ms"]]
    end_ms = np.where(open_ms["known_ms"] > 0, open_ms["known_ms"], open_ms["next_ms"])
    return Stress(
        lines=lines,
        n=len(played),
        ambiguous=clustered_share(hits, weeks),
        n_ambiguous=int(hits.sum()),
        minutes_held=int((end_ms - open_ms["opened_ms"]).sum()) // 60_000,
        differing=differing,
    )


def _deciding(safe: Replay) -> tuple[np.ndarray, np.ndarray]:
    """Return of each deciding minute whether it is ambiguous, and the week of its candidate.

    With the stop first an ambiguous minute ends its trade, so a trade marked ambiguous has exactly one.
    """
    count = safe.deciding
    weeks = np.repeat(week_of(safe.trades["decided_ms"].to_numpy()), count)
    hits = np.zeros(len(weeks), dtype=np.bool_)
    last = np.cumsum(count) - 1
    hits[last[(safe.trades["ambiguous"] == 1).to_numpy()]] = True
    return hits, weeks


def _change(played: pd.DataFrame, other: pd.DataFrame) -> Change:
    over = ~(played["status"].isin(["PENDING", "OPEN"]) | other["status"].isin(["PENDING", "OPEN"])).to_numpy()
    before, after = played[over], other[over]
    was, now = (part["opened_ms"].to_numpy() > 0 for part in (before, after))
    more = after["r_multiple"].to_numpy() - before["r_multiple"].to_numpy()
    return Change(
        n=int(over.sum()),
        filled=int((now & ~was).sum()),
        unfilled=int((was & ~now).sum()),
        better=int((more > 0).sum()),
        worse=int((more < 0).sum()),
        mean_r=clustered_mean(more, week_of(before["decided_ms"].to_numpy())),
    )
