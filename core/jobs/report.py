"""The tear sheet of what is on record, as a page on disk.

The law: it only reads the database; the page is whole or not there, and none is replaced unasked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from core.clock import format_ms, timeframe_ms
from core.config import Config
from core.errors import InputFileError, TraderError, UsageError, nearest
from core.gate import Evidence
from core.jobs._page import put_text, refuse_folder
from core.jobs._subject import narrowed
from core.results.costs_split import CostSplit, split_costs
from core.results.holding import Closes, Held, hold
from core.results.rows import SIGNAL_COLUMNS, closed_rows, newest_policy, plan_table, result_rows
from core.results.tear_sheet import SheetFacts, tear_sheet
from core.results.words import in_r
from core.store.reader import Reader

__all__ = ["ReportRequest", "report_page", "write_report"]

_NOTHING = "scan the stored history first: `python retro_scan.py --start 2024-01-01`"


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """What a tear sheet is about.

    Parameters
    ----------
    symbols, timeframes : sequence of str
        Only these; empty for all on record.
    start_ms, end_ms : int or None
        Only candidates decided in ``[start_ms, end_ms)``.
    exit_policy : str or None
        Whose trades; the newest unless given.
    """

    symbols: Sequence[str] = ()
    timeframes: Sequence[str] = ()
    start_ms: int | None = None
    end_ms: int | None = None
    exit_policy: str | None = None


def write_report(reader: Reader, config: Config, request: ReportRequest, path: Path, force: bool = False) -> str:
    """Write the tear sheet and say where it is.

    Parameters
    ----------
    reader : Reader
    config : Config
        For the account's capital, the order of the symbols and the zone.
    request : ReportRequest
    path : pathlib.Path
        Its folder is made when missing.
    force : bool
        Replace a file that is there.

    Raises
    ------
    InputFileError
        The file is there already.
    TraderError
        There is nothing to report on yet, or not in this choice.
    UsageError
        A symbol, timeframe or exit policy that is not on record.
    DiskError
        It is a folder, or cannot be written.
    """
    refuse_folder(path)
    if path.exists() and not force:
        raise InputFileError(f"{path}: exists already; expected a new name, or --force to replace it")
    page, n = report_page(reader, config, request)
    put_text(path, page)
    return f"Report: {path} ({n:,} closed trades)"


def report_page(reader: Reader, config: Config, request: ReportRequest) -> tuple[str, int]:
    """Return the tear sheet, HTML, and how many closed trades it counts."""
    newest = reader.signals(limit=1, columns=["exchange", "verdict"])
    if newest.empty:
        raise TraderError(f"report: no signals on record; {_NOTHING}")
    exchange = str(newest["exchange"].iloc[0])
    heads = reader.signals(exchange=exchange, columns=["id", *SIGNAL_COLUMNS])
    plan_hash = str(plan_table(heads).index[0])
    of_plan = heads[heads["plan_hash"] == plan_hash]
    exit_policy = _policy(reader, exchange, request.exit_policy)
    chosen = narrowed(of_plan, request.symbols, request.timeframes, request.start_ms, request.end_ms)
    rows = result_rows(reader.trades(exchange=exchange, exit_policy=exit_policy), chosen)
    if rows.empty:
        raise TraderError(_why_nothing(of_plan, chosen, exit_policy))
    synthetic = reader.meta(f"synthetic:{exchange}") == "1"
    standing, evidence = _evidence(reader, config.app.timezone)
    facts = SheetFacts(
        scope=_scope(exchange, plan_hash, exit_policy, request, len(rows)),
        rows=rows,
        left_out=int((chosen["in_sample"] == 1).sum()),
        capital_usd=config.risk.capital_usd,
        held=_held(reader, exchange, config, rows),
        costs=_costs(reader, exchange, plan_hash, exit_policy, rows),
        evidence=evidence,
        standing=standing,
        zone=config.app.timezone,
        synthetic=synthetic,
        ungated=str(newest["verdict"].iloc[0]) == "UNGATED",
    )
    return tear_sheet(facts), len(closed_rows(rows))


def _why_nothing(of_plan: pd.DataFrame, chosen: pd.DataFrame, exit_policy: str) -> str:
    """Say why a choice has no trade: nothing was decided in it, or what was decided in it was never played."""
    if chosen.empty:
        first, last = (format_ms(int(end)) for end in (of_plan["decided_ms"].min(), of_plan["decided_ms"].max()))
        return f"report: no finished trade in this choice; those on record were decided from {first} to {last}"
    none = f"none of its {len(chosen):,} candidates that was judged out of sample was played under {exit_policy}"
    return f"report: no finished trade in this choice: {none}; {_NOTHING}"


def _policy(reader: Reader, exchange: str, asked: str | None) -> str:
    trades = reader.trades(exchange=exchange, columns=["signal_id", "exit_policy"])
    if trades.empty:
        raise TraderError(f"report: no trades of {exchange} on record; {_NOTHING}")
    policies = sorted(set(trades["exit_policy"]))
    exit_policy = asked or newest_policy(trades, reader.exit_policies())
    if exit_policy not in policies:
        raise UsageError(f"exit policy '{exit_policy}' is not on record; {nearest(exit_policy, policies)}")
    return exit_policy


def _scope(exchange: str, plan_hash: str, exit_policy: str, request: ReportRequest, n: int) -> list[str]:
    lines = [f"{exchange}, plan {plan_hash}, exit policy {exit_policy}: {n:,} candidates."]
    narrowed = [
        *([f"symbols {', '.join(request.symbols)}"] if request.symbols else []),
        *([f"timeframes {', '.join(request.timeframes)}"] if request.timeframes else []),
        *([f"decided from {format_ms(request.start_ms)}"] if request.start_ms is not None else []),
        *([f"decided before {format_ms(request.end_ms)}"] if request.end_ms is not None else []),
    ]
    return [*lines, f"Only {'; '.join(narrowed)}."] if narrowed else lines


def _held(reader: Reader, exchange: str, config: Config, rows: pd.DataFrame) -> Held | None:
    """Return what holding the first configured of these symbols would have made, from its longest candles."""
    done = closed_rows(rows)
    if done.empty:
        return None
    there = sorted(set(rows["symbol"]))
    symbol = next((name for name in config.symbols if name in there), there[0])
    series = reader.series()
    stored = series.loc[(series["exchange"] == exchange) & (series["symbol"] == symbol), "timeframe"]
    if stored.empty:
        return None
    timeframe = max(stored, key=timeframe_ms)
    step, start_ms, end_ms = timeframe_ms(timeframe), int(done["decided_ms"].min()), int(done["known_ms"].max())
    found = reader.candles(exchange, symbol, timeframe, start_ms - 2 * step, end_ms)
    closes: Closes = (found.ts + step, found.close)
    return hold({symbol: closes}, start_ms, end_ms)


def _costs(reader: Reader, exchange: str, plan_hash: str, exit_policy: str, rows: pd.DataFrame) -> CostSplit:
    _, params = reader.exit_policies().get(exit_policy, ("", "{}"))
    slippage = json.loads(params).get("costs", {}).get("slippage_pct")
    legs = reader.crossed(exchange, plan_hash, exit_policy)
    return split_costs(rows, legs, None if slippage is None else float(slippage))


def _evidence(reader: Reader, zone: str) -> tuple[list[str], list[list[str]]]:
    """Return what judges signals now in words, and what each slice has shown."""
    reigns, rows = reader.reigns(), reader.thresholds(limit=1)
    version = str(reigns["version"].iloc[-1]) if len(reigns) else ""
    standing = [f"Model in force: {version or 'none'}"]
    if rows.empty:
        return [*standing, "No tuning has looked for evidence yet"], []
    evidence = Evidence.from_json(json.loads(rows["evidence"].iloc[0]))
    certified = sum(one.certified for one in evidence.slices.values())
    standing.append(f"Evidence of {format_ms(int(rows['since_ms'].iloc[0]), zone)}: {certified} slices certified")
    lines = [
        [
            one.name,
            f"certified until {format_ms(one.expires_ms, zone)[:10]}" if one.certified else f"no evidence: {one.why}",
            f"{one.n:,}",
            in_r(one.mean_r),
            in_r(one.lower_r),
        ]
        for one in evidence.slices.values()
    ]
    return standing, lines
