"""One candidate as a person would explain it: the plan, the chance, the worth, the verdict, and what became of it.

The law: facts go in, lines come out; a number nobody stored or computed is left out, and what is synthetic, in sample
or not filtered says so before anything else.

The text is HTML with ``<b>`` and ``<code>`` only; `to_plain` gives the same words for a console.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.clock import format_ms
from core.results._course import Course, course_lines
from core.results._phrases import Moment, Row, escaped, name, stamp
from core.results._plan import level_lines, size_line, validity_line
from core.results._verdicts import threshold_words, verdict_words
from core.results.explain import DISCLAIMER
from core.results.words import in_percent, in_r, in_r_unsigned, in_signed_percent

__all__ = ["Course", "Facts", "Judgement", "Moved", "judged_lines", "why_words"]

_HARDLY = 0.05  # points of p(win) below which a family is not told by its number


@dataclass(frozen=True, slots=True)
class Moved:
    """How much one family of features moves p(win).

    Parameters
    ----------
    family : str
    points : float
        p(win) with it less p(win) without it, in percentage points.
    """

    family: str
    points: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """What stands behind the newest decision and is not stored with it; NaN and ``""`` where it cannot be told.

    Parameters
    ----------
    use_ev : bool
        Whether the gate decided by expected value.
    evidence : str
        What was known of candidates like it then, in one line; ``""`` where nobody asked.
    cost_r, funding_r : float
        Expected fees and slippage, and expected funding, R; costs are NaN where those of its time are not known.
    win_r, loss_r : float
        Expected net result of it as a winner and as a loser, R.
    moved : tuple of Moved
        By family, the largest first.
    silent : str
        Why the model itself cannot be asked any more; ``""`` where it was.
    """

    use_ev: bool = True
    evidence: str = ""
    cost_r: float = math.nan
    funding_r: float = math.nan
    win_r: float = math.nan
    loss_r: float = math.nan
    moved: tuple[Moved, ...] = ()
    silent: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one candidate.

    Parameters
    ----------
    signal : mapping
        A row of `schema.SIGNALS`.
    decisions : sequence of mapping
        Its rows of `schema.DECISIONS`, the first one first.
    judgement : Judgement
    courses : sequence of Course
        Its trades, the one under the exit policy in force first.
    """

    signal: Row
    decisions: Sequence[Row]
    judgement: Judgement
    courses: Sequence[Course]


def why_words(facts: Facts, moment: Moment) -> str:
    """Explain one candidate.

    Parameters
    ----------
    facts : Facts
    moment : Moment

    Returns
    -------
    str
        HTML.
    """
    signal = facts.signal
    parts = [
        [
            f"{stamp(moment)}<b>{name(signal)}</b>",
            *_warnings(signal),
            verdict_words(str(signal["verdict"]), str(signal["reason"])),
        ],
        list(_plan(signal, moment)),
    ]
    if facts.decisions:
        newest = facts.decisions[-1]
        parts += [list(_chance(newest, facts.judgement)), list(_worth(newest, facts.judgement))]
        parts += [list(_decided_before(facts))]
    parts += [["<b>What became of it</b>", *_courses(facts, moment)], [DISCLAIMER]]
    return "\n\n".join("\n".join(part) for part in parts if part)


def judged_lines(decision: Row, judgement: Judgement) -> list[str]:
    """Return what a verdict rests on, for an alert: the threshold and the evidence; HTML."""
    needed = threshold_words(decision, judgement.use_ev)
    lines = [f"Needed: {needed}"] if needed else []
    return [*lines, f"Evidence: {escaped(judgement.evidence)}"] if judgement.evidence else lines


def _warnings(signal: Row) -> Iterator[str]:
    if signal["in_sample"]:
        yield "IN SAMPLE: judged by a model that had seen its outcome; this proves nothing."
    if signal["origin"] == "retro":
        yield "Found by a scan of the past; nobody was told of it."


def _plan(signal: Row, moment: Moment) -> Iterator[str]:
    decided = format_ms(int(signal["decided_ms"]), moment.zone)
    yield f"<b>The plan</b> ({escaped(signal['setup'])}, decided at the close of {decided})"
    yield escaped(signal["rationale"])
    yield from level_lines(signal)
    stop_pct = 100 * abs(signal["entry"] - signal["sl"]) / signal["entry"]
    yield f"1 R is what the stop costs: {stop_pct:.2f} % of the position, before fees."
    yield size_line(signal)
    yield validity_line(signal, moment)
    yield f"Rule's opinion: {signal['confidence']:.2f} of 1 (not a probability)"


