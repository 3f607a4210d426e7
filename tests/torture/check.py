"""The judge: two databases over the same market say the same, and everything that was to be told was told.

The law: discrete fields are compared exactly, floats to 1e-9; `origin` and times of writing do not count. Rows are
matched by what they are about, never by their number.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import apsw
import numpy as np
import pandas as pd

from core.jobs._announce import NEW_SIGNAL
from core.results.explain import CLOSINGS, UNFILLED
from core.store.reader import Reader
from tests.torture.messenger import read_chat
from tests.torture.writing import SEQ, read_told

__all__ = ["Content", "Told", "differing", "look", "survived", "told_everything"]

_SIGNALS = (
    "key, ts_ms, decided_ms, exchange, symbol, timeframe, setup, direction, order_type, entry, sl, tp1, tp2, atr,"
    " valid_until_ms, leverage, risk_pct, position_notional, confidence, rationale, plan, plan_hash, regime_trend,"
    " regime_vol, ml_p_raw, ml_p, ev_pct, model_version, verdict, reason, in_sample, origin"
)
_TRADES = (
    "s.key, t.exit_policy, t.status, t.taken, t.blocked_by, t.opened_ms, t.closed_ms, t.fill_price, t.exit_price,"
    " t.exit_reason, t.tp1_hit, t.gross_pct, t.fees_pct, t.funding_pct, t.pnl_pct, t.pnl_usd, t.r_multiple,"
    " t.mfe_pct, t.mae_pct, t.ambiguous"
)
_KEYS = {
    "ohlcv": ["exchange", "symbol", "timeframe", "ts_ms"],
    "signals": ["key"],
    "trades": ["key", "exit_policy"],
    "trade_events": ["key", "exit_policy", "seq"],
}
_QUESTIONS = {
    "ohlcv": "SELECT exchange, symbol, timeframe, ts_ms, open, high, low, close, volume FROM ohlcv",
    "signals": f"SELECT {_SIGNALS} FROM signals",
    "trades": f"SELECT {_TRADES} FROM trades t JOIN signals s ON s.id = t.signal_id",
    "trade_events": "SELECT s.key, e.exit_policy, e.seq, e.ts_ms, e.kind, e.price, e.fraction, e.fee_pct, e.rate_pct"
    " FROM trade_events e JOIN signals s ON s.id = e.signal_id",
}

Content = dict[str, pd.DataFrame]


def look(database: Path) -> Content:
    """Return what a database says, table by table, ordered by what rows are about."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        content = {}
        for name, question in _QUESTIONS.items():
            columns = [item.rpartition(".")[2] for item in question.split(" FROM ")[0][len("SELECT ") :].split(", ")]
            frame = pd.DataFrame(connection.execute(question).fetchall(), columns=columns)
            content[name] = frame.sort_values(_KEYS[name], ignore_index=True)
        return content
    finally:
        connection.close()


def differing(found: Content, wanted: Content) -> tuple[int, str]:
    """Return how many rows differ from an undisturbed run's, and the first of them in words."""
    count, first = 0, ""
    for name, keys in _KEYS.items():
        n, said = _differing(found[name], wanted[name], keys)
        count += n
        first = first or (f"{name}: {said}" if said else "")
    return count, first


def _differing(found: pd.DataFrame, wanted: pd.DataFrame, keys: list[str]) -> tuple[int, str]:
    if found.empty or wanted.empty:
        n = len(found) + len(wanted)
        return n, f"{len(found)} rows, expected {len(wanted)}" if n else ""
    twice = found.duplicated(keys)
    if twice.any():
        return int(twice.sum()), f"{_name(found[twice].iloc[0], keys)} is there more than once"
    both = found.merge(wanted, on=keys, how="outer", suffixes=("", "_wanted"), indicator=True)
    alone = both[both["_merge"] != "both"]
    if len(alone):
        row = alone.iloc[0]
        said = "is not in the undisturbed run" if row["_merge"] == "left_only" else "is missing"
        return len(alone), f"{_name(row, keys)} {said}"
    is_wrong = np.zeros(len(both), dtype=bool)
    said = ""
    for column in found.columns:
        if column in keys or column == "origin":
            continue
        one, other = both[column], both[f"{column}_wanted"]
        if one.dtype.kind == "f" or other.dtype.kind == "f":
            a, b = one.to_numpy(dtype=float), other.to_numpy(dtype=float)
            wrong = ~np.isclose(a, b, rtol=1e-9, atol=1e-9, equal_nan=True)
        else:
            wrong = ~((one == other) | (one.isna() & other.isna())).to_numpy()
        if wrong.any() and not said:
            row = both[wrong].iloc[0]
            said = f"{_name(row, keys)}: {column} is {row[column]}, expected {row[f'{column}_wanted']}"
        is_wrong |= wrong
    return int(is_wrong.sum()), said


def _name(row: pd.Series, keys: list[str]) -> str:
    return " ".join(str(row[key]) for key in keys)


