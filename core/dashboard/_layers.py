"""What a reader lays over and under the candles: the choice, and what it draws.

The law: everything is made of the candles in view; the leg is the chosen signal's, else the last between two swings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from core.dashboard._axis import Axis, Option
from core.dashboard._overlay import plan_leg
from core.dashboard._shapes import SHAPES, fibonacci, last_leg, order_blocks, regime_bands, swing_legs
from core.dashboard._studies import (
    OVERLAYS,
    PANES,
    Profile,
    Study,
    anchored_study,
    chance_study,
    study,
    volume_profile,
)
from core.dashboard._theme import Palette
from core.schema import Candles

__all__ = ["Drawn", "laid_over"]


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What is laid over and under the candles."""

    shapes: list[Option]
    over: list[Study]
    panes: list[Study]
    profile: Profile | None


def laid_over(candles: Candles, axis: Axis, picked: pd.Series | None, marks: pd.DataFrame, look: Palette) -> Drawn:
    """Draw the choice of what to lay over and under the candles; return it.

    Parameters
    ----------
    candles : Candles
    axis : Axis
        Of the candles.
    picked : pandas.Series or None
        The chosen signal, whose leg is used where there is one.
    marks : pandas.DataFrame
        Signals with columns ts_ms and ml_p.
    look : Palette
    """
    with st.container(horizontal=True):
        chosen = st.pills(
            "Over the price",
            [*OVERLAYS, *SHAPES],
            selection_mode="multi",
            key="laid_over",
            help=_listed({**OVERLAYS, **SHAPES}),
        )
        below = st.pills("Beneath it", list(PANES), selection_mode="multi", key="laid_below", help=_listed(PANES))
    leg = plan_leg(str(picked["plan"])) if picked is not None else None
    if leg is None and {"Anchored VWAP", "Fibonacci"} & set(chosen):
        leg = last_leg(candles)
    over = [study(name, candles) for name in chosen if name in OVERLAYS]
    shapes: list[Option] = []
    if "Anchored VWAP" in chosen and leg is not None:
        over.append(anchored_study(candles, leg[0][0]))
    if "Fibonacci" in chosen and leg is not None:
        shapes += fibonacci(axis, leg, look)
    for name, draw in (("Swing legs", swing_legs), ("Order blocks", order_blocks), ("Regime", regime_bands)):
        if name in chosen:
            shapes += draw(candles, axis, look)
    panes = [chance_study(candles, marks) if name == "p(win)" else study(name, candles) for name in below]
    return Drawn(shapes, over, panes, volume_profile(candles) if "Volume profile" in chosen else None)


def _listed(told: Mapping[str, str]) -> str:
    return "  \n".join(f"**{name}**: {what}" for name, what in told.items())
