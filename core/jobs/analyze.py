"""The results as text, and the equity curves as a file: what the viewer's page Results shows.

The law: the same functions count here and there, so the same trades give the same figures in both.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from core.config import Config
from core.errors import UsageError, nearest
from core.jobs._page import put_text
from core.results.equity import account_curve, equity_frame
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
from core.results.rows import SIGNAL_COLUMNS, newest_policy, plan_table, result_rows, taken_rows
from core.results.statistics import summarize
from core.results.tables import BREAKDOWNS, breakdown, exit_reason_table
from core.results.words import in_percent, in_r, in_usd, span
from core.store.reader import Reader

__all__ = ["analyze"]

_WIDTH = 100  # of a terminal; tables are narrower
_SPLITS = ("timeframe", "symbol", "direction", "regime_trend", "regime_vol")
_NOTHING = (
    "Scan the stored history: `python retro_scan.py --start 2024-01-01`; or start the engine: `python scheduler_run.py`"
)


def analyze(
    reader: Reader,
    config: Config,
    out_path: Path | None,
    *,
    exchange: str | None = None,
    plan_hash: str | None = None,
    exit_policy: str | None = None,
    by: Sequence[str] = _SPLITS,
) -> str:
    """Return the results as text and write the equity curves.

    Parameters
    ----------
    reader : Reader
    config : Config
        For the paper account's capital.
    out_path : pathlib.Path or None
        CSV file to write, replaced whole; columns `core.results.equity.EQUITY_COLUMNS`. None writes nothing.
    exchange, plan_hash, exit_policy : str, optional
        What to count; each the newest on record unless given.
    by : sequence of str
        What to split by, of `core.results.tables.BREAKDOWNS`.

    Returns
    -------
    str
        Ready to print. Without signals or trades it names the command that makes them, and no file is written.

    Raises
    ------
    UsageError
        An exchange, plan or exit policy that is not on record, or an unknown split.
    DiskError
        The file is a folder, or cannot be written.
    """
    signals = reader.signals(limit=1, columns=["exchange"])
    if signals.empty:
        return f"No signals yet. {_NOTHING}"
    exchange = _known("exchange", exchange, str(signals["exchange"].iloc[0]), reader.series()["exchange"])
    signals = reader.signals(exchange=exchange, columns=["id", *SIGNAL_COLUMNS])
    if signals.empty:
        return f"No signals of {exchange} yet. {_NOTHING}"
    plans = plan_table(signals)
    plan_hash = _known("plan", plan_hash, str(plans.index[0]), plans.index)
    trades = reader.trades(exchange=exchange)
    if trades.empty:
        return f"No trades of {exchange} yet. {_NOTHING}"
    newest = newest_policy(trades, reader.exit_policies())
    exit_policy = _known("exit policy", exit_policy, newest, trades["exit_policy"])
    of_plan = signals[signals["plan_hash"] == plan_hash]
    rows = result_rows(trades[trades["exit_policy"] == exit_policy], of_plan)
    lines = [f"{exchange}, plan {plan_hash} ({_signals(len(of_plan))}), exit policy {exit_policy}"]
    lines += _warnings(signals, reader.meta(f"synthetic:{exchange}") == "1")
    lines += _report(rows, int((of_plan["in_sample"] == 1).sum()), config.risk.capital_usd, by)
    if out_path is not None:
        frame = equity_frame(rows, config.risk.capital_usd)
        put_text(out_path, frame.to_csv(index=False, lineterminator="\n"))
        lines += ["", f"Equity: {out_path} ({len(frame):,} closed trades)"]
    return "\n".join([*lines, "", *_wrapped(DISCLAIMER)])


def _warnings(signals: pd.DataFrame, generated: bool) -> list[str]:
    newest = signals.sort_values(["decided_ms", "id"])["verdict"].iloc[-1]
    return [SYNTHETIC] * generated + [UNGATED] * bool(newest == "UNGATED")


def _signals(n: int) -> str:
    return f"{n:,} signal{'' if n == 1 else 's'}"


def _known(what: str, asked: str | None, default: str, names: pd.Series | pd.Index) -> str:
    if asked is None:
        return default
    known = {str(name) for name in names}
    if asked not in known:
        raise UsageError(f"{what} '{asked}' is not on record; {nearest(asked, known)}")
    return asked


def _report(rows: pd.DataFrame, left_out: int, capital_usd: float, by: Sequence[str]) -> list[str]:
    everything, taken = summarize(rows), summarize(taken_rows(rows))
    lines = [*_wrapped(counted(everything, left_out)), "", *_wrapped(conclusion(everything))]
    account = account_metrics(account_curve(rows, capital_usd))
    for title, shown in (("All candidates", metrics(everything)), ("Taken", metrics(taken) + account)):
        figures = [[metric.label, metric.value, metric.detail] for metric in shown]
        lines += ["", title, *_aligned(figures, "<><")]
    lines += ["", "How they ended", *_aligned(_ends(rows), "<>>>>")]
    for name in by:
        lines += ["", f"By {BREAKDOWNS.get(name, name).lower()}", *_aligned(_groups(rows, name), "<>>>>>>")]
    return lines


def _ends(rows: pd.DataFrame) -> list[list[str]]:
    lines = [["Reason", "Count", "Share", "Mean", "Equal stakes"]]
    for row in exit_reason_table(rows).itertuples(index=False):
        share, mean = in_percent(float(row.share)), in_r(float(row.expectancy_r))  # type: ignore[arg-type]
        money = "-" if mean == "-" else in_usd(float(row.pnl_usd))  # type: ignore[arg-type]
        lines.append([str(row.exit_reason), f"{row.n:,}", share, mean, money])
    return lines


def _groups(rows: pd.DataFrame, by: str) -> list[list[str]]:
    lines = [["Group", "Closed", "Win rate", "95 %", "Expectancy", "95 %", "Equal stakes"]]
    for row in breakdown(rows, by).to_dict("records"):
        figures = [NOT_ENOUGH, "", "", ""]
        if row["enough"]:
            win, expectancy = in_percent(row["win_rate"]), in_r(row["expectancy_r"])
            wins = span(in_percent(row["win_low"]), in_percent(row["win_high"]))
            figures = [win, wins, expectancy, span(in_r(row["r_low"]), in_r(row["r_high"]))]
        lines.append([str(row["group"]), f"{row['n']:,}", *figures, in_usd(row["pnl_usd"])])
    return lines


def _aligned(lines: list[list[str]], sides: str) -> list[str]:
    """Return lines of cells as columns, each to the left (``<``) or to the right (``>``)."""
    widths = [max(len(line[place]) for line in lines) for place in range(len(sides))]
    cells = [f"{{:{side}{width}}}" for side, width in zip(sides, widths, strict=True)]
    return ["  ".join(cells).format(*line).rstrip() for line in lines]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
