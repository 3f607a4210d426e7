"""What is announced: outbox rows for new signals and for what became of them.

The law: a row is written in the transaction of what it announces and holds ids, not words; its key names
the thing announced, so announcing twice queues once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd

from core.clock import MINUTE_MS
from core.config import Config
from core.gate import PASSED
from core.jobs._desk import Desk
from core.ports import Heard
from core.results.explain import CLOSINGS, UNFILLED
from core.store.reader import Reader

__all__ = [
    "ANSWER",
    "EVENT",
    "NEW_SIGNAL",
    "NOTE",
    "announced_before",
    "answer_rows",
    "event_rows",
    "new_signal_rows",
    "note_rows",
    "queue_events",
]

NEW_SIGNAL, EVENT, NOTE, ANSWER = "new_signal", "trade_event", "note", "answer"

_UPDATES = frozenset({"FILL", "TARGET", *UNFILLED})


def new_signal_rows(
    signals: pd.DataFrame, trades: pd.DataFrame, config: Config, channels: Sequence[str], now_ms: int
) -> list[dict[str, Any]]:
    """Return the rows that announce new signals.

    Announced are live signals that passed (or were not gated), that no limit and no minimum size
    refused, and that are not late: after `notify.late_minutes` the levels may be history.

    Parameters
    ----------
    signals : pandas.DataFrame
        Columns `schema.SIGNALS`, ids known.
    trades : pandas.DataFrame
        Their trades, with `taken` decided.
    config : Config
    channels : sequence of str
        Who is told.
    now_ms : int
        Market time.

    Returns
    -------
    list of dict
        Outbox rows, in the order of `signals`.
    """
    if signals.empty or not channels or not config.notify.telegram.send_on.new_signal:
        return []
    fresh = now_ms - signals["decided_ms"] <= config.notify.late_minutes * MINUTE_MS
    chosen = signals[_announceable(signals, trades) & fresh]
    return [
        _row(f"new:{signal['key']}", channel, NEW_SIGNAL, signal["id"], "", _levels(signal), now_ms)
        for signal in chosen.to_dict("records")
        for channel in channels
    ]


def event_rows(
    events: pd.DataFrame,
    trades: pd.DataFrame,
    signals: pd.DataFrame,
    config: Config,
    channels: Sequence[str],
    now_ms: int,
    announced: Collection[int] = (),
) -> list[dict[str, Any]]:
    """Return the rows that tell what became of announced signals: filled, target, order void, closed.

    A late event is queued all the same, and so is one of a trade that a limit blocks since: whoever placed the
    order still has to act. Those of signals that were never announced are left out on delivery.

    Parameters
    ----------
    events : pandas.DataFrame
        Columns `schema.TRADE_EVENTS`, new ones.
    trades, signals : pandas.DataFrame
        The trades and signals they belong to; repeated rows do not matter.
    config : Config
    channels : sequence of str
        Who is told.
    now_ms : int
        Market time.
    announced : collection of int
        Ids of signals whose announcement was queued before; see `announced_before`.

    Returns
    -------
    list of dict
        Outbox rows, trade by trade in the order things happened.
    """
    switches = config.notify.telegram.send_on
    kinds = (_UPDATES if switches.trade_update else frozenset()) | (set(CLOSINGS) if switches.closed_trade else set())
    if events.empty or trades.empty or signals.empty or not channels:
        return []
    order = ["ts_ms", "signal_id", "exit_policy", "seq"]
    told = events[[kind in kinds for kind in events["kind"].tolist()]]
    if told.empty:
        return []
    ids = told["signal_id"].unique()
    signals, trades = signals[signals["id"].isin(ids)], trades[trades["signal_id"].isin(ids)]
    keys = dict(zip(signals["id"], signals["key"], strict=True))
    eligible = {*signals.loc[_announceable(signals, trades), "id"], *announced}
    followed = (trades["taken"] == 1) | (trades["signal_id"].isin(announced) & (trades["blocked_by"] != ""))
    taken = set(trades.loc[followed, ["signal_id", "exit_policy"]].itertuples(index=False, name=None))
    rows: list[dict[str, Any]] = []
    for event in told.sort_values(order, kind="stable").to_dict("records"):
        signal_id, exit_policy, seq = event["signal_id"], event["exit_policy"], int(event["seq"])
        if signal_id not in eligible or (signal_id, exit_policy) not in taken:
            continue
        facts = {"seq": seq, "event": event["kind"], "ts_ms": int(event["ts_ms"])}
        key = f"event:{keys[signal_id]}:{exit_policy}:{seq}"
        rows += [_row(key, channel, EVENT, signal_id, exit_policy, facts, now_ms) for channel in channels]
    return rows


def queue_events(desk: Desk, events: pd.DataFrame, trades: pd.DataFrame, signals: pd.DataFrame, now_ms: int) -> None:
    """Queue what became of announced signals, in the transaction that records it; see `event_rows`."""
    channels = list(desk.notifiers)
    if len(events) and channels:
        announced = announced_before(desk.reader, trades)
        desk.writer.queue(event_rows(events, trades, signals, desk.config, channels, now_ms, announced))


def announced_before(reader: Reader, trades: pd.DataFrame) -> frozenset[int]:
    """Return the signals among those of blocked trades whose announcement was queued before the limit blocked them.

    What is taken may be decided again once a symbol that lagged has caught up; an alert cannot be taken back.
    """
    blocked = trades.loc[(trades["taken"] == 0) & (trades["blocked_by"] != ""), "signal_id"]
    if blocked.empty:
        return frozenset()
    known = reader.outbox(signal_ids=blocked.unique().tolist())
    return frozenset(known.loc[known["kind"] == NEW_SIGNAL, "signal_id"].tolist())


def note_rows(key: str, text: str, channels: Sequence[str], now_ms: int, document: str = "") -> list[dict[str, Any]]:
    """Return the rows of a message of the engine itself, such as the weekly summary or a warning.

    Parameters
    ----------
    key : str
        What it is about, so that it is said once: ``weekly:2024-W07``.
    text : str
        Plain words.
    channels : sequence of str
        Who is told.
    now_ms : int
        Market time.
    document : str
        A file that goes with it; ``""`` where there is none.
    """
    facts = {"text": text, **({"document": document} if document else {})}
    return [_row(f"note:{key}", channel, NOTE, 0, "", facts, now_ms) for channel in channels]


def answer_rows(key: str, pages: Sequence[str], channel: str, heard: Heard, now_ms: int) -> list[dict[str, Any]]:
    """Return the rows of an answer to what somebody asked, a row a page.

    Parameters
    ----------
    key : str
        What is answered, so that it is answered once.
    pages : sequence of str
        HTML, each short enough for a message.
    channel : str
        Where it was asked.
    heard : Heard
        What was asked; the first page answers it.
    now_ms : int
        Market time.
    """
    return [
        _row(
            f"answer:{key}:{number}",
            channel,
            ANSWER,
            0,
            "",
            {"html": page, "chat": heard.chat, "reply_to": "" if number else heard.message_id},
            now_ms,
        )
        for number, page in enumerate(pages)
    ]


def _announceable(signals: pd.DataFrame, trades: pd.DataFrame) -> pd.Series:
    taken = trades.loc[trades["taken"] == 1, "signal_id"]
    return (signals["origin"] == "live") & signals["verdict"].isin(list(PASSED)) & signals["id"].isin(taken)


def _levels(signal: dict[Any, Any]) -> dict[str, float]:
    return {name: float(signal[name]) for name in ("entry", "sl", "tp1", "tp2") if math.isfinite(signal[name])}


def _row(
    key: str, channel: str, kind: str, signal_id: Any, exit_policy: str, facts: dict[str, Any], now_ms: int
) -> dict[str, Any]:
    return {
        "key": f"{key}:{channel}",
        "channel": channel,
        "kind": kind,
        "signal_id": int(signal_id),
        "exit_policy": exit_policy,
        "payload": json.dumps(facts, sort_keys=True),
        "created_ms": now_ms,
        "next_try_ms": now_ms,
    }
