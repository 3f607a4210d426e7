"""Whole engines under the whole weather: one seed from its plan to the judge's word.

The law: whatever happened, two calm cycles behind the last fault the database says what that of an undisturbed run
says, nothing that was answered is lost, and nobody was told less than he was to be told.
"""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.store.reader import Reader
from tests.torture.board import CUT, KILL, NOTHING, TERM, Board
from tests.torture.check import Content, Told, differing, look, survived, told_everything
from tests.torture.life import Home, intrude, is_sound, live, scan_beside
from tests.torture.messenger import read_chat
from tests.torture.plan import Death, Plan, calm_plan, draw_plan
from tests.torture.processes import Ended, forked, wait
from tests.torture.world import World, world_of, write

__all__ = ["Reference", "Result", "reference", "run_seed"]

_RESTARTS = 400  # more is an engine that cannot start


@dataclass(slots=True)
class Result:
    """What one seed came to."""

    seed: int
    world: World
    plan: Plan
    kills: int = 0
    cuts: int = 0
    terms: int = 0
    lost: int = 0
    corrupt: int = 0
    rows: int = 0
    differing: int = 0
    slowest_end_ms: int = 0
    met: Counter[str] = field(default_factory=Counter)
    told: Told = field(default_factory=Told)
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """An undisturbed run."""

    content: Content
    alerts: set[str]


def reference(folder: Path, world: World) -> Reference:
    """Play a world without faults, from its beginning to its end."""
    home = Home(folder)
    if not home.database.exists():
        write(folder, world)
        _complete(home, world, calm_plan(), Board())
    outbox = Reader(home.database).outbox()
    return Reference(look(home.database), set(outbox.loc[outbox["kind"] != "note", "key"]))


def _complete(home: Home, world: World, plan: Plan, board: Board) -> None:
    pid = forked(lambda: live(home, world, plan, board, NOTHING, _nothing), home.trace)
    ended = wait(pid, home.trace)
    if ended != Ended(0):
        raise RuntimeError(f"the undisturbed run failed: {ended}")


def _nothing() -> None:
    """Change nothing in a child."""


def run_seed(
    folder: Path,
    seed: int,
    kills: int = 10,
    cuts: int = 6,
    terms: int = 2,
    ticks: int | None = None,
    prepare: Callable[[], None] = _nothing,
    change: Callable[[World, Plan], tuple[World, Plan]] = lambda world, plan: (world, plan),
) -> Result:
    """Run one seed.

    Parameters
    ----------
    folder : pathlib.Path
        Undisturbed runs are kept in it for the next seed.
    seed : int
    kills, cuts, terms : int
        Deaths of each kind.
    ticks : int, optional
        Length of the market in minutes; the world's own by default.
    prepare : callable, optional
        Called in each child before anything is opened: how broken variants are made.
    change : callable, optional
        Changes the world and the plan.
    """
    world = world_of(seed)
    if ticks is not None:
        world = replace(world, ticks=ticks)
    undisturbed = reference(folder / f"undisturbed-{world.tape}-{world.ticks}-{world.is_tight}", world)
    world, plan = change(world, draw_plan(seed, world, kills, cuts, terms))
    home = Home(folder / f"seed-{seed}")
    shutil.rmtree(home.folder, ignore_errors=True)
    write(home.folder, world)
    run = _Run(home, world, plan, prepare)
    result = run.play()
    if not result.failure:
        _judge(home, undisturbed, result, run.windows)
    if not result.failure:
        shutil.rmtree(home.folder)
    return result


def _judge(home: Home, undisturbed: Reference, result: Result, windows: int) -> None:
    content = look(home.database)
    result.rows = sum(map(len, undisturbed.content.values()))
    result.differing, said = differing(content, undisturbed.content)
    if said:
        result.failure = f"P2 {said} ({result.differing} rows in all)"
        return
    wanted = None if result.world.is_tight else undisturbed.content
    result.told = told_everything(home.database, home.chat, wanted, undisturbed.alerts, windows)
    if result.told.failure:
        result.failure = f"P3 {result.told.failure}"


