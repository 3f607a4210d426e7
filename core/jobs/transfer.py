"""Candles from files into the store, and back.

The law: a file is a finished record. What it lacks between its first and its last candle is confirmed
missing, not asked for; it must touch what is already stored, so that no unknown stretch comes between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from core.clock import DAY_MS, MINUTE_MS, format_ms
from core.errors import InputFileError
from core.ingest.clean import clean
from core.ingest.frontier import frontier
from core.ingest.gaps import Gaps
from core.jobs._desk import Desk
from core.jobs._series import ask_for_rebuild
from core.schema import FloatArray, IntArray

__all__ = ["ImportReport", "import_rows"]

Batches = Callable[[], Iterable[FloatArray]]
GAP_CHUNK_MS = 64 * DAY_MS


@dataclass(slots=True)
class ImportReport:
    """What an import did.

    Parameters
    ----------
    symbol : str
    inserted, revised, unchanged, rejected, missing : int
        Candles, and minutes the file lacks.
    first_ms, end_ms : int
        Range of the file, end exclusive.
    """

    symbol: str
    inserted: int = 0
    revised: int = 0
    unchanged: int = 0
    rejected: int = 0
    missing: int = 0
    first_ms: int = 0
    end_ms: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        counts = (("new", self.inserted), ("revised", self.revised), ("unchanged", self.unchanged))
        told = ", ".join(f"{count:,} {name}" for name, count in counts if count) or "nothing new"
        bad = "".join(f", {count:,} rejected ({reason})" for reason, count in sorted(self.reasons.items()))
        missing = f", {self.missing:,} minutes missing" if self.missing else ""
        return f"{self.symbol}: {told}{bad}{missing}; {format_ms(self.first_ms)} to {format_ms(self.end_ms)}"


def import_rows(
    desk: Desk, symbol: str, batches: Batches, where: str, progress: Callable[[int], object] = lambda _rows: None
) -> ImportReport:
    """Store the one-minute candles of one symbol.

    Parameters
    ----------
    desk : Desk
    symbol : str
    batches : callable
        Returns the raw rows in pieces, anew each time it is called: shape (n, 6) or (n, 7), oldest first.
    where : str
        Path, for messages.
    progress : callable, optional
        Called with the number of rows of each piece stored.

    Returns
    -------
    ImportReport

    Raises
    ------
    InputFileError
        No candle in it, or a hole between it and what is stored; nothing is written then.
    """
    now_ms = desk.market.now_ms()
    series = (desk.exchange, symbol, desk.config.data.base_timeframe)
    report = ImportReport(symbol)
    report.first_ms, report.end_ms = _range(batches(), now_ms, where)
    stored_from, stored_to = desk.reader.first_ms(*series), desk.reader.frontier(*series)
    if stored_from is not None and stored_to is not None:
        _check_touch(report, stored_from, stored_to, where)
    for rows in batches():
        candles, rejected = clean(rows, MINUTE_MS, now_ms)
        with desk.writer.transaction():
            put = desk.writer.put_candles(*series, candles, now_ms)
            if put.revised_from_ms is not None:
                ask_for_rebuild(desk, symbol, put.revised_from_ms)
            desk.writer.put_quarantine(*series, rejected, now_ms)
        report.inserted += put.inserted
        report.revised += put.revised
        report.unchanged += put.unchanged
        report.rejected += len(rejected)
        for reason, count in rejected["reason"].value_counts().items():
            report.reasons[str(reason)] = report.reasons.get(str(reason), 0) + int(count)
        progress(len(rows))
    report.missing = _settle_missing(desk, symbol, report.first_ms, report.end_ms, now_ms)
    with desk.writer.transaction():
        # What a market was asked beyond the file's end stays asked; its open minutes there hold the frontier.
        checkpoint = max(report.end_ms, desk.reader.checkpoint(*series) or stored_to or 0)
        desk.writer.set_checkpoint(*series, checkpoint)
        desk.writer.set_frontier(*series, frontier(checkpoint, Gaps.of_frame(desk.reader.gaps(*series))))
    return report


def _range(batches: Iterable[FloatArray], now_ms: int, where: str) -> tuple[int, int]:
    """Return the first open and the last close of the clean candles."""
    first, end = None, 0
    for rows in batches:
        candles, _ = clean(rows, MINUTE_MS, now_ms)
        if len(candles):
            first = int(candles.ts[0]) if first is None else min(first, int(candles.ts[0]))
            end = max(end, int(candles.ts[-1]) + MINUTE_MS)
    if first is None:
        raise InputFileError(f"{where}: holds no usable one-minute candle; expected ts, open, high, low, close, volume")
    return first, end


def _check_touch(report: ImportReport, stored_from: int, stored_to: int, where: str) -> None:
    if report.first_ms > stored_to or report.end_ms < stored_from:
        hole = (stored_to, report.first_ms) if report.first_ms > stored_to else (report.end_ms, stored_from)
        raise InputFileError(
            f"{where}: {report.symbol} is stored from {format_ms(stored_from)} to {format_ms(stored_to)}; "
            f"expected a file that touches it (import or download {format_ms(hole[0])} to {format_ms(hole[1])} first)"
        )


def _settle_missing(desk: Desk, symbol: str, start_ms: int, end_ms: int, now_ms: int) -> int:
    """Confirm as missing every minute of a stretch that is not stored, close the gaps of those that are.

    Returns
    -------
    int
        Minutes missing.
    """
    series = (desk.exchange, symbol, desk.config.data.base_timeframe)
    gaps = desk.reader.gaps(*series)
    gaps = gaps[gaps["state"] != "filled"]
    missing = 0
    for lo, hi in _parts(start_ms, end_ms):
        absent = _absent(desk.reader.candles(*series, lo, hi).ts, lo, hi)
        known = gaps[gaps["ts_ms"].between(lo, hi - 1)]
        filled = known[~known["ts_ms"].isin(absent)]
        news = np.setdiff1d(absent, known.loc[known["state"] == "confirmed", "ts_ms"], assume_unique=True)
        if len(filled):
            desk.writer.put_gaps(*series, filled.assign(state="filled"))
        if len(news):
            seen, never = np.full(len(news), now_ms), np.zeros(len(news), dtype=np.int64)
            confirmed = Gaps(news, np.ones(len(news), dtype=np.bool_), seen, never, never)
            desk.writer.put_gaps(*series, confirmed.to_frame())
        missing += len(absent)
    return missing


def _parts(start_ms: int, end_ms: int) -> Iterator[tuple[int, int]]:
    while start_ms < end_ms:
        stop = min(start_ms + GAP_CHUNK_MS, end_ms)
        yield start_ms, stop
        start_ms = stop


def _absent(ts: IntArray, start_ms: int, end_ms: int) -> IntArray:
    present = np.zeros((end_ms - start_ms) // MINUTE_MS, dtype=np.bool_)
    present[(ts - start_ms) // MINUTE_MS] = True
    return start_ms + np.flatnonzero(~present) * MINUTE_MS
