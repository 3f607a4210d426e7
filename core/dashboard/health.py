"""Health: whether the engine keeps up, job by job and series by series.

The law: the findings are those of `trader health`; each that is wrong names what mends it.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from core.clock import format_duration, format_ms, timeframe_ms
from core.dashboard._axis import LEGEND, Option
from core.dashboard._parts import chart, empty_state, section, table, tile
from core.dashboard._shared import View, show
from core.dashboard._source import synthetic
from core.dashboard._source_health import (
    Beat,
    answers_of,
    backups_of,
    beat_of,
    due_of,
    findings_of,
    gaps_of,
    runs_of,
    sizes_of,
    versions,
)
from core.dashboard._theme import Palette, palette
from core.results.board import job_board
from core.results.words import in_percent

__all__ = ["answers_chart", "page"]

_HOLD_S = 10.0


def page() -> None:
    """Draw the page."""
    show("Health", _body, _HOLD_S)


def _body(view: View) -> None:
    beat = beat_of(view)
    _tiles(view, beat)
    _findings(view, beat)
    _jobs(view, beat)
    _answers(view)
    _series(view, beat)
    _files(view)


def _tiles(view: View, beat: Beat) -> None:
    sizes, runs = sizes_of(view), runs_of(view.snapshot)
    places = st.columns(4)
    with places[0]:
        if beat.beat is None:
            tile("Engine", "never run", "no heartbeat beside the database")
        else:
            tile(
                "Engine",
                "running" if beat.alive else "stopped",
                f"{beat.beat.mode}, process {beat.beat.pid}",
                "Whether the process that scans has finished a cycle lately.",
                delta=f"last cycle {format_duration(beat.age_ms)} ago",
            )
    with places[1]:
        took = f"{beat.beat.took_ms:,} ms" if beat.beat is not None else "-"
        cycles = f"cycle {beat.beat.cycle:,} of this process" if beat.beat is not None else "none yet"
        tile("Last cycle", took, cycles, "How long the last minute's work took: sync, resample, execute, scan.")
    with places[2]:
        tile(
            "Database",
            f"{sizes['database'] / 1e6:,.0f} MB",
            f"write-ahead log {sizes['wal'] / 1e6:.1f} MB",
            "The log holds what was written since the last checkpoint; it stays below 64 MB.",
        )
    with places[3]:
        failed = int((runs["status"] != "ok").sum()) if len(runs) else 0
        tile("Failed runs", f"{failed:,}", f"of the last {len(runs):,} on record", "Each is made good by the next run.")


def _findings(view: View, beat: Beat) -> None:
    section("Findings", "What `python -m core health` says; what is wrong stands first.")
    for found in sorted(findings_of(view, beat), key=lambda one: one.ok):
        icon = ":material/check_circle:" if found.ok else ":material/error:"
        colour = "blue" if found.ok else "orange"
        st.markdown(f":{colour}[{icon}] **{found.name}**: {found.told}")
    if beat.beat is None:
        empty_state(
            "The engine has never run on this database",
            "Candles and signals may have been filled in by commands; nothing is followed.",
            [("python scheduler_run.py", "Start it:")],
        )


def _jobs(view: View, beat: Beat) -> None:
    runs = runs_of(view.snapshot)
    section("Jobs", "Counted over the runs on record, newest first. Times are the market's.")
    if runs.empty:
        st.info("No job has run yet.", icon=":material/hourglass_empty:")
        return
    zone, board = view.source.zone, job_board(runs, due_of(view, beat))
    told = board.assign(
        last=[format_ms(int(ms), zone) for ms in board["last_ms"]],
        next=[format_ms(int(ms), zone) if ms else "" for ms in board["next_ms"]],
    )
    order = ["job", "last", "status", "took_ms", "median_ms", "p99_ms", "runs", "failed", "failed_in_a_row", "next"]
    table(told, "jobs", _JOB_COLUMNS, most=16, column_order=[*order, "detail"], export=board)
    bad = runs[runs["status"] != "ok"]
    if len(bad):
        with st.expander(f"Failed runs, {len(bad):,}"):
            when = [format_ms(int(ms), zone) for ms in bad["started_ms"]]
            table(bad.assign(when=when)[["when", "job", "status", "detail"]], "failed-runs", {"when": f"When ({zone})"})


_MS: dict[str, Any] = {"format": "%,.0f"}
_JOB_COLUMNS: dict[str, Any] = {
    "job": st.column_config.TextColumn("Job", width=130),
    "last": st.column_config.TextColumn("Last", width=150),
    "status": st.column_config.TextColumn("Ended", width=64),
    "took_ms": st.column_config.NumberColumn("Took, ms", **_MS),
    "median_ms": st.column_config.NumberColumn("Median", help="Half of the runs were faster.", **_MS),
    "p99_ms": st.column_config.NumberColumn("99 %", help="All but one of a hundred were faster.", **_MS),
    "runs": st.column_config.NumberColumn("Runs", format="localized"),
    "failed": st.column_config.NumberColumn("Failed", format="localized"),
    "failed_in_a_row": st.column_config.NumberColumn("In a row", help="Failures up to the last run."),
    "next": st.column_config.TextColumn("Next", width=150),
    "detail": st.column_config.TextColumn("Said", width=320),
}


def _answers(view: View) -> None:
    told = answers_of(view.snapshot)
    if told.empty:
        return
    section("Exchange", "How it answered, by quarter of an hour: mean and slowest answer, and the share that failed.")
    asked = int(told["requests"].sum())
    failed = float((told["error"] * told["requests"]).sum())
    st.caption(f"{asked:,} requests on record, {in_percent(failed / asked)} failed.")
    chart(answers_chart(told, palette()), key="answers", height=220, alt="Answer times and errors of the exchange")


def answers_chart(told: pd.DataFrame, look: Palette) -> Option:
    """Return the option of answer times with the share of failures.

    Parameters
    ----------
    told : pandas.DataFrame
        Columns ts_ms, answer_ms, slowest_ms, error.
    look : Palette
    """
    line: Option = {"lineStyle": {"color": look.grid}}
    series = [
        {
            "type": kind,
            "name": name,
            "showSymbol": False,
            "yAxisIndex": at,
            "data": [[int(ms), round(float(value), 4)] for ms, value in zip(told["ts_ms"], values, strict=True)],
            "itemStyle": {"color": colour, "opacity": 0.6 if kind == "bar" else 1.0},
        }
        for name, kind, at, values, colour in (
            ("Mean answer, ms", "line", 0, told["answer_ms"], look.up),
            ("Slowest, ms", "line", 0, told["slowest_ms"], look.faint),
            ("Failed, %", "bar", 1, 100.0 * told["error"], look.bad),
        )
    ]
    return {
        "animation": False,
        "useUTC": True,
        "grid": {"left": 8, "right": 8, "top": 36, "bottom": 8, "containLabel": True},
        "legend": {**LEGEND, "left": 8},
        "tooltip": {"trigger": "axis", "valueFormatter": "%,.1f"},
        "xAxis": {"type": "time", "axisLine": line},
        "yAxis": [
            {"type": "value", "min": 0, "splitLine": line},
            {"type": "value", "min": 0, "max": 100, "position": "right", "splitLine": {"show": False}},
        ],
        "series": series,
    }


def _series(view: View, beat: Beat) -> None:
    section(
        "Series",
        "Up to when each is complete (its frontier), and minutes that are missing: open, asked for again; confirmed, "
        "the exchange says there was none; filled, late. None is made up.",
    )
    zone, told = view.source.zone, gaps_of(view.snapshot, view.exchange)
    newest = int(told["frontier_ms"].max()) if len(told) else 0
    late = [
        max(0, int(newest - frontier) // timeframe_ms(str(timeframe)))
        for frontier, timeframe in zip(told["frontier_ms"], told["timeframe"], strict=True)
    ]
    shown = told.assign(frontier=[format_ms(int(ms), zone) if ms else "none" for ms in told["frontier_ms"]], late=late)
    table(
        shown,
        "series",
        {
            "symbol": "Pair",
            "timeframe": st.column_config.TextColumn("TF", help="Timeframe: length of the candles.", width=52),
            "frontier": f"Complete to ({zone})",
            "late": st.column_config.NumberColumn("Candles behind", help="Behind the newest series."),
            "open": st.column_config.NumberColumn("Open gaps, min"),
            "confirmed": st.column_config.NumberColumn("Confirmed"),
            "filled": st.column_config.NumberColumn("Filled late"),
        },
        column_order=["symbol", "timeframe", "frontier", "late", "open", "confirmed", "filled"],
        export=told,
    )
    if beat.beat is None and synthetic(view.snapshot, view.exchange):
        st.caption("The market is generated: it has no gaps unless the generator makes them.")


def _files(view: View) -> None:
    section("Back-ups and versions")
    left, right = st.columns(2)
    with left:
        found = backups_of(view)
        if found:
            told = [
                {"file": one.path.name, "taken": format_ms(one.taken_ms, view.source.zone), "MB": one.bytes / 1e6}
                for one in found
            ]
            table(pd.DataFrame(told), "backups", {"MB": st.column_config.NumberColumn("MB", format="%.1f")}, most=7)
        else:
            st.info("No back-up yet. The engine makes one a day; by hand:", icon=":material/inventory_2:")
            st.code("python -m core backup", language=None)
    with right:
        st.table(versions(), border="horizontal")
