"""Colours of the viewer, dark and light: one palette each, chosen by the reader's theme.

The law: a meaning has one colour on every page, told apart with any colour vision (after Okabe and Ito 2008); shape or
text says the same again.
"""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

__all__ = ["DARK", "LIGHT", "Palette", "palette"]


@dataclass(frozen=True, slots=True)
class Palette:
    """What each meaning is drawn in, as ``#RRGGBB``.

    Parameters
    ----------
    background, surface, text, faint, grid : str
        The page, a raised part of it, its words, quieter words, and lines behind figures.
    up, down : str
        Rising and falling candles, long and short.
    good, bad : str
        Gain and loss.
    neutral : str
        A level that is neither, such as the entry.
    leg : str
        The leg a plan came from.
    series : tuple of str
        Lines beside each other, in order.
    """

    background: str
    surface: str
    text: str
    faint: str
    grid: str
    up: str
    down: str
    good: str
    bad: str
    neutral: str
    leg: str
    series: tuple[str, ...]


DARK = Palette(
    background="#0E1117",
    surface="#171C26",
    text="#E6E9EF",
    faint="#9AA4B5",
    grid="#232A36",
    up="#56B4E9",
    down="#E69F00",
    good="#009E73",
    bad="#D55E00",
    neutral="#E6E9EF",
    leg="#CC79A7",
    series=("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#8C9BB5"),
)
LIGHT = Palette(
    background="#FFFFFF",
    surface="#F4F6F9",
    text="#1B2330",
    faint="#5B6676",
    grid="#E1E6ED",
    up="#0072B2",
    down="#C77700",
    good="#00775A",
    bad="#C24100",
    neutral="#1B2330",
    leg="#A8487D",
    series=("#0072B2", "#C77700", "#00775A", "#A8487D", "#7A6A00", "#C24100", "#5B6676"),
)


def palette() -> Palette:
    """Return the palette of the theme the page is shown in; the dark one where the browser has not said."""
    return LIGHT if st.context.theme.type == "light" else DARK
