"""The choice between all candidates and the taken ones, the same in every part of Results.

The law: whoever looks at taken trades alone is told that they were chosen.
"""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from core.dashboard._source_results import Choice

__all__ = ["book", "few"]


def book(choice: Choice, key: str) -> Choice:
    """Draw the control and return the choice with it."""
    names = ("All candidates", "Taken")
    who = st.segmented_control(
        "Trades counted",
        names,
        default=names[0],
        key=f"book_{key}",
        required=True,
        help="All candidates: the shadow book, every candidate played alone. Taken: those that passed the gate, the "
        "size rule and the risk limits.",
    )
    return replace(choice, taken=who == "Taken")


def few(text: str) -> None:
    """Say that there is not enough data for a figure, and what is missing."""
    st.info(f"Not enough data: {text}", icon=":material/hourglass_empty:")
