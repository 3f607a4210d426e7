"""Charts of how results spread as data: sizes, time held, excursions, rolling rates, drawn sequences.

The law: pure; counted by `core.results`, each bar a count, each line with its band.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from core.clock import format_duration
from core.dashboard._axis import Option
from core.dashboard._band import banded, dates, framed, level
from core.dashboard._theme import Palette
from core.results.montecarlo import Fan
from core.results.words import in_percent, in_r, in_r_unsigned, span
from core.schema import FloatArray

__all__ = ["excursion_chart", "fall_chart", "fan_chart", "held_chart", "rolling_chart", "size_chart"]

_FALL_BINS = 24
_BARS_PX = 290  # all bars of a histogram together: on an axis of values a bar's width is in pixels


def size_chart(table: pd.DataFrame, mean: float, look: Palette) -> Option:
    """Return the option of how many trades made how many R; `table` has columns `spread.SIZES`."""
    width = float((table["high"] - table["low"]).min())
    told, places = [], []
    for low, high in zip(table["low"], table["high"], strict=True):
        if math.isinf(low) or math.isinf(high):
            told.append(f"below {high:+g} R" if math.isinf(low) else f"{low:+g} R and more")
        else:
            told.append(span(f"{low:+.2f} R", f"{high:+.2f} R"))
        places.append(round((high - width if math.isinf(low) else low) + width / 2, 6))
    frame = pd.DataFrame({"R": places, "Trades": table["n"], "told": told})
    bars: Option = {
        "type": "bar",
        "name": "Trades",
        "encode": {"x": "R", "y": "Trades"},
        "barWidth": max(2, round(_BARS_PX / len(table))),
        "itemStyle": {"color": look.good},
        "markLine": level(round(mean, 4), look, f"mean {mean:+.2f}", "xAxis"),
    }
    option = framed(
        [bars],
        [],
        {
            "type": "value",
            "name": "Result, R",
            "min": round(min(places) - width, 6),
            "max": round(max(places) + width, 6),
        }
        | {"axisLabel": {"showMinLabel": False, "showMaxLabel": False}},
        {"type": "value", "minInterval": 1},
        look,
    )
    below = {"lt": 0, "color": look.bad}
    return option | {
        "dataset": {"source": frame},
        "tooltip": {"trigger": "item", "formatter": "{@told}<br>{@Trades} trades"},
        "visualMap": {
            "show": False,
            "type": "piecewise",
            "seriesIndex": 0,
            "dimension": "R",
            "pieces": [below, {"gte": 0, "color": look.good}],
        },
    }


def held_chart(table: pd.DataFrame, look: Palette) -> Option:
    """Return the option of how long trades were held, won and lost; `table` has columns `spread.HELD`."""
    names = [f"< {format_duration(int(to))}" for to in table["to_ms"]]
    if names and table["to_ms"].iloc[-1] >= 10**14:
        names[-1] = f"{format_duration(int(table['from_ms'].iloc[-1]))} and more"
    frame = pd.DataFrame({"held": names, "Won": table["won"], "Lost": table["lost"]})
    series: list[Option] = [
        {
            "type": "bar",
            "name": name,
            "encode": {"x": "held", "y": name},
            "itemStyle": {"color": colour},
            "barMaxWidth": 22,
        }
        for name, colour in (("Won", look.good), ("Lost", look.bad))
    ]
    y: Option = {"type": "value", "minInterval": 1}
    return framed(series, ("Won", "Lost"), {"type": "category", "axisLabel": {"hideOverlap": True}}, y, look) | {
        "dataset": {"source": frame},
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}},
    }


def excursion_chart(table: pd.DataFrame, look: Palette) -> Option:
    """Return the option of the furthest moves against and in favour; `table` has columns `spread.EXCURSIONS`."""
    won = table["won"] == 1
    frame = pd.DataFrame(
        {
            "against": table["mae_r"].round(3),
            "Won": table["mfe_r"].round(3).where(won),
            "Lost": table["mfe_r"].round(3).where(~won),
            "told": [f"#{number}: {in_r(r)}" for number, r in zip(table["signal_id"], table["r"], strict=True)],
        }
    )
    series: list[Option] = [
        {
            "type": "scatter",
            "name": name,
            "encode": {"x": "against", "y": name},
            "symbol": symbol,
            "symbolSize": size,
            "large": False,
            "itemStyle": {"color": colour, "opacity": 0.45},
        }
        for name, colour, symbol, size in (("Lost", look.bad, "diamond", 6), ("Won", look.good, "circle", 5))
    ]
    series[0]["markLine"] = level(1.0, look, "planned stop", "xAxis")
    x: Option = {"type": "value", "name": "Furthest against (MAE), R", "min": 0}
    y: Option = {"type": "value", "name": "Furthest in favour (MFE), R", "min": 0, "nameGap": 32}
    return framed(series, ("Won", "Lost"), x, y, look) | {
        "dataset": {"source": frame},
        "tooltip": {"trigger": "item", "formatter": "{@told}<br>against: {@against} R"},
    }


def rolling_chart(table: pd.DataFrame, what: str, zone: str, look: Palette, mark: float) -> Option:
    """Return the option of a rolling rate with its interval.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns `rolling.ROLLING`.
    what : str
        ``win`` or ``r``.
    zone : str
    look : Palette
    mark : float
        Where gain begins: the break-even rate, or 0; NaN leaves it out.
    """
    of_rate = what == "win"
    factor = 100.0 if of_rate else 1.0
    name = "Win rate, %" if of_rate else "Expectancy, R"
    write = in_percent if of_rate else in_r
    told = [
        f"{write(value)}, 95 %: {span(write(low), write(high)) if math.isfinite(low) else 'none'}, {weeks} weeks"
        for value, low, high, weeks in zip(
            table[what], table[f"{what}_low"], table[f"{what}_high"], table["weeks"], strict=True
        )
    ]
    frame = pd.DataFrame(
        {
            "time": pd.to_datetime(table["known_ms"], unit="ms", utc=True),
            name: (factor * table[what]).round(4),
            "low": (factor * table[f"{what}_low"]).round(4),
            "width": (factor * (table[f"{what}_high"] - table[f"{what}_low"])).round(4),
            "day": dates(table["known_ms"].tolist(), zone),
            "told": told,
        }
    )
    series = banded(name, "time", name, "low", "width", look.up if of_rate else look.series[3])
    # The words are those of the first series, so the line goes first and the band below it by its depth.
    series = [series[2], *series[:2]]
    if math.isfinite(mark):
        words = f"break-even {mark:.1f}" if of_rate else ""
        series[0]["markLine"] = level(round(mark, 4), look, words)
    return framed(series, (name,), {"type": "time"}, {"type": "value", "scale": True}, look) | {
        "useUTC": True,
        "dataset": {"source": frame},
        "tooltip": {"trigger": "axis", "formatter": "{@day}<br>{@told}"},
    }


def fan_chart(found: Fan, look: Palette) -> Option:
    """Return the option of the realised sum beside the band of drawn ones."""
    q05, q25, q50, q75, q95 = found.quantiles
    told = [
        f"realised {in_r(real)}, 90 % of draws: {span(in_r(low), in_r(high))}"
        for real, low, high in zip(found.realised, q05, q95, strict=True)
    ]
    frame = pd.DataFrame(
        {
            "time": pd.to_datetime(found.end_ms, unit="ms", utc=True),
            "Realised": found.realised.round(3),
            "Median": q50.round(3),
            "low": q05.round(3),
            "width": (q95 - q05).round(3),
            "inner": q25.round(3),
            "within": (q75 - q25).round(3),
            "day": dates(found.end_ms.tolist(), "UTC"),
            "told": told,
        }
    )
    shared: Option = {"type": "line", "showSymbol": False}
    dashed: Option = {"color": look.faint, "type": "dashed", "width": 1.5}
    series: list[Option] = [
        {
            **shared,
            "name": "Realised",
            "encode": {"x": "time", "y": "Realised"},
            "z": 5,
            "itemStyle": {"color": look.up},
            "lineStyle": {"color": look.up, "width": 2},
            "markLine": level(0.0, look),
        },
        {
            **shared,
            "name": "Median",
            "encode": {"x": "time", "y": "Median"},
            "itemStyle": {"color": look.faint},
            "lineStyle": dashed,
        },
        *banded("", "time", "", "low", "width", look.faint, 0.16),
        *banded("", "time", "", "inner", "within", look.faint, 0.22),
    ]
    y: Option = {"type": "value", "name": "Sum of R", "nameGap": 44}
    return framed(series, ("Realised", "Median"), {"type": "time"}, y, look) | {
        "useUTC": True,
        "dataset": {"source": frame},
        "tooltip": {"trigger": "axis", "formatter": "{@day}<br>{@told}"},
    }


def fall_chart(found: Fan, look: Palette) -> Option:
    """Return the option of how deep the drawn sequences fell, with the fall that happened."""
    edges: FloatArray = np.linspace(0.0, float(found.fall.max()) * 1.0001 or 1.0, _FALL_BINS + 1)
    n, _ = np.histogram(found.fall, edges)
    share = 100.0 * n / len(found.fall)
    frame = pd.DataFrame(
        {
            "fall": ((edges[:-1] + edges[1:]) / 2).round(4),
            "share": share.round(3),
            "told": [
                f"{span(in_r_unsigned(low), in_r_unsigned(high))}: {part:.1f} % of draws"
                for low, high, part in zip(edges[:-1], edges[1:], share, strict=True)
            ],
        }
    )
    bars: Option = {
        "type": "bar",
        "name": "Draws",
        "encode": {"x": "fall", "y": "share"},
        "barWidth": round(_BARS_PX / _FALL_BINS),
        "itemStyle": {"color": look.bad, "opacity": 0.75},
        "markLine": level(round(found.realised_fall, 4), look, f"realised {found.realised_fall:.1f}", "xAxis"),
    }
    x: Option = {"type": "value", "name": "Deepest fall, R", "min": 0, "max": round(float(edges[-1]), 2)}
    x |= {"axisLabel": {"showMaxLabel": False}}
    return framed([bars], [], x, {"type": "value", "name": "% of draws", "nameGap": 34}, look) | {
        "dataset": {"source": frame},
        "tooltip": {"trigger": "item", "formatter": "{@told}"},
    }
