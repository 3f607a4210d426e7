"""Small charts as SVG text: lines over time, intervals beside each other.

The law: pure text without scripts, colours by the page's own names so that light and dark both fit; of many points on
one pixel the highest and the lowest are kept, so that no fall is lost.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from core.schema import FloatArray, IntArray

__all__ = ["STYLE", "Line", "interval_svg", "line_svg", "thinned", "ticks"]

_WIDTH, _RIGHT, _TOP, _FOOT = 960, 76, 12, 22
_COLUMNS = 600  # pixels of a curve: each keeps its highest and lowest point
_ROW = 24

STYLE = """
svg { display: block; height: auto; margin: .4rem 0; min-width: 46rem; width: 100%; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
svg .ink { fill: var(--ink); }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .zero { stroke: var(--soft); stroke-dasharray: 4 3; stroke-width: 1; }
svg polyline { fill: none; stroke-linejoin: round; stroke-width: 1.6; }
svg .up { stroke: var(--up); } svg .good { stroke: var(--good); } svg .bad { stroke: var(--bad); }
svg .held { stroke: var(--held); stroke-dasharray: 5 3; } svg .soft { stroke: var(--soft); stroke-dasharray: 4 3; }
svg .area { opacity: .22; stroke: none; } svg .area.bad { fill: var(--bad); } svg .area.soft { fill: var(--soft); }
svg .dot { fill: var(--up); stroke: none; } svg .span { stroke: var(--soft); stroke-width: 2; }
"""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One line, or the area between two.

    Parameters
    ----------
    name : str
        ``""`` leaves it out of the legend.
    kind : str
        Its colour: up, good, bad, held or soft.
    ts_ms : int64 array
        Ascending.
    value : float64 array
    base : float64 array or None
        Draws the area between `value` and it instead.
    """

    name: str
    kind: str
    ts_ms: IntArray
    value: FloatArray
    base: FloatArray | None = None


def thinned(x: FloatArray, y: FloatArray, columns: int = _COLUMNS) -> tuple[FloatArray, FloatArray]:
    """Return the points of a curve that can be seen: of each column of pixels the first, lowest, highest and last.

    Examples
    --------
    >>> x, y = thinned(np.arange(1000.0), np.where(np.arange(1000) == 500, -9.0, 0.0), columns=10)
    >>> len(x) < 50, y.min()
    (True, np.float64(-9.0))
    """
    if len(x) <= 2 * columns:
        return x, y
    place = np.minimum(((x - x[0]) / ((x[-1] - x[0]) or 1.0) * columns).astype(np.int64), columns - 1)
    order = np.lexsort((y, place))
    edges = np.flatnonzero(np.diff(place[order])) + 1
    firsts, lasts = np.concatenate([[0], edges]), np.concatenate([edges - 1, [len(x) - 1]])
    own = np.flatnonzero(np.diff(place)) + 1
    kept = [order[firsts], order[lasts], np.concatenate([[0], own]), np.concatenate([own - 1, [len(x) - 1]])]
    seen = np.unique(np.concatenate(kept))
    return x[seen], y[seen]


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round values inside a range.

    Examples
    --------
    >>> ticks(-0.3, 1.1)
    [0.0, 0.5, 1.0]
    """
    reach = high - low
    if not reach > 0 or not math.isfinite(reach):
        return [low] if math.isfinite(low) else []
    rough = reach / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * part for part in (1.0, 2.0, 5.0, 10.0) if size * part >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(step * k, 10) + 0.0 for k in range(first, math.floor(high / step + 1e-9) + 1)]


def line_svg(
    lines: Sequence[Line], label: str, height: int = 260, write: Callable[[float], str] = "{:,g}".format
) -> str:
    """Return lines over time.

    Parameters
    ----------
    lines : sequence of Line
        At least one with a point.
    label : str
        What it shows, for who cannot see it.
    height : int
        Of the drawing, whose width is 960.
    write : callable
        Writes a value of the axis.
    """
    known = [line for line in lines if len(line.ts_ms)]
    start, end = min(int(line.ts_ms[0]) for line in known), max(int(line.ts_ms[-1]) for line in known)
    ends = [part for line in known for part in (line.value, line.base) if part is not None]
    low, high = (float(edge([edge(part) for part in ends])) for edge in (np.min, np.max))
    pad = 0.04 * (high - low or 1.0)
    low, high = low - pad, high + pad
    top = _TOP + (18 if any(line.name for line in known) else 0)
    bottom = height - _FOOT

    def across(ts_ms: IntArray) -> FloatArray:
        placed: FloatArray = (_WIDTH - _RIGHT) * (ts_ms - start) / float(end - start or 1)
        return placed

    def up(value: FloatArray) -> FloatArray:
        placed: FloatArray = bottom - (bottom - top) * (value - low) / (high - low)
        return placed

    parts = [_value_axis(low, high, up, write), _time_axis(start, end, height), _legend(known)]
    for line in known:
        x, y = across(line.ts_ms), up(line.value)
        if line.base is not None:
            there, back = thinned(x, y), thinned(x, up(line.base))
            points = f"{_points(*there)} {_points(back[0][::-1], back[1][::-1])}"
            parts.append(f'<polygon class="area {line.kind}" points="{points}"/>')
        else:
            parts.append(f'<polyline class="{line.kind}" points="{_points(*thinned(x, y))}"/>')
    return _svg(height, label, parts)


def _svg(height: int, label: str, parts: Sequence[str]) -> str:
    told = html.escape(label)
    inside = "".join(parts)
    drawn = f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{told}"><title>{told}</title>{inside}</svg>'
    return (
        f'<div class="scroll">{drawn}</div>'  # on a phone it is pushed aside instead of shrunk until nobody can read it
    )


def _points(x: FloatArray, y: FloatArray) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))


def _value_axis(low: float, high: float, up: Callable[[FloatArray], FloatArray], write: Callable[[float], str]) -> str:
    values = ticks(low, high)
    lines = []
    for value, y in zip(values, up(np.array(values)).tolist(), strict=True):
        kind = "zero" if value == 0 else "grid"
        lines.append(f'<line class="{kind}" x1="0" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text x="{_WIDTH - _RIGHT + 6}" y="{y + 4:.1f}">{html.escape(write(value))}</text>')
    return "".join(lines)


def _time_axis(start: int, end: int, height: int) -> str:
    told = []
    for part, anchor in ((0.0, "start"), (0.25, "middle"), (0.5, "middle"), (0.75, "middle"), (1.0, "end")):
        day = datetime.fromtimestamp((start + part * (end - start)) / 1000, tz=UTC).strftime("%Y-%m-%d")
        x = part * (_WIDTH - _RIGHT)
        told.append(f'<text x="{x:.0f}" y="{height - 5}" text-anchor="{anchor}">{day}</text>')
    return "".join(told)


def _legend(lines: Sequence[Line]) -> str:
    told, x = [], 0
    for line in lines:
        if line.name:
            told.append(f'<polyline class="{line.kind}" points="{x},9 {x + 22},9"/>')
            told.append(f'<text class="ink" x="{x + 28}" y="13">{html.escape(line.name)}</text>')
            x += 44 + 7 * len(line.name)
    return "".join(told)


def _signed(value: float) -> str:
    return f"{value:+g}" if value else "0"


def interval_svg(table: pd.DataFrame, label: str) -> str:
    """Return the mean of each group with its interval, one below the other; ``""`` where no group has enough.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns `tables.BREAKDOWN`.
    label : str
        What it shows, for who cannot see it.
    """
    shown = table[table["enough"] == 1]
    if shown.empty:
        return ""
    names, height = 210, _ROW * len(shown) + _FOOT + 6
    low, high = min(float(shown["r_low"].min()), 0.0), max(float(shown["r_high"].max()), 0.0)
    width = _WIDTH - names - 24

    def across(value: float) -> float:
        return names + width * (value - low) / ((high - low) or 1.0)

    parts = []
    for value in ticks(low, high, 8):
        x, kind = across(value), "zero" if value == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height - _FOOT}"/>')
        parts.append(f'<text x="{x:.1f}" y="{height - 5}" text-anchor="middle">{_signed(value)} R</text>')
    for place, row in enumerate(shown.to_dict("records")):
        y = _ROW * place + _ROW / 2
        parts.append(
            f'<text class="ink" x="0" y="{y + 4:.1f}">{html.escape(str(row["group"]))} (n = {row["n"]:,})</text>'
        )
        start, end = across(row["r_low"]), across(row["r_high"])
        parts.append(f'<line class="span" x1="{start:.1f}" x2="{end:.1f}" y1="{y}" y2="{y}"/>')
        parts.append(f'<circle class="dot" cx="{across(row["expectancy_r"]):.1f}" cy="{y}" r="4.5"/>')
    return _svg(height, label, parts)
