"""What goes wrong in a run: drawn once from the seed, before anything starts.

The law: a fault belongs to a tick of the market's clock, not to a process; whoever restarts meets the same weather.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from tests.torture.board import CUT, KILL, POINTS, TERM
from tests.torture.world import SYMBOLS, World

__all__ = ["ANSWERS", "SENDS", "Death", "Plan", "calm_plan", "draw_plan"]

ANSWERS = (
    "timeout",
    "empty",
    "cut_short",  # only the first candles of the page
    "head_lost",  # only the last ones: the answer begins later than asked for
    "twice",  # every row two times
    "shuffled",
    "forming",  # the candle that is still open, with prices that will not stay
    "revised",  # a closed candle with numbers that are corrected a minute later
    "hole",  # a minute is missing, and is there a minute later
    "too_many",  # 429, with a pause asked for
)

_SILENT = ("timeout", "empty", "too_many")

SENDS = (
    "down",  # not reached
    "flood",  # 429, with a pause asked for
    "lost",  # delivered, and the answer is lost
    "refused",  # this message, for good
    "blocked",  # the chat takes nothing for now
)

_FAULT_SHARE = 0.22  # of a symbol's minutes
_IN_A_ROW = 4  # faulty minutes of a symbol; after five the engine leaves it alone for up to fifteen
_REST, _LAST_REST = 18, 45  # clean minutes behind a longer stretch, and how far before the end one may begin
_AFTER_REVISION = 4  # minutes in which an answer must not begin late: its beginning holds the correction
_DEATH_NAMES = {KILL: "SIGKILL", CUT: "power cut", TERM: "SIGTERM"}
_LIKELY = {"notifier.send.before_mark": 4, "writer.commit.after": 4, "notifier.send.after": 3, "cycle.before": 1}


@dataclass(frozen=True, slots=True)
class Death:
    """How a process ends: at the n-th visit of a place from a tick on, and how many minutes nobody runs then."""

    kind: int
    at_tick: int
    point: str
    count: int
    down_ticks: int

    def __str__(self) -> str:
        return f"{_DEATH_NAMES[self.kind]} from tick {self.at_tick} on at {self.point or 'any place'} x{self.count}"


@dataclass(slots=True)
class Plan:
    """The weather of a run.

    Parameters
    ----------
    answers : dict
        By tick and symbol, what is wrong with the exchange's answers.
    unlisted, funding, back, full, broken, rewritten : set of int
        Ticks at which the list of symbols lacks one, settlements are not told, time stands two minutes earlier, the
        disk is full, config.yaml is half a file, and thresholds are written into it.
    silent : set of int
        Ticks at which Telegram cannot be reached at all.
    sends : dict of int to str
        By number of the message, what Telegram does: down, flood, lost, refused, blocked.
    deaths : list of Death
    retro, intruder : list of int
        Ticks from which a retro scan writes beside the engine, and a second engine is started.
    """

    seed: int
    answers: dict[tuple[int, str], str] = field(default_factory=dict)
    unlisted: set[int] = field(default_factory=set)
    funding: set[int] = field(default_factory=set)
    back: set[int] = field(default_factory=set)
    full: set[int] = field(default_factory=set)
    broken: set[int] = field(default_factory=set)
    rewritten: set[int] = field(default_factory=set)
    silent: set[int] = field(default_factory=set)
    sends: dict[int, str] = field(default_factory=dict)
    deaths: list[Death] = field(default_factory=list)
    retro: list[int] = field(default_factory=list)
    intruder: list[int] = field(default_factory=list)

    def told(self) -> str:
        """Return what was drawn, in one paragraph."""
        kinds = Counter(self.answers.values())
        ticks = ("silent", "unlisted", "funding", "back", "full", "broken", "rewritten", "retro", "intruder")
        kinds.update({name: len(getattr(self, name)) for name in ticks if getattr(self, name)})
        words = ", ".join(f"{name} {count}" for name, count in sorted(kinds.items()))
        return f"{words}; " + "; ".join(map(str, self.deaths))


def calm_plan(seed: int = 0) -> Plan:
    """Return a run in which nothing goes wrong."""
    return Plan(seed)


def draw_plan(seed: int, world: World, kills: int = 10, cuts: int = 6, terms: int = 2) -> Plan:
    """Draw the weather of a seed."""
    rng = random.Random(f"torture {seed}")
    plan, ticks = Plan(seed), range(1, world.ticks + 1)
    for symbol in SYMBOLS:
        _draw_answers(rng, plan, ticks, symbol)
    some = {"unlisted": 0.02, "funding": 0.02, "back": 0.02, "full": 0.01, "rewritten": 0.04, "broken": 0.02}
    for name, share in some.items():
        getattr(plan, name).update(tick for tick in ticks if rng.random() < share)
    plan.rewritten -= plan.broken
    plan.full.discard(world.ticks)  # a start that fails for want of space is tried a minute later
    for begin in rng.sample(ticks, 3):
        plan.silent.update(range(begin, min(begin + rng.randint(3, 25), world.ticks + 1)))
    kinds = rng.choices(("", *SENDS), (88, 4, 3, 4, 0.4, 0.6), k=4_000)
    plan.sends.update({number: kind for number, kind in enumerate(kinds, 1) if kind})
    _draw_deaths(rng, plan, world, [KILL] * kills + [CUT] * cuts + [TERM] * terms)
    if seed % 2:
        plan.retro = sorted(rng.sample(ticks, 3))
    plan.intruder = sorted(rng.sample(ticks, 2))
    return plan


def _draw_answers(rng: random.Random, plan: Plan, ticks: range, symbol: str) -> None:
    revised_at = -_AFTER_REVISION
    tick = in_a_row = 0
    while (tick := tick + 1) in ticks:
        in_a_row = in_a_row + 1 if (tick - 1, symbol) in plan.answers else 0
        if rng.random() >= _FAULT_SHARE or in_a_row >= _IN_A_ROW:
            continue
        kind = rng.choice(ANSWERS)
        if kind in ("head_lost", "hole") and tick - revised_at < _AFTER_REVISION:
            kind = "empty"
        if kind in _SILENT and tick < len(ticks) - _LAST_REST and rng.random() < 0.2:  # flapping: gone for a while
            end = tick + rng.randint(5, 12)
            plan.answers.update({(later, symbol): kind for later in range(tick, end)})
            tick = end + _REST
            continue
        if kind == "revised":
            revised_at = tick
        plan.answers[tick, symbol] = kind


def _draw_deaths(rng: random.Random, plan: Plan, world: World, kinds: list[int]) -> None:
    rng.shuffle(kinds)
    if not kinds:
        return
    # A world that is longer than the others has an outage of more than a page of candles.
    outage = rng.randrange(len(kinds)) if world.ticks > 300 else -1
    awake = world.ticks - (220 if outage >= 0 else 0)
    step, tick = awake / len(kinds), 0.0
    weights = [_LIKELY.get(point, 2) for point in POINTS]
    for i, kind in enumerate(kinds):
        at_tick = round(tick + rng.uniform(0.1, 0.7) * step)
        point = rng.choices(POINTS, weights)[0]
        down = rng.choice((0, 0, 0, 1, 2)) + (rng.randint(205, 220) if i == outage else 0)
        plan.deaths.append(Death(kind, at_tick, point, rng.randint(1, 6), down))
        tick += step + (down if i == outage else 0)
