"""Equity: the account and equal stakes beside holding the market, and the worst falls.

The law: a result enters when its outcome was known; what is beside it covers the same time.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from core.clock import format_ms
from core.dashboard._curves import curve_chart
from core.dashboard._parts import chart, section, table
from core.dashboard._results_book import few
from core.dashboard._shared import View
from core.dashboard._source_results import Choice, curves_of, held_of, rows_chosen, summary_of
from core.dashboard._theme import palette
from core.results.drawdowns import DRAWDOWNS, drawdowns
from core.results.equity import Curve, equity_frame
from core.results.holding import Held
from core.results.metrics import Metric, account_metrics, stake_metrics
from core.results.words import in_signed_percent, in_time, in_usd

__all__ = ["by_equity"]

_HEIGHT = 400
_BESIDE = ("First symbol", "Mean of symbols", "Nothing")


def by_equity(view: View, choice: Choice) -> None:
    """Draw the part."""
    section(
        "Equity",
        "Each result at the moment its outcome was known, after all costs; below it, how far the balance was under its "
        "highest point so far. Buying and holding pays no costs here and bears the market's whole risk.",
    )
    beside, scale = _asked()
    held, name = _held(view, choice, beside)
    stakes, stake_usd, account = curves_of(choice, view.source.capital_usd)
    log = scale == "Logarithmic"
    left, right = st.columns(2)
    with left:
        _stakes(stakes, stake_usd, choice, held, name, log)
    with right:
        _account(view, account, held, name, log)
    if len(stakes.ts_ms):
        capital = view.source.capital_usd
        st.download_button(
            "Equity as CSV",
            data=lambda: equity_frame(rows_chosen(choice), capital).to_csv(index=False),
            file_name="equity.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
    _falls(view, account if account is not None and len(account.ts_ms) else None, stakes)


def _asked() -> tuple[str, str]:
    with st.container(horizontal=True):
        beside = st.segmented_control(
            "Beside it",
            _BESIDE,
            default=_BESIDE[0],
            key="beside",
            required=True,
            help="Buying and holding: the same money put into the market at the first decision and left there. "
            "The mean buys each symbol for the same amount.",
        )
        scale = st.segmented_control(
            "Scale",
            ("Linear", "Logarithmic"),
            default="Linear",
            key="scale",
            required=True,
            help="On a logarithmic scale equal distances are equal percentages, and ticks are doublings. For the "
            "account alone: a sum that begins at zero has no logarithm.",
        )
    return str(beside), str(scale)


def _held(view: View, choice: Choice, beside: str) -> tuple[Held | None, str]:
    """Return what holding the market would have made, and what it is called."""
    summary = summary_of(choice)
    if beside == "Nothing" or not summary.n_closed:
        return None, ""
    symbols = sorted(str(symbol) for symbol in rows_chosen(choice)["symbol"].unique())
    configured = [str(symbol) for symbol in view.source.config.symbols] if view.source.config is not None else []
    ordered = [symbol for symbol in configured if symbol in symbols] or symbols
    asked = ordered[:1] if beside == _BESIDE[0] else symbols
    held = held_of(choice.snapshot, choice.exchange, tuple(asked), summary.first_ms, summary.last_ms)
    if held is None:
        st.caption("No candle was stored when the first decision was made, so there is nothing to hold beside it.")
        return None, ""
    if held.left_out:
        st.caption(f"Not held, because they came later: {', '.join(held.left_out)}.")
    what = held.symbols[0].split("/")[0] if len(held.symbols) == 1 else f"{len(held.symbols)} symbols"
    return held, f"Holding {what}"


def _stakes(curve: Curve, stake: float, choice: Choice, held: Held | None, name: str, log: bool) -> None:
    st.markdown("**Equal stakes, all candidates**")
    _captions(stake_metrics(summary_of(choice)))
    if not len(curve.ts_ms):
        st.info("No closed trade yet.")
        return
    chart(
        curve_chart(
            curve, "Result, USD", palette().up, False, palette(), (name, held, stake, 0.0) if held is not None else None
        ),
        height=_HEIGHT,
        key="equal-stakes",
        alt="Equal-stake result over time with its drawdown",
    )
    told = [f"{name}: {in_usd(stake * (held.factor[-1] - 1.0))} of one stake of {stake:,.0f} USD."] if held else []
    told += ["Drawn linear: a sum that begins at zero has no logarithm."] if log else []
    st.caption(" ".join(told))


def _account(view: View, curve: Curve | None, held: Held | None, name: str, log: bool) -> None:
    st.markdown("**Paper account, taken trades**")
    if curve is None:
        st.info(f"The account needs the configuration (risk.capital_usd). {view.source.problem}")
        return
    _captions(account_metrics(curve))
    if not len(curve.ts_ms):
        st.info("No taken trade is closed yet.")
        return
    is_above = float(curve.balance.min()) > 0
    shown, title = curve, "Account, USD"
    if log and is_above:
        shown, title = replace(curve, start=1.0, balance=curve.balance / curve.start), "Account, times its start"
    beside = (name, held, shown.start, shown.start) if held is not None else None
    chart(
        curve_chart(shown, title, palette().good, True, palette(), beside, log and is_above),
        height=_HEIGHT,
        key="account",
        alt="Paper account over time with its drawdown",
    )
    told = [f"{name}: {in_signed_percent(100.0 * (held.factor[-1] - 1.0))} over the same time."] if held else []
    told += ["Drawn linear: the account fell to zero or below, which has no logarithm."] if log and not is_above else []
    st.caption(" ".join(told))


def _captions(shown: list[Metric]) -> None:
    for metric in shown:
        st.caption(f"{metric.label}: {metric.value}, {metric.detail}", help=metric.explanation)


def _falls(view: View, account: Curve | None, stakes: Curve) -> None:
    of_account = account is not None
    section(
        "Worst falls",
        "Of the account, the taken trades." if of_account else "Of the equal-stake curve, all candidates.",
        help="A drawdown: from a high of the balance to the deepest point below it, and until the high was reached "
        "again. A longer history has deeper ones.",
    )
    found = drawdowns(account if account is not None else stakes)
    if found.empty:
        few("no fall yet.")
        return
    zone = view.source.zone
    newest = int((account if account is not None else stakes).ts_ms[-1])
    shown = pd.DataFrame(
        {
            "from": [format_ms(int(ms), zone)[:10] for ms in found["from_ms"]],
            "bottom": [format_ms(int(ms), zone)[:10] for ms in found["bottom_ms"]],
            "back": [format_ms(int(ms), zone)[:10] if ms else "not yet" for ms in found["back_ms"]],
            "depth": [in_usd(float(value)) for value in found["depth"]],
            "share": [in_signed_percent(float(value)) if np.isfinite(value) else "-" for value in found["depth_pct"]],
            "length": [in_time(float(value)) for value in found["length_ms"]],
            "trades": found["trades"],
        }
    )
    columns = {
        "from": f"From ({zone})",
        "bottom": "Bottom",
        "back": "Back",
        "depth": st.column_config.TextColumn("Depth", alignment="right"),
        "share": st.column_config.TextColumn(
            "Of the high", alignment="right", help="Percent of the balance at the high; none where that was not above 0"
        ),
        "length": st.column_config.TextColumn("Length", help="From the high until it was reached again, or until now"),
        "trades": st.column_config.NumberColumn("Trades"),
    }
    table(shown, "drawdowns", columns, export=found[list(DRAWDOWNS)])
    if (found["back_ms"] == 0).any():
        st.caption(f"Not yet: the high was not reached again by {format_ms(newest, zone)}.")
