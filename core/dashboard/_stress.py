"""The part of Results that plays the trades again under other assumptions, when asked to.

The law: computed on demand by the functions of `trader stress`, kept for one state of the database, never stored;
a table that is older than the database says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from core.clock import monotonic_s
from core.dashboard._shared import View
from core.dashboard._source import Snapshot, heads_of
from core.errors import TraderError
from core.pipeline import simulate
from core.results.stress import Line, Stress, stress
from core.results.stress_words import (
    ABOUT,
    CHANGE_COLUMNS,
    CHANGES,
    RESULT_COLUMNS,
    ambiguity,
    change_cells,
    label,
    notes,
    result_cells,
    verdict,
)
from core.store.reader import Reader

__all__ = ["under_stress"]

_KEPT_S = 3600
_HOW_LONG = "Takes about a second for each symbol and year on record, longer on a busy machine."


def under_stress(view: View, plan_hash: str, exit_policy: str) -> None:
    """Draw the section: a button, and below it what was played last.

    Parameters
    ----------
    view : View
    plan_hash, exit_policy : str
        Whose trades.
    """
    st.subheader("Under other assumptions", anchor=False)
    st.caption(f"{ABOUT} {_HOW_LONG}")
    choice = (view.exchange, plan_hash, exit_policy)
    asked = f"stress {choice}"
    if st.button("Play them again", key=f"again {choice}", icon=":material/replay:"):
        st.session_state[asked] = view.snapshot
    snapshot = st.session_state.get(asked)
    if snapshot is None:
        return
    try:
        with st.spinner("Playing the trades again ..."):
            found, took_s = _played(snapshot, *choice)
    except TraderError as error:
        st.error(str(error), icon=":material/error:")
        return
    _shown(found)
    newer = " The database has changed since; play them again to see it." if snapshot != view.snapshot else ""
    st.caption(f"Took {took_s:.1f} s for {found.n:,} candidates.{newer}")


@st.cache_data(ttl=_KEPT_S, max_entries=4, show_spinner=False)
def _played(snapshot: Snapshot, exchange: str, plan_hash: str, exit_policy: str) -> tuple[Stress, float]:
    """Return the results and how long they took, seconds."""
    began_s = monotonic_s()
    heads = heads_of(snapshot, exchange)
    of_plan = heads[heads["plan_hash"] == plan_hash]
    found = stress(Reader(Path(snapshot.path)), exchange, exit_policy, of_plan, simulate)
    return found, monotonic_s() - began_s


def _shown(found: Stress) -> None:
    for note in notes(found):
        if found.differing:
            st.warning(note, icon=":material/history:")
        else:
            st.caption(note)
    st.markdown(f"**{verdict(found)}**")
    st.write(ambiguity(found))
    _table(found.lines, RESULT_COLUMNS, result_cells)
    st.caption(f"{CHANGES}.")
    _table(found.lines[1:], CHANGE_COLUMNS, change_cells)
    with st.expander("What each means"):
        for line in found.lines:
            st.markdown(f"**{label(line)}**: {line.variant.meaning}")


def _table(lines: Sequence[Line], columns: Sequence[str], cells: Callable[[Line], list[str]]) -> None:
    st.dataframe(
        pd.DataFrame([cells(line) for line in lines], columns=["Assumption", *columns[1:]]),
        hide_index=True,
        placeholder="",
        column_config={name: st.column_config.TextColumn(alignment="right") for name in columns[1:]},
    )
