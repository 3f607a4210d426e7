"""What became of a plan, minute by minute, and how it ended.

The law: a line is a stored event at its time; the result is the stored trade's, after all costs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.clock import format_duration, format_ms
from core.results._phrases import FILL_DIGITS, Moment, Row, code, escaped
from core.results._verdicts import blocked_words
from core.results.explain import CLOSINGS, UNFILLED
from core.results.words import in_r, in_signed_percent

__all__ = ["Course", "course_lines"]

_PASSED = ("PASS", "UNGATED")


@dataclass(frozen=True, slots=True)
class Course:
    """A candidate's trade under one exit policy.

    Parameters
    ----------
    trade : mapping
        A row of `schema.TRADES`.
    events : sequence of mapping
        Its rows of `schema.TRADE_EVENTS`, in order.
    """

    trade: Row
    events: Sequence[Row]


def course_lines(course: Course, signal: Row, moment: Moment) -> list[str]:
    """Return whether a candidate was taken, what happened to it, and its result; HTML."""
    trade = course.trade
    return [
        _taken(trade, signal),
        *_happened(course, moment),
        *_result(trade),
    ]


def _taken(trade: Row, signal: Row) -> str:
    if trade["taken"]:
        return "Taken: the paper account holds it."
    if trade["blocked_by"]:
        return f"Not taken: {blocked_words(str(trade['blocked_by']))}. Played out all the same, for the record."
    if signal["verdict"] in _PASSED:
        return "Not taken: the account has not decided on it yet. Played out all the same, for the record."
    return "Not taken: the gate refused it. Played out all the same, so that the refusal can be judged."


def _happened(course: Course, moment: Moment) -> Iterator[str]:
    targets = 0
    for event in course.events:
        targets += event["kind"] == "TARGET"
        yield f"{format_ms(int(event['ts_ms']), moment.zone)}  {_event(event, targets)}"
    if course.trade["status"] == "PENDING":
        yield f"The order waits: played up to {format_ms(int(course.trade['next_ms']), moment.zone)}."
    if course.trade["status"] == "OPEN":
        stop, played = code(course.trade["stop"], FILL_DIGITS), format_ms(int(course.trade["next_ms"]), moment.zone)
        left = f"{100 * course.trade['remaining']:.0f} %"
        yield f"Open with {left} of the position, stop at {stop}: played up to {played}."


def _event(event: Row, targets: int) -> str:
    kind, part = str(event["kind"]), f"{100 * event['fraction']:.0f} %"
    if kind == "FILL":
        return f"filled at {code(event['price'], FILL_DIGITS)} ({_order(event)})"
    if kind == "TARGET":
        return f"target {targets} reached: {part} closed at {code(event['price'], FILL_DIGITS)} ({_order(event)})"
    if kind == "FUNDING":
        source = "recorded" if event["source"] == "recorded" else "assumed: none is recorded"
        return f"funding settled on {part} at a rate of {event['rate_pct']:+.4f} % ({source})"
    if kind in UNFILLED:
        return f"order void: {UNFILLED[kind]}"
    if kind in CLOSINGS:
        return f"{CLOSINGS[kind]}: {part} closed at {code(event['price'], FILL_DIGITS)} ({_order(event)})"
    return escaped(kind)


def _order(event: Row) -> str:
    kind = "a resting order" if event["source"] == "maker" else "an order that takes"
    return f"{kind}, fee {event['fee_pct']:.3f} %"


def _result(trade: Row) -> Iterator[str]:
    status = trade["status"]
    if status in ("EXPIRED", "CANCELLED"):
        yield "Result: none. It was never filled, so it is neither won nor lost."
    if status != "CLOSED":
        return
    held = format_duration(int(trade["known_ms"]) - int(trade["opened_ms"]))
    word = "won" if trade["pnl_pct"] > 0 else "lost"
    yield (
        f"<b>Result: {word}, {in_r(trade['r_multiple'])}</b>, {in_signed_percent(trade['pnl_pct'])} of the position "
        f"after costs, held {held}"
    )
    yield (
        f"(before costs {in_signed_percent(trade['gross_pct'])}, fees {trade['fees_pct']:.2f} %, "
        f"funding {trade['funding_pct']:+.2f} %)."
    )
    if math.isfinite(trade["mfe_pct"]) and math.isfinite(trade["mae_pct"]):
        best, worst = in_signed_percent(trade["mfe_pct"]), in_signed_percent(trade["mae_pct"])
        yield f"On the way: {best} at best, {worst} at worst."
    if trade["ambiguous"]:
        yield "One minute touched both stop and target; which came first is not known."
