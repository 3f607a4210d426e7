"""The weekly summary as a page that needs nothing but itself.

The law: one file without scripts or anything fetched; every text from data is escaped; it is readable on light and on
dark.
"""

from __future__ import annotations

import pandas as pd

from core.clock import format_ms
from core.results._html import document, escaped, figures, table
from core.results.metrics import SYNTHETIC, conclusion, metrics
from core.results.rows import closed_rows
from core.results.summary import PeriodFacts, summary_lines
from core.results.words import in_r, in_usd

__all__ = ["ROWS_SHOWN", "summary_page"]

ROWS_SHOWN = 500
"""Most trades a page lists, the newest."""


def summary_page(facts: PeriodFacts, zone: str, synthetic: bool) -> str:
    """Return the page of a period, HTML.

    Parameters
    ----------
    facts : PeriodFacts
    zone : str
        Time zone of the reader.
    synthetic : bool
        The candles were generated.
    """
    title = f"Trader AI: {facts.title}"
    summary = facts.summary
    first, *lines = summary_lines(facts, zone)
    return document(
        title,
        [
            f'<p class="soft">{escaped(first)}</p>',
            *([f'<p class="warning">{escaped(SYNTHETIC)}</p>'] if synthetic else []),
            "<ul>",
            *(f"<li>{escaped(line)}</li>" for line in lines),
            "</ul>",
            "<h2>Taken trades that closed</h2>",
            f"<p>{escaped(conclusion(summary))}</p>",
            figures(metrics(summary)),
            *_by(facts.ended, "symbol", "By symbol"),
            *_by(facts.ended, "timeframe", "By timeframe"),
            "<h2>Each trade</h2>",
            _trades(facts.ended, zone),
        ],
    )


def _by(ended: pd.DataFrame, column: str, title: str) -> list[str]:
    """Return counts and sums by a column: rates of a week's few are not shown."""
    done = closed_rows(ended)
    if done.empty:
        return []
    rows = [
        [str(group), f"{len(part):,}", f"{int((part['pnl_pct'] > 0).sum()):,}", in_r(float(part["r_multiple"].sum()))]
        for group, part in done.groupby(column, sort=True)
    ]
    return [f"<h2>{escaped(title)}</h2>", table([column.capitalize(), "Closed", "Won", "Sum"], rows, "<>>>")]


def _trades(ended: pd.DataFrame, zone: str) -> str:
    if ended.empty:
        return "<p>No taken trade ended.</p>"
    newest = ended.sort_values(["known_ms", "signal_id"], ascending=False, kind="stable").head(ROWS_SHOWN)
    rows = []
    for row in newest.to_dict("records"):
        is_closed = row["status"] == "CLOSED"
        usd = in_usd(row["pnl_pct"] / 100.0 * row["position_notional"]) if is_closed else "-"
        rows.append(
            [
                f"#{int(row['signal_id'])}",
                f"{str(row['direction']).upper()} {row['symbol']} {row['timeframe']}",
                format_ms(int(row["known_ms"]), zone),
                str(row["exit_reason"]) or str(row["status"]).lower(),
                in_r(row["r_multiple"]) if is_closed else "-",
                usd,
            ]
        )
    left_out = len(ended) - len(newest)
    note = f'<p class="soft">{left_out:,} older ones are not listed.</p>' if left_out else ""
    return table(["Id", "Signal", "Ended", "Reason", "Result", "At its size"], rows, "<<<<>>") + note
