"""Engines broken on purpose: the rig is worth as much as what it finds.

The law: each variant breaks one promise; the rig has to notice each within a few seeds, and say which promise it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.torture import breaks
from tests.torture.plan import Plan
from tests.torture.world import World

__all__ = ["BROKEN", "Broken"]

Change = Callable[[World, Plan], tuple[World, Plan]]


def _nothing() -> None:
    """The configuration alone is broken."""


def _as_drawn(world: World, plan: Plan) -> tuple[World, Plan]:
    return world, plan


@dataclass(frozen=True, slots=True)
class Broken:
    """A variant.

    Parameters
    ----------
    name : str
    promise : str
        The one it breaks, as the rig is to name it.
    scene : str
        Where it shows: ledger, engine, files or reader.
    breaks : callable
        Changes the product in a child process.
    seeds : tuple of int
        Tried in this order; one of them has to notice.
    change : callable
        Changes world and plan of an engine's seed.
    is_cheap, is_long : bool
        Noticed within seconds; needs an engine's whole market.
    """

    name: str
    promise: str
    scene: str
    breaks: Callable[[], None]
    seeds: tuple[int, ...] = (0, 3)
    change: Change = _as_drawn
    is_cheap: bool = False
    is_long: bool = False


BROKEN = (
    Broken("synchronous-off", "P1", "ledger", breaks.synchronous("OFF"), is_cheap=True),
    Broken("synchronous-normal", "P1", "ledger", breaks.synchronous("NORMAL"), is_cheap=True),
    Broken("yaml-in-place", "config.yaml", "files", breaks.yaml_in_place, is_cheap=True),
    Broken("long-checkpoint", "checkpoint", "reader", breaks.long_checkpoint, is_cheap=True),
    Broken("revisions-lost", "P2", "engine", breaks.revisions_lost),
    Broken("open-candle-kept", "P2", "engine", breaks.open_candle_kept),
    Broken("last-minute-only", "P2", "engine", breaks.last_minute_only),
    Broken("newest-close-only", "P2", "engine", breaks.newest_close_only, (1, 4), is_long=True),
    Broken("empty-is-news", "P2", "engine", breaks.empty_is_news, (0, 3), breaks.long_silence),
    Broken("pages-of-1000", "P2", "engine", _nothing, (1, 4), breaks.long_pages, is_long=True),
    Broken("no-lock", "second engine", "engine", breaks.no_lock),
    Broken("no-unique-key", "P2", "engine", breaks.no_unique_key, (3, 9), breaks.retro_often),
    Broken("marked-before-sent", "P3", "engine", breaks.marked_before_sent),
    Broken("marked-in-bulk", "P3", "engine", breaks.marked_in_bulk, (0, 3, 6)),
    Broken("flood-is-refusal", "P3", "engine", breaks.flood_is_refusal),
    Broken("alert-in-its-own-transaction", "P3", "engine", breaks.alert_in_its_own_transaction, (0, 3, 6)),
    Broken("frontier-first", "P2", "engine", breaks.frontier_first, (0, 3), breaks.dies_behind),
    Broken("fault-is-the-end", "P2", "engine", breaks.fault_is_the_end),
    Broken("trades-given-up", "P2", "engine", breaks.trades_given_up, (0, 3), breaks.often_full),
    Broken("gaps-forgotten", "P2", "engine", breaks.gaps_forgotten),
)
"""Every variant."""