def survived(database: Path, acked: int, told: Path) -> tuple[int, int, str]:
    """Return how many answered commits are lost, how many faults the file has, and the first in words.

    Looked at after every death, before anything else opens the file.
    """
    if not database.exists():
        return (acked, 0, f"no database, {acked} commits were answered") if acked else (0, 0, "")
    try:
        connection = apsw.Connection(str(database))
        try:
            sound = [row[0] for row in connection.execute("PRAGMA integrity_check")]
            rows = list(connection.execute("SELECT value FROM meta WHERE key = ?", (SEQ,)))
            there = {
                name: {row[0] for row in connection.execute(f"SELECT key FROM {table}")}
                for name, table in (("signals", "signals"), ("alerts", "outbox"))
            }
        finally:
            connection.close()
    except apsw.Error as error:
        return 0, 1, f"the database cannot be read: {error}"
    if sound != ["ok"]:
        return 0, len(sound), f"integrity_check: {sound[0]}"
    number = int(rows[0][0]) if rows else 0
    if number < acked:
        return acked - number, 0, f"commit {number} is the newest in the database, {acked} was answered"
    lost = [key for name, keys in read_told(told).items() for key in sorted(keys - there[name])]
    return len(lost), 0, f"{lost[0]} was committed and is gone" if lost else ""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of alerts: how many reached the chat, how often too often, and how often that was allowed."""

    delivered: int = 0
    duplicates: int = 0
    allowed: int = 0
    failure: str = ""


def told_everything(database: Path, chat: Path, wanted: Content | None, wanted_alerts: set[str], allowed: int) -> Told:
    """Judge the alerts of a run that has ended.

    Parameters
    ----------
    database, chat : pathlib.Path
    wanted : mapping or None
        The undisturbed run; None where what is taken may have been decided again later, and with it what is told.
    wanted_alerts : set of str
        Its alerts.
    allowed : int
        Deaths between Telegram's answer and the mark, and marks that could not be written.
    """
    reader = Reader(database)
    outbox, signals = reader.outbox(), reader.signals()
    messages = read_chat(chat)
    reached = {str(row["remote_id"]): row for row in messages if row["kind"] != "refused"}
    refused = sum(row["kind"] == "refused" for row in messages)
    lost_answers = sum(row["kind"] == "lost" for row in messages)
    marked = set(outbox.loc[outbox["state"] == "sent", "remote_id"])
    extra = [row for remote_id, row in reached.items() if remote_id not in marked]
    counts = (len(marked), len(extra), allowed + lost_answers)
    lacking = outbox[(outbox["state"] == "sent") & ~outbox["remote_id"].isin(list(reached))]
    waiting = outbox[outbox["state"] == "queued"]
    failed = outbox[outbox["state"] == "failed"]
    if len(lacking):
        return Told(*counts, f"alert {lacking['key'].iloc[0]} is marked as sent and never reached the chat")
    if len(waiting):
        return Told(*counts, f"alert {waiting['key'].iloc[0]} still waits")
    given_up = failed[~failed["error"].str.contains("refused")]
    if len(given_up) or (len(failed) and not refused):
        lost = (given_up if len(given_up) else failed).iloc[0]
        return Told(*counts, f"alert {lost['key']} was given up, nobody refused it ({lost['error']})")
    untold = _untold(reader, outbox, signals)
    if untold:
        return Told(*counts, f"alert {untold[0]} was never queued, though its signal was announced")
    if wanted is not None:
        live = set(signals.loc[signals["origin"] == "live", "key"])
        due = {key for key in wanted_alerts if _signal_of(key) in live}
        missing = sorted(due - set(outbox["key"]))
        if missing:
            return Told(*counts, f"alert {missing[0]} was never queued ({len(missing)} in all)")
        skipped = outbox[(outbox["state"] == "skipped") & outbox["key"].isin(list(due))]
        if len(skipped):
            return Told(*counts, f"alert {skipped['key'].iloc[0]} was left out: {skipped['error'].iloc[0]}")
    if counts[1] > counts[2]:
        return Told(*counts, f"{counts[1]} messages too many, {counts[2]} explained by deaths and lost answers")
    known = Counter(tuple(reached[remote_id]["ids"]) for remote_id in marked)
    for row in extra:
        if not any(set(row["ids"]) & set(ids) for ids in known):
            return Told(*counts, f"message {row['remote_id']} repeats none of those marked: {row['ids']}")
    return Told(*counts)


def _untold(reader: Reader, outbox: pd.DataFrame, signals: pd.DataFrame) -> list[str]:
    """Return the alerts that whoever was told of a signal is owed and were not queued."""
    new = outbox[(outbox["kind"] == NEW_SIGNAL) & outbox["state"].isin(["sent", "failed"])]
    keys = dict(zip(signals["id"], signals["key"], strict=True))
    trades, events = reader.trades(), reader.events(signal_id=new["signal_id"].unique().tolist())
    decided = trades[(trades["taken"] == 1) | (trades["blocked_by"] != "")]
    told = events[events["kind"].isin(["FILL", "TARGET", *UNFILLED, *CLOSINGS])]
    due = (
        new[["signal_id", "channel"]]
        .merge(told, on="signal_id")
        .merge(decided[["signal_id", "exit_policy"]], on=["signal_id", "exit_policy"])
    )
    owed = (
        f"event:{keys[signal_id]}:{exit_policy}:{seq}:{channel}"
        for signal_id, exit_policy, seq, channel in zip(
            due["signal_id"], due["exit_policy"], due["seq"], due["channel"], strict=True
        )
        if signal_id in keys
    )
    return sorted(set(owed) - set(outbox["key"]))


def _signal_of(alert_key: str) -> str:
    """Return the signal's key within ``new:KEY:channel`` or ``event:KEY:policy:seq:channel``."""
    kind, _, rest = alert_key.partition(":")
    return rest.rsplit(":", 1 if kind == "new" else 3)[0]
