"""Charts of the gate and of costs as data: what a threshold keeps, chances given, where the result went.

The law: pure; counted by `core.results`, each estimate with its interval, the threshold in force marked.
"""

from __future__ import annotations

import math

import pandas as pd

from core.dashboard._axis import Option
from core.dashboard._band import NO_TIP, banded, framed, level
from core.dashboard._theme import Palette
from core.results.costs_split import CostSplit
from core.results.words import in_percent, in_r, span

__all__ = ["chance_chart", "cost_chart", "coverage_chart"]


def coverage_chart(table: pd.DataFrame, what: str, axis: str, live: float, mark: float, look: Palette) -> Option:
    """Return the option of a rate of the kept candidates by threshold, with the share kept.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns `coverage.COVERAGE`; at least one row that is enough.
    what : str
        ``win`` or ``r``.
    axis : str
        Name of the threshold.
    live : float
        That in force; NaN where there is none.
    mark : float
        Where gain begins; NaN leaves it out.
    look : Palette
    """
    shown = table[table["enough"] == 1]
    of_rate = what == "win"
    factor, write = (100.0, in_percent) if of_rate else (1.0, in_r)
    name = "Win rate, %" if of_rate else "Mean R"
    told = [
        f"{write(row[what])}, 95 %: {span(write(row[f'{what}_low']), write(row[f'{what}_high']))}"
        for row in shown.to_dict("records")
    ]
    frame = pd.DataFrame(
        {
            "threshold": [_label(value) for value in shown["threshold"]],
            name: (factor * shown[what]).round(4),
            "Kept, %": (100.0 * shown["share"]).round(2),
            "low": (factor * shown[f"{what}_low"]).round(4),
            "width": (factor * (shown[f"{what}_high"] - shown[f"{what}_low"])).round(4),
            "kept": [f"n = {n:,} ({in_percent(share)})" for n, share in zip(shown["n"], shown["share"], strict=True)],
            "told": told,
        }
    )
    colour = look.up if of_rate else look.series[3]
    low, width, line = banded(name, "threshold", name, "low", "width", colour)
    if math.isfinite(mark):
        line["markLine"] = level(round(mark, 4), look, f"break-even {mark:.1f}" if of_rate else "")
    kept: Option = {
        "type": "line",
        "name": "Kept, %",
        "yAxisIndex": 1,
        "encode": {"x": "threshold", "y": "Kept, %"},
        "showSymbol": False,
        "itemStyle": {"color": look.faint},
        "lineStyle": {"color": look.faint, "type": "dotted", "width": 1.5},
    }
    if math.isfinite(live):
        kept["markLine"] = level(_label(live), look, "in force", "xAxis")
    option = framed(
        [line, low, width, kept],
        (name, "Kept, %"),
        # Each step keeps about as much less, and a band needs an axis of names.
        {"type": "category", "name": axis, "boundaryGap": False, "axisLabel": {"hideOverlap": True}},
        {"type": "value", "scale": True},
        look,
    )
    share: Option = {"type": "value", "min": 0, "max": 100, "splitLine": {"show": False}}
    return option | {
        "yAxis": [option["yAxis"], {**share, "axisLabel": {"color": look.faint}}],
        "dataset": {"source": frame},
        "tooltip": {"trigger": "axis", "formatter": "at least {@threshold}: {@kept}<br>{@told}"},
    }


def _label(threshold: float) -> str:
    return f"{threshold + 0.0:.3f}"


def chance_chart(table: pd.DataFrame, look: Palette) -> Option:
    """Return the option of the chances given, passed and not; `table` has columns `coverage.CHANCES`."""
    refused = table["n"] - table["passed"]
    frame = pd.DataFrame(
        {
            "p": [f"{low:.2f}" for low in table["low"]],
            "Passed": table["passed"],
            "Not passed": refused,
            "told": [
                f"p(win) {low:.2f} to {high:.2f}: {n:,} candidates, {passed:,} passed"
                for low, high, n, passed in table.itertuples(index=False)
            ],
        }
    )
    series: list[Option] = [
        {
            "type": "bar",
            "name": name,
            "stack": "n",
            "encode": {"x": "p", "y": name},
            "itemStyle": {"color": colour},
            "barCategoryGap": "12%",
        }
        for name, colour in (("Passed", look.up), ("Not passed", look.faint))
    ]
    x: Option = {"type": "category", "name": "p(win)", "axisLabel": {"hideOverlap": True}}
    return framed(series, ("Passed", "Not passed"), x, {"type": "value", "minInterval": 1}, look) | {
        "dataset": {"source": frame},
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}, "formatter": "{@told}"},
    }


def cost_chart(split: CostSplit, look: Palette) -> Option:
    """Return the option that leads from the result before costs to what was left, a step a cost; mean R a trade."""
    first = "Before costs" if split.slippage is not None else "After slippage"
    steps = [("Slippage", split.slippage), ("Fees", split.fees), ("Funding", split.funding)]
    names, bodies, ends = [first], [[0.0, split.gross.value]], [split.gross.value]
    for name, cost in steps:
        if cost is not None:
            names.append(name)
            bodies.append([ends[-1], ends[-1] - cost.value])
            ends.append(ends[-1] - cost.value)
    names.append("Net")
    bodies.append([0.0, split.net.value])
    ends.append(split.net.value)
    told = [f"{value:+.3f} R" for value in (ends[0], *(end - start for start, end in bodies[1:-1]), ends[-1])]
    tops = [max(body) for body in bodies]
    # A candle without wicks is the one kind of bar that may hang anywhere, above zero, below it or across.
    body: Option = {
        "type": "candlestick",
        "name": "Mean R a trade",
        "data": [[*(round(end, 6) for end in (*one, min(one), max(one)))] for one in bodies],
        "barMaxWidth": 72,
        "itemStyle": {"color": look.good, "borderColor": look.good, "color0": look.bad, "borderColor0": look.bad},
        "tooltip": NO_TIP,
    }
    label: Option = {
        "type": "scatter",
        "name": "told",
        "symbolSize": 1,
        "data": [
            {"value": [name, round(top, 6)], "label": {"formatter": words}}
            for name, top, words in zip(names, tops, told, strict=True)
        ],
        "label": {"show": True, "position": "top", "color": look.text, "fontSize": 12},
        "itemStyle": {"color": "transparent"},
        "tooltip": NO_TIP,
        "silent": True,
        "markLine": level(0.0, look),
    }
    x: Option = {"type": "category", "data": names, "axisTick": {"show": False}, "axisLabel": {"interval": 0}}
    return framed([body, label], [], x, {"type": "value", "scale": True}, look)