class _Run:
    """A plan being carried out."""

    def __init__(self, home: Home, world: World, plan: Plan, prepare: Callable[[], None]) -> None:
        self.home, self.world, self.plan, self.prepare = home, world, plan, prepare
        self.board = Board()
        self.board["calm_from"] = world.ticks + 1
        self.result = Result(plan.seed, world, plan)
        self.windows = 0
        self._unmarked = (0, 0)
        self._deaths = list(plan.deaths)
        self._retro, self._intruder = list(plan.retro), list(plan.intruder)
        self._beside: list[int] = []
        self._rng = random.Random(f"lives {plan.seed}")

    def play(self) -> Result:
        """Let engines live and die until the market has ended; judge P1 after each."""
        self._first_start()
        for _ in range(_RESTARTS):
            if self.result.failure:
                return self.result
            death = self._deaths.pop(0) if self._deaths else None
            if death is not None and death.at_tick >= self.world.ticks:
                death = None
            ended = self._one_life(death)
            self._examine(death, ended)
            if not self.result.failure and ended == Ended(0) and self.board["tick"] >= self.world.last_tick:
                if death is not None:
                    continue  # asked to end in the last minute: what waits is still to be delivered
                self._sum_up()
                return self.result
        self.result.failure = self.result.failure or f"the engine did not come up again in {_RESTARTS} starts"
        return self.result

    def _first_start(self) -> None:
        """Let the first cycle be a calm one: what a first start decides depends on when it is."""
        calm = replace(self.world, ticks=1 - 2)
        pid = forked(lambda: live(self.home, calm, calm_plan(), self.board, NOTHING, self.prepare), self.home.trace)
        ended = wait(pid, self.home.trace)
        if ended != Ended(0):
            self.result.failure = f"the first start failed: {ended}"

    def _one_life(self, death: Death | None) -> Ended:
        board, kind = self.board, NOTHING if death is None else death.kind
        board["ready"] = board["died"] = 0
        if death is None:
            board["death"] = NOTHING
        else:
            board.arm(kind, death.at_tick, death.point, death.count)
        pid = forked(lambda: live(self.home, self.world, self.plan, board, kind, self.prepare), self.home.trace)
        ended = wait(pid, self.home.trace, meanwhile=lambda: self._disturb(kind, pid))
        for beside in self._beside:
            told = wait(beside, self.home.folder / "trace-retro")
            if told.said:
                self.result.failure = f"the retro scan beside the engine failed: {told.said}"
        self._beside.clear()
        return ended

    def _disturb(self, kind: int, pid: int) -> None:
        """Start what is to run beside the engine: not where the disk keeps its cache in the engine's memory."""
        if kind == CUT or not self.board["ready"]:
            return
        tick = self.board["tick"]
        if self._retro and tick >= self._retro[0]:
            self._retro.pop(0)
            self.result.met["retro scan beside"] += 1
            work = (self.home, self.world, self.plan, self.board, self.prepare)
            self._beside.append(forked(lambda: scan_beside(*work), self.home.folder / "trace-retro"))
        if self._intruder and tick >= self._intruder[0]:
            self._intruder.pop(0)
            self._intrude(pid)

    def _intrude(self, pid: int) -> None:
        trace = self.home.folder / "trace-intruder"
        ended = wait(forked(self._prepared_intruder, trace), trace)
        self.result.met["second engine"] += 1
        if ended.code == 0 and _runs(pid):
            self.result.failure = "a second engine was let in beside the first"

    def _prepared_intruder(self) -> int:
        self.prepare()
        return intrude(self.home)

    def _examine(self, death: Death | None, ended: Ended) -> None:
        """Judge what a death has left behind."""
        result, board = self.result, self.board
        if ended.said or ended.code not in (0, 2, 4, 9):
            result.failure = result.failure or f"the engine ended by itself: {ended}"
            return
        if ended.code in (2, 4, 9):  # a broken configuration or a full disk at a start: a supervisor tries again
            board["tick"] = min(board["tick"] + 1, self.world.ticks)
            if death is not None:
                self._deaths.insert(0, death)
        elif death is not None:
            self._count(death, ended)
            board["tick"] = max(board["tick"], min(board["tick"] + death.down_ticks, self.world.ticks))
        sound = self.home.folder / "sound.yaml"
        if sound.exists():  # a person ends the editing that the death has interrupted
            sound.replace(self.home.config)
        if not is_sound(self.home.config):
            result.failure = result.failure or f"config.yaml is broken after {death}"
        lost, corrupt, said = survived(self.home.database, board["acked"], self.home.told)
        result.lost, result.corrupt = result.lost + lost, result.corrupt + corrupt
        if said:
            result.failure = result.failure or f"P1 after {death}: {said}"
        self._look_at_windows(ended)

    def _look_at_windows(self, ended: Ended) -> None:
        """Count the duplicates that are allowed: one a death, and one for each mark that met a full disk."""
        answered, failed = _unmarked(self.home), self.board["unmarked"]
        before, failed_before = self._unmarked
        died = bool(ended.signal) or bool(self.board["died"])
        self.windows += min(answered - before, int(died) + failed - failed_before)
        self._unmarked = (answered, failed)

    def _count(self, death: Death, ended: Ended) -> None:
        if death.kind == TERM:
            if ended.signal or not self.board["died"]:
                self.result.failure = f"SIGTERM: ended with {ended}" if ended.signal else self.result.failure
            self.result.terms += bool(self.board["died"])
        elif ended.signal:
            self.result.kills += death.kind == KILL
            self.result.cuts += death.kind == CUT

    def _sum_up(self) -> None:
        lines = self.home.met.read_text(encoding="utf-8").splitlines() if self.home.met.exists() else []
        for line in lines:
            self.result.met.update(json.loads(line))


def _runs(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def _unmarked(home: Home) -> int:
    """Return how many messages were answered and not marked so far."""
    answered = {str(row["remote_id"]) for row in read_chat(home.chat) if not row["kind"]}
    outbox = Reader(home.database).outbox(state="sent") if home.database.exists() else None
    return len(answered - set(outbox["remote_id"])) if outbox is not None else len(answered)
