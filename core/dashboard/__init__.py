"""The viewer: pages over the database, for reading only.

The law: one file is one page; a page reads through `core.store.reader`, counts with `core.results` and writes nothing.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Draw the viewer; called by Streamlit once a run of the script."""
    import streamlit as st

    from core.dashboard import results, signals_candles

    st.set_page_config(page_title="Trader AI", page_icon="📈", layout="wide", initial_sidebar_state=240)
    pages = [
        st.Page(
            signals_candles.page,
            title="Signals & Candles",
            icon=":material/candlestick_chart:",
            url_path="signals",
            default=True,
        ),
        st.Page(results.page, title="Results", icon=":material/query_stats:", url_path="results"),
    ]
    st.navigation(pages).run()
