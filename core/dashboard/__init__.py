"""The viewer: pages over the database, for reading only.

The law: one file is one page; a page reads through `core.store.reader`, counts with `core.results` and writes nothing.
"""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from threading import Lock, Thread
from types import ModuleType
from typing import Any

__all__ = ["main"]

_PAGES = (
    ("overview", "Overview", "dashboard", "overview"),
    ("signals_candles", "Signals & Candles", "candlestick_chart", "signals"),
    ("feed", "Signals feed", "list_alt", "feed"),
    ("results", "Results", "query_stats", "results"),
    ("model", "Model", "neurology", "model"),
    ("replay", "Replay", "movie", "replay"),
    ("health", "Health", "monitor_heart", "health"),
)
"""File, title, icon and address of each page; the first one opens first."""

_importing = Lock()  # two threads that import large libraries at once may see them half made


def main() -> None:
    """Draw the viewer; called by Streamlit once a run of the script."""
    import streamlit as st
    from streamlit import config

    from core.dashboard._local import exposure
    from core.redact import install_redaction

    install_redaction([os.environ.get("TELEGRAM_BOT_TOKEN", "")])  # for whatever Streamlit logs
    st.set_page_config(page_title="Trader AI", page_icon="📈", layout="wide", initial_sidebar_state=240)
    why = exposure(st.get_option("server.address"), config.get_where_defined("server.address"))
    if why:
        st.error(why, icon=":material/error:")
        return
    first, *others = _PAGES
    by_name = _page(*first, visibility="hidden")  # whatever opens first answers at the root alone
    st.navigation([_page(*first[:3], "root", default=True), *(_page(*page) for page in others), by_name]).run()
    _make_ready()


def _page(file: str, title: str, icon: str, address: str, **how: Any) -> Any:
    """Return a page whose file is imported when it is opened, so that the first one is not kept waiting."""
    import streamlit as st

    def draw() -> None:
        _imported(file).page()

    return st.Page(draw, title=title, icon=f":material/{icon}:", url_path=address, **how)


def _imported(file: str) -> ModuleType:
    with _importing:
        return import_module(f"core.dashboard.{file}")


@cache
def _make_ready() -> None:
    """Import the other pages and read the record while the first one is looked at; once in the life of the server."""
    Thread(target=_ready, name="viewer-ready", daemon=True).start()


def _ready() -> None:
    from core.dashboard._source import read_ahead

    for file, *_ in _PAGES:
        _imported(file)
    read_ahead(os.environ)
