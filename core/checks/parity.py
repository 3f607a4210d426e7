"""Whether live decisions can be made again: recorded signals and trades against what comes out of the database now.

The law: it reads and never writes. Every difference is counted under its cause; one without a cause fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from core.checks._findings import CAUSES, Finding
from core.checks._parity_signals import Checked, Series, Span, check_signals, live_spans, span_of
from core.checks._parity_trades import check_trades
from core.checks._parity_vectors import check_vectors
from core.checks._parity_verdicts import Bench, check_decisions
from core.clock import format_ms
from core.pipeline import ScanRules
from core.ports import Setup
from core.schema import FloatArray
from core.store.reader import Reader

__all__ = ["Finding", "ParityReport", "ParityRequest", "run"]

Progress = Callable[[int, int, str], None]
_KINDS = ("signal", "vector", "decision", "trade")


@dataclass(frozen=True, slots=True, eq=False)
class ParityRequest:
    """What to check, and the rules in force now.

    Parameters
    ----------
    exchange : str
    series : sequence of (str, str)
        Symbols and timeframes.
    base : str
        The timeframe trades are played on.
    setups : sequence of Setup
    rules : ScanRules
    bench : Bench
    start_ms, end_ms : int or None
        Only closes in ``(start_ms, end_ms]``.
    is_part : bool
        Somebody chose the series or the closes: live may have decided others.
    """

    exchange: str
    series: Sequence[tuple[str, str]]
    base: str
    setups: Sequence[Setup]
    rules: ScanRules
    bench: Bench
    start_ms: int | None = None
    end_ms: int | None = None
    is_part: bool = False


@dataclass(slots=True)
class ParityReport:
    """What was compared, and what was found.

    Parameters
    ----------
    compared : Counter of str
        Recorded rows by kind: ``signal``, ``vector``, ``decision``, ``trade``.
    findings : list of Finding
    series : int
        Series of which live decided anything.
    from_ms, to_ms : int
        The first and the last of those closes.
    is_part : bool
        As it was asked for.
    """

    compared: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    series: int = 0
    from_ms: int = 0
    to_ms: int = 0
    is_part: bool = False

    @property
    def unexplained(self) -> int:
        """How many differences nothing explains."""
        return sum(not finding.is_explained for finding in self.findings)

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """Differences by cause and kind."""
        return Counter((finding.cause, finding.kind) for finding in self.findings)

    def __str__(self) -> str:
        if not self.series:
            return f"parity: nothing was decided live {'in this choice' if self.is_part else 'yet'}"
        counts = self.counts
        other = Counter(kind for kind, *_ in {_row(one) for one in self.findings if one.is_recorded})
        rows: list[tuple[str, list[int]]] = [
            ("recorded", [self.compared[kind] for kind in _KINDS]),
            ("come out the same", [self.compared[kind] - other[kind] for kind in _KINDS]),
            *((cause, [counts[cause, kind] for kind in _KINDS]) for cause in CAUSES),
        ]
        head = f"parity: {self.series} series, live closes {format_ms(self.from_ms)} to {format_ms(self.to_ms)}"
        lines = [f"{name:<24}" + "".join(f"{count:>10,}" for count in told) for name, told in rows]
        return "\n".join([head, " " * 24 + "".join(f"{kind + 's':>10}" for kind in _KINDS), *lines])


def run(reader: Reader, request: ParityRequest, progress: Progress | None = None) -> ParityReport:
    """Make recorded live decisions again, and explain what differs.

    Parameters
    ----------
    reader : Reader
    request : ParityRequest
    progress : callable, optional
        Called with series done, series in all and the symbol.

    Returns
    -------
    ParityReport

    Notes
    -----
    Compared are all columns of `signals` but id and origin, the feature vectors and the first decision on each, all
    columns of `trades` but taken and blocked_by, and the events: discrete ones exactly, numbers to 1e-9. The closes are
    all those live decided, so that a signal that should have been recorded counts as a difference too.
    """
    report = ParityReport(is_part=request.is_part)
    for done, (symbol, timeframe) in enumerate(request.series):
        if progress:
            progress(done, len(request.series), symbol)
        series = Series(reader, request.exchange, symbol, timeframe, request.base, request.setups, request.rules)
        spans = live_spans(series, request.start_ms, request.end_ms)
        if not spans:
            continue
        checked = check_signals(series, spans)
        trades, found = check_trades(
            reader, request.exchange, symbol, request.base, checked.signals, _ticks(checked, spans)
        )
        vectors, described = check_vectors(series, spans, checked.signals, request.bench.features)
        decisions, judged = check_decisions(series, spans, checked.signals, request.bench)
        report.compared.update(signal=checked.compared, vector=vectors, decision=decisions, trade=trades)
        report.findings += [*checked.findings, *described, *judged, *found]
        report.series += 1
        report.from_ms = min(report.from_ms or spans[0].from_ms, spans[0].from_ms)
        report.to_ms = max(report.to_ms, spans[-1].to_ms)
    if progress:
        progress(len(request.series), len(request.series), "")
    return report


def _ticks(checked: Checked, spans: Sequence[Span]) -> FloatArray:
    """Return the price step in force when each signal was decided."""
    steps = np.array([np.nan if span.terms.instrument.tick is None else span.terms.instrument.tick for span in spans])
    ticks: FloatArray = steps[span_of(spans, checked.signals)]
    return ticks


def _row(finding: Finding) -> tuple[str, int, str]:
    return finding.kind, finding.signal_id, finding.what