def _chance(decision: Row, judgement: Judgement) -> Iterator[str]:
    p_geo, p_raw, p = (float(decision[column]) for column in ("p_geo", "ml_p_raw", "ml_p"))
    if not math.isfinite(p):
        return
    yield "<b>How likely</b>"
    yield "p(win) is the chance that the trade, once filled, ends above zero after all costs."
    if math.isfinite(p_geo):
        yield f"By the plan's geometry alone, the distances of stop and targets: {in_percent(p_geo)}"
    who = escaped(decision["model_version"]) or "the model"
    raw = f" (before calibration {in_percent(p_raw)})" if math.isfinite(p_raw) else ""
    wins = f"Of 100 trades of this figure about {100 * p:.0f} should win."
    yield f"By {who}, calibrated: <b>{in_percent(p)}</b>{raw}. {wins}"
    yield from _moved(judgement)


def _moved(judgement: Judgement) -> Iterator[str]:
    if judgement.silent:
        yield f"What moved p(win) cannot be told: {escaped(judgement.silent)}."
        return
    if not judgement.moved:
        return
    told = [one for one in judgement.moved if abs(one.points) >= _HARDLY]
    if not told:
        yield "No family of features moved p(win) from where the geometry puts it."
        return
    yield "What moved it (p(win) with each less p(win) without it; they overlap and need not add up):"
    yield from (f"  {escaped(one.family)} {one.points:+.1f} points of p(win)" for one in told)
    hardly = [escaped(one.family) for one in judgement.moved if abs(one.points) < _HARDLY]
    if hardly:
        yield f"  hardly: {', '.join(hardly)}"


def _worth(decision: Row, judgement: Judgement) -> Iterator[str]:
    by_payoff, by_p, ev_pct = (float(decision[column]) for column in ("ev_payoff_r", "ev_p_r", "ev_pct"))
    if not math.isfinite(ev_pct):
        return
    yield "<b>What it is worth</b>"
    yield "Expected value (EV) is the mean result after costs that candidates like it should have, given a fill."
    yield f"By the size of results: {in_r(by_payoff)}{_payoff_parts(by_payoff, judgement)}"
    yield f"By the chance of winning: {in_r(by_p)}{_chance_parts(float(decision['ml_p']), judgement)}"
    yield f"The lower of the two counts: {in_r(min(by_payoff, by_p))}, {in_signed_percent(ev_pct)} of the position."
    if not math.isfinite(judgement.cost_r):
        yield "What they are made of is left out: it was decided under other parameters than those configured now."
    yield from judged_lines(decision, judgement)


def _payoff_parts(total: float, judgement: Judgement) -> str:
    cost, funding = judgement.cost_r, judgement.funding_r
    if not math.isfinite(cost):
        return ""
    if not math.isfinite(funding):
        return f", after {in_r_unsigned(cost)} of expected fees and slippage and the expected funding"
    before, sign = total + cost + funding, "less" if funding >= 0 else "plus"
    return (
        f" = {in_r(before)} before costs, less {in_r_unsigned(cost)} of fees and slippage, {sign} "
        f"{in_r_unsigned(abs(funding))} of expected funding"
    )


def _chance_parts(p: float, judgement: Judgement) -> str:
    if not (math.isfinite(judgement.win_r) and math.isfinite(judgement.loss_r)):
        return ""
    return f" = {in_percent(p)} of {in_r(judgement.win_r)} and {in_percent(1 - p)} of {in_r(judgement.loss_r)}"


def _decided_before(facts: Facts) -> Iterator[str]:
    if len(facts.decisions) < 2:
        return
    yield f"<b>Decided {len(facts.decisions)} times</b>, the newest shows"
    for number, decision in enumerate(facts.decisions, 1):
        numbers = [
            f"p(win) {in_percent(decision['ml_p'])}" if math.isfinite(decision["ml_p"]) else "",
            f"EV {in_signed_percent(decision['ev_pct'])}" if math.isfinite(decision["ev_pct"]) else "",
            f"by {escaped(decision['model_version'])}" if decision["model_version"] else "",
        ]
        told = ", ".join(part for part in numbers if part)
        ruling = verdict_words(str(decision["verdict"]), str(decision["reason"]))
        yield f"{number}. {ruling}{f' ({told})' if told else ''}"


def _courses(facts: Facts, moment: Moment) -> Iterator[str]:
    if not facts.courses:
        yield "It has no trade on record yet."
    for number, course in enumerate(facts.courses):
        if len(facts.courses) > 1:
            extra = "" if number == 0 else ", an exit policy of other parameters"
            yield f"Under {escaped(course.trade['exit_policy'])}{extra}:"
        yield from course_lines(course, facts.signal, moment)
