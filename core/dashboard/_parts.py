"""Pieces every page is made of: charts that can be saved, tables that can be taken away, tiles, and what is missing.

The law: a piece looks the same on every page; each chart says in words what it shows, each table can be taken away as
CSV and XLSX.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.dashboard._axis import Option

__all__ = ["chart", "downloads", "empty_state", "no_signals", "section", "table", "tile", "to_xlsx"]

_ROW, _HEAD = 35, 38  # pixels: Streamlit's own
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def empty_state(title: str, text: str, commands: list[tuple[str, str]]) -> None:
    """Say what is missing, and the commands that make it.

    Parameters
    ----------
    title, text : str
    commands : list of (str, str)
        Command, and what it does.
    """
    with st.container(border=True):
        st.subheader(title, anchor=False)
        st.write(text)
        for command, purpose in commands:
            st.caption(purpose)
            st.code(command, language=None)


def no_signals(text: str = "No candidate of the rules is on record.") -> None:
    """Say that no signal is there, and what finds some."""
    commands = [
        ("python scheduler_run.py", "Start the engine, which looks at each candle as it closes:"),
        ("python retro_scan.py --start 2024-01-01", "Or scan the stored history, and play what is found:"),
        ("make demo", "Or look around first, in a generated market, without network:"),
    ]
    empty_state("No signals yet", text, commands)


def section(title: str, text: str = "", help: str | None = None) -> None:
    """Begin a part of a page: its heading, and a line that says what it shows."""
    st.subheader(title, anchor=False, help=help)
    if text:
        st.caption(text)


def tile(
    label: str,
    value: str,
    detail: str = "",
    help: str = "",
    *,
    delta: str | None = None,
    spark: Sequence[float] | None = None,
    good: bool | None = None,
) -> None:
    """Draw one figure with what it rests on.

    Parameters
    ----------
    label, value : str
    detail : str
        Interval and count, or why there is no figure.
    help : str
        What the term means.
    delta : str, optional
        Change, in words.
    spark : sequence of float, optional
        Its course, oldest first; drawn where it has at least two points.
    good : bool, optional
        Whether the change is welcome; grey where that is not known.
    """
    colour: Any = "off" if good is None else "blue" if good else "orange"
    st.metric(
        label,
        value,
        delta,
        delta_color=colour,
        delta_arrow="off" if good is None else "auto",
        help=help or None,
        border=True,
        height="stretch",
        chart_data=list(spark) if spark is not None and len(spark) > 1 else None,
        chart_type="area",
        delta_description=detail or None,
    )


def chart(
    option: Option,
    *,
    key: str,
    height: int,
    alt: str,
    on_select: Callable[[], None] | None = None,
) -> None:
    """Draw a chart; its own toolbar shows the data, saves it as PNG and fills the screen.

    Parameters
    ----------
    option : dict
        Of ECharts.
    key : str
        Its name on the page.
    height : int
        Pixels.
    alt : str
        What it shows, for who cannot see it.
    on_select : callable, optional
        Called when a point was chosen; the choice is in the session under `key`.
    """
    st.echarts_chart(option, height=height, key=key, alt=alt, on_select=on_select or "ignore")


def table(
    frame: pd.DataFrame,
    name: str,
    columns: dict[str, Any] | None = None,
    *,
    export: pd.DataFrame | None = None,
    most: int = 12,
    **more: Any,
) -> Any:
    """Draw a table with buttons that take it away.

    Parameters
    ----------
    frame : pandas.DataFrame
        What is shown.
    name : str
        Name of the files, without ending; also the widgets' key.
    columns : dict, optional
        Streamlit's column configuration.
    export : pandas.DataFrame, optional
        What is taken away, where that is more or plainer than what is shown.
    most : int
        Rows in view; further ones are scrolled to.
    **more
        Passed on to `st.dataframe`.

    Returns
    -------
    object
        What `st.dataframe` returns: the selection where there is one.
    """
    found = st.dataframe(
        frame,
        hide_index=True,
        placeholder="",
        column_config=columns,
        height=_HEAD + _ROW * max(1, min(most, len(frame))),
        **more,
    )
    downloads(frame if export is None else export, name)
    return found


def downloads(frame: pd.DataFrame, name: str) -> None:
    """Draw the buttons that take a table away as CSV and XLSX; made only when pressed."""
    with st.container(horizontal=True, gap="small"):
        for kind, mime, make in (
            ("CSV", "text/csv", lambda: frame.to_csv(index=False).encode()),
            ("XLSX", _XLSX, lambda: to_xlsx(frame, name)),
        ):
            st.download_button(
                kind,
                data=make,
                file_name=f"{name}.{kind.lower()}",
                mime=mime,
                key=f"{name}-{kind}",
                icon=":material/download:",
                type="tertiary",
                on_click="ignore",
                help=f"{len(frame):,} rows as {kind}",
            )


def to_xlsx(frame: pd.DataFrame, name: str) -> bytes:
    """Return a table as a workbook of one sheet, its heading frozen; text is never taken for a formula or an address.

    Times keep their UTC value and lose the zone, which a workbook cannot hold.
    """
    plain = frame.copy()
    for column in plain.columns[[isinstance(kind, pd.DatetimeTZDtype) for kind in plain.dtypes]]:
        plain[column] = plain[column].dt.tz_convert("UTC").dt.tz_localize(None)
    target = io.BytesIO()
    options = {"strings_to_formulas": False, "strings_to_urls": False, "nan_inf_to_errors": True}
    with pd.ExcelWriter(target, engine="xlsxwriter", engine_kwargs={"options": options}) as book:
        plain.to_excel(book, sheet_name=name[:31], index=False, freeze_panes=(1, 0))
        book.sheets[name[:31]].autofit()
    return target.getvalue()
