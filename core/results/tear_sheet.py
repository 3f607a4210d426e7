"""The tear sheet: the results as one page to keep or to hand on.

The law: the page needs nothing but itself; each figure on it is counted by the functions the viewer and the command
line use, and carries its interval or is not shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.clock import format_ms
from core.results._html import document, escaped, figures, table
from core.results.costs_split import CostSplit
from core.results.drawdowns import drawdowns
from core.results.equity import Curve, account_curve, equal_stake_curve
from core.results.holding import Held
from core.results.metrics import (
    DISCLAIMER,
    NOT_ENOUGH,
    SYNTHETIC,
    UNGATED,
    account_metrics,
    conclusion,
    counted,
    metrics,
)
from core.results.montecarlo import MIN_BLOCKS, fan
from core.results.returns import monthly
from core.results.rows import closed_rows, taken_rows
from core.results.statistics import Summary, summarize
from core.results.svg import STYLE, Line, interval_svg, line_svg
from core.results.tables import BREAKDOWNS, breakdown, exit_reason_table
from core.results.words import in_percent, in_r, in_r_unsigned, in_signed_percent, in_time, in_usd, span

__all__ = ["SheetFacts", "tear_sheet"]

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SPLITS = ("symbol", "timeframe", "pair", "direction", "setup", "regime_trend", "regime_vol", "verdict")
_STYLE = """
td.month { font-variant-numeric: tabular-nums; text-align: right; } td.gain { background: #00775a33; }
td.loss { background: #c2410033; } @media print { h2 { break-after: avoid; } svg, tr { break-inside: avoid; } }
"""


@dataclass(frozen=True, slots=True, eq=False)
class SheetFacts:
    """What a tear sheet is made of.

    Parameters
    ----------
    scope : sequence of str
        Which trades these are, a line each.
    rows : pandas.DataFrame
        Columns `rows.RESULT_ROWS`.
    left_out : int
        Signals judged by a model that had seen their outcome.
    capital_usd : float
        Start of the paper account.
    held : Held or None
        What holding the market would have made over the same time.
    costs : CostSplit
    evidence : sequence of sequence of str
        Slice, whether it is certified, results, mean, lower bound: of everything on record.
    standing : sequence of str
        What judges signals now, a line each.
    zone : str
        Time zone of the reader.
    synthetic, ungated : bool
        The candles were generated; nobody judges candidates.
    """

    scope: Sequence[str]
    rows: pd.DataFrame
    left_out: int
    capital_usd: float
    held: Held | None
    costs: CostSplit
    evidence: Sequence[Sequence[str]]
    standing: Sequence[str]
    zone: str
    synthetic: bool
    ungated: bool


def tear_sheet(facts: SheetFacts) -> str:
    """Return the page, HTML.

    Parameters
    ----------
    facts : SheetFacts
    """
    everything, taken = summarize(facts.rows), summarize(taken_rows(facts.rows))
    account = account_curve(facts.rows, facts.capital_usd)
    blocks = [
        *([_warning(SYNTHETIC)] if facts.synthetic else []),
        *([_warning(UNGATED)] if facts.ungated else []),
        *(f'<p class="soft">{escaped(line)}</p>' for line in facts.scope),
        f"<p><strong>{escaped(conclusion(everything))}</strong></p>",
        f'<p class="soft">{escaped(counted(everything, facts.left_out))}</p>',
        "<h2>Figures</h2>",
        _both(everything, taken),
        *_equity(facts, account),
        *_months(facts),
        *_redrawn(facts.rows),
        *_splits(facts.rows),
        *_costs(facts.costs),
        *_evidence(facts),
        "<h2>What the figures mean</h2>",
        figures(metrics(everything)),
        f"<p><strong>{escaped(DISCLAIMER)}</strong></p>",
    ]
    return document("Trader AI: tear sheet", blocks, STYLE + _STYLE)


def _warning(text: str) -> str:
    return f'<p class="warning">{escaped(text)}</p>'


def _note(text: str) -> str:
    return f'<p class="soft">{escaped(text)}</p>'


def _both(everything: Summary, taken: Summary) -> str:
    rows = [
        [one.label, one.value, one.detail.removeprefix("95 %: "), other.value, other.detail.removeprefix("95 %: ")]
        for one, other in zip(metrics(everything), metrics(taken), strict=True)
    ]
    return table(["Figure", "All candidates", "95 % interval, count", "Taken", "95 % interval, count"], rows, "<>~>~")


def _equity(facts: SheetFacts, account: Curve) -> list[str]:
    stakes = equal_stake_curve(facts.rows)
    blocks = ["<h2>Equity</h2>"]
    if not len(stakes.ts_ms):
        return [*blocks, "<p>No closed trade.</p>"]
    blocks.append(_note("Each result when its outcome was known, after costs. Holding the market pays none here."))
    for curve, title, percent in ((account, "Paper account, taken trades", True), (stakes, "Equal stakes", False)):
        blocks.append(f"<h3>{escaped(title)}</h3>")
        if not len(curve.ts_ms):
            blocks.append("<p>No taken trade is closed.</p>")
            continue
        blocks += _curve(curve, title, percent, facts.held if percent else None)
    told = [f"{one.label}: {one.value}, {one.detail}" for one in account_metrics(account)]
    held = facts.held
    if held is not None:
        told.append(f"Holding {_named(held)}: {in_signed_percent(100.0 * (held.factor[-1] - 1.0))} over the same time")
    return [*blocks, _note(". ".join(told) + "."), *_falls(account if len(account.ts_ms) else stakes, facts.zone)]


def _named(held: Held) -> str:
    return held.symbols[0] if len(held.symbols) == 1 else f"{len(held.symbols)} symbols, each for the same amount"


def _curve(curve: Curve, title: str, percent: bool, held: Held | None) -> list[str]:
    lines = [Line("Balance, USD", "good" if percent else "up", curve.ts_ms, curve.balance)]
    if held is not None:
        lines.append(Line("Holding the market", "held", held.ts_ms, curve.start * held.factor))
    fall = curve.drawdown_pct if percent else curve.drawdown
    known = np.isfinite(fall)
    unit = "%" if percent else "USD"
    below = Line("", "bad", curve.ts_ms[known], fall[known], np.zeros(int(known.sum())))
    edge = Line(f"Below its high, {unit}", "bad", curve.ts_ms[known], fall[known])
    return [
        line_svg(lines, f"{title}: balance over time"),
        *([line_svg([edge, below], f"{title}: below its high, {unit}", 130)] if known.any() else []),
    ]


def _falls(curve: Curve, zone: str) -> list[str]:
    rows = [
        [
            format_ms(row["from_ms"], zone)[:10],
            format_ms(row["bottom_ms"], zone)[:10],
            format_ms(row["back_ms"], zone)[:10] if row["back_ms"] else "not yet",
            in_usd(row["depth"]),
            in_signed_percent(row["depth_pct"]),
            in_time(row["length_ms"]),
        ]
        for row in drawdowns(curve).to_dict("records")
    ]
    heads = [f"From ({zone})", "Bottom", "Back", "Depth", "Of the high", "Length"]
    return ["<h3>Worst falls</h3>", table(heads, rows, "<<<>><")] if rows else []


def _months(facts: SheetFacts) -> list[str]:
    sums = monthly(facts.rows, facts.zone)
    if sums.empty:
        return []
    most = float(np.abs(sums["r"]).max()) or 1.0
    cells = {(row["year"], row["month"]): _month(row["r"], row["n"], most) for row in sums.to_dict("records")}
    lines = []
    for year in sorted(set(sums["year"].tolist())):
        months = "".join(cells.get((year, month), "<td></td>") for month in range(1, 13))
        total = float(sums.loc[sums["year"] == year, "r"].sum())
        lines.append(f'<tr><td>{year}</td>{months}<td class="month"><strong>{total:+.1f}</strong></td></tr>')
    heads = "".join(f'<th class="number">{name}</th>' for name in (*_MONTHS, "Year"))
    return [
        "<h2>Months</h2>",
        _note(f"Sum of R of all candidates by the month in which the outcome was known, {facts.zone}."),
        f'<div class="scroll"><table><thead><tr><th></th>{heads}</tr></thead>',
        f"<tbody>{''.join(lines)}</tbody></table></div>",
    ]


def _month(r: float, n: int, most: float) -> str:
    kind = "" if abs(r) < 0.02 * most else " gain" if r > 0 else " loss"
    return f'<td class="month{kind}" title="n = {n:,}">{r:+.1f}</td>'


def _redrawn(rows: pd.DataFrame) -> list[str]:
    found = fan(rows)
    title = "<h2>The same weeks, drawn again</h2>"
    if found is None:
        return [title, _note(f"{NOT_ENOUGH.capitalize()}: 30 closed trades in {MIN_BLOCKS} weeks are needed.")]
    low, _, middle, _, high = found.quantiles
    lines = [
        Line("", "soft", found.end_ms, high, low),
        Line("Realised, sum of R", "up", found.end_ms, found.realised),
        Line("Median of draws", "soft", found.end_ms, middle),
    ]
    ends = [in_r(float(end)) for end in np.quantile(found.final, (0.05, 0.95))]
    deep = float(np.quantile(found.fall, 0.95))
    return [
        title,
        _note(
            "2,000 sequences of the weeks on record, drawn with replacement; the band holds 90 % of them. It shows how "
            "much is luck of order and draw, and forecasts nothing."
        ),
        line_svg(lines, "Realised sum of R and the band of drawn ones"),
        _note(
            f"90 % of draws end between {span(*ends)}; {in_percent(found.loss_share)} below zero. Deepest fall: "
            f"realised {in_r_unsigned(found.realised_fall)}, one draw in twenty deeper than {in_r_unsigned(deep)}."
        ),
    ]


def _splits(rows: pd.DataFrame) -> list[str]:
    if closed_rows(rows).empty:
        return []
    ends = [
        [row["exit_reason"], f"{row['n']:,}", in_percent(row["share"]), in_r(row["expectancy_r"])]
        for row in exit_reason_table(rows).to_dict("records")
    ]
    blocks = ["<h2>How they ended</h2>", table(["Reason", "Count", "Share", "Mean"], ends, "<>>>")]
    blocks.append("<h2>Breakdowns</h2>")
    blocks.append(
        _note("All candidates. Intervals hold for one group by itself: the best of many looks good by chance.")
    )
    for by in _SPLITS:
        found = breakdown(rows, by)
        title = BREAKDOWNS[by]
        blocks += [f"<h3>{escaped(title)}</h3>", interval_svg(found, f"Expectancy by {title.lower()}"), _groups(found)]
    return blocks


def _groups(found: pd.DataFrame) -> str:
    rows = []
    for row in found.to_dict("records"):
        told = [NOT_ENOUGH, "", "", ""]
        if row["enough"]:
            told = [in_percent(row["win_rate"]), span(in_percent(row["win_low"]), in_percent(row["win_high"]))]
            told += [in_r(row["expectancy_r"]), span(in_r(row["r_low"]), in_r(row["r_high"]))]
        rows.append([str(row["group"]), f"{row['n']:,}", *told])
    return table(["Group", "Closed", "Win rate", "95 %", "Expectancy", "95 %"], rows, "<>>>>>")


def _costs(split: CostSplit) -> list[str]:
    title = "<h2>Costs</h2>"
    if not split.net.enough:
        return [title, f"<p>{escaped(NOT_ENOUGH.capitalize())}.</p>"]
    write = "{:+.3f} R".format
    first = "Before costs" if split.slippage is not None else "After slippage, before other costs"
    steps = [(first, split.gross, 1.0)]
    costs = (("Slippage", split.slippage), ("Fees", split.fees), ("Funding", split.funding))
    steps += [(name, cost, -1.0) for name, cost in costs if cost is not None]
    rows = []
    for name, one, sign in [*steps, ("Net", split.net, 1.0)]:
        low, high = sorted((sign * one.low, sign * one.high))
        interval = span(write(low), write(high)) if math.isfinite(low) else ""
        rows.append([name, write(sign * one.value + 0.0), interval, f"{one.n:,}"])
    return [
        title,
        _note("Mean of a closed trade, all candidates."),
        table(["Step", "Mean", "95 %", "Closed"], rows, "<>>>"),
    ]


def _evidence(facts: SheetFacts) -> list[str]:
    blocks = ["<h2>Evidence</h2>", "<ul>", *(f"<li>{escaped(line)}</li>" for line in facts.standing), "</ul>"]
    if facts.evidence:
        blocks.append(_note("Of everything on record, out of sample, at or above the threshold tested."))
        blocks.append(table(["Slice", "State", "Results", "Mean", "Lower bound"], facts.evidence, "<<>>>"))
    return blocks
