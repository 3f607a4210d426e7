"""The viewer: pages over the database, for reading only.

The law: one file is one page; a page reads through `core.store.reader`, counts with `core.results` and writes nothing.
"""

from __future__ import annotations

import os

__all__ = ["main"]


def main() -> None:
    """Draw the viewer; called by Streamlit once a run of the script."""
    import streamlit as st
    from streamlit import config

    from core.dashboard import feed, model, overview, replay, results, signals_candles
    from core.dashboard._local import exposure
    from core.redact import install_redaction

    install_redaction([os.environ.get("TELEGRAM_BOT_TOKEN", "")])  # for whatever Streamlit logs
    st.set_page_config(page_title="Trader AI", page_icon="📈", layout="wide", initial_sidebar_state=240)
    why = exposure(st.get_option("server.address"), config.get_where_defined("server.address"))
    if why:
        st.error(why, icon=":material/error:")
        return
    pages = [
        st.Page(overview.page, title="Overview", icon=":material/dashboard:", url_path="overview", default=True),
        st.Page(
            signals_candles.page,
            title="Signals & Candles",
            icon=":material/candlestick_chart:",
            url_path="signals",
        ),
        st.Page(feed.page, title="Signals feed", icon=":material/list_alt:", url_path="feed"),
        st.Page(results.page, title="Results", icon=":material/query_stats:", url_path="results"),
        st.Page(model.page, title="Model", icon=":material/neurology:", url_path="model"),
        st.Page(replay.page, title="Replay", icon=":material/movie:", url_path="replay"),
    ]
    st.navigation(pages).run()
