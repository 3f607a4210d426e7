"""Commands of the model: train-meta, calibrate-meta, tune-thresholds, model, thresholds.

The law: what a command decides it tells in plain words, with the numbers behind it; `--dry-run` changes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable

from tqdm import tqdm

from core.cli._hints import show
from core.cli._open import desk_of
from core.cli._told import ended
from core.errors import UsageError
from core.jobs._desk import Desk, Report

__all__ = ["calibrate_meta", "model", "thresholds", "train_meta", "tune_thresholds"]


def train_meta(arguments: argparse.Namespace) -> int:
    """Learn from all finished candidates; put the model in force where it is at least as good as the one that is."""
    from core.jobs import train

    async def work(desk: Desk, now_ms: int) -> Report:
        with tqdm(unit="block", desc="training", dynamic_ncols=True, disable=None) as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            return await train.run(desk, now_ms, live=_is_live(desk), progress=progress)

    return _on_desk(arguments, work)


def calibrate_meta(arguments: argparse.Namespace) -> int:
    """Fit the calibrator of the model in force anew."""
    from core.jobs import calibrate

    return _on_desk(arguments, lambda desk, now_ms: calibrate.run(desk, now_ms, _is_live(desk), arguments.dry_run))


def tune_thresholds(arguments: argparse.Namespace) -> int:
    """Look for thresholds with evidence and write them into the configuration file."""
    from core.jobs import tune

    mode, is_dry = arguments.mode or "", arguments.dry_run
    return _on_desk(arguments, lambda desk, now_ms: tune.run(desk, now_ms, _is_live(desk), mode, is_dry))


def model(arguments: argparse.Namespace) -> int:
    """List models, show one, or change which one is in force."""
    from core.jobs import registry

    if arguments.action in ("show", "promote") and not arguments.version:
        raise UsageError(f"model {arguments.action}: name the version; `trader model list` shows them")
    if arguments.action in ("list", "rollback") and arguments.version is not None:
        instead = "show VERSION` shows one" if arguments.action == "list" else "promote VERSION` puts one in force"
        raise UsageError(f"model {arguments.action} takes no version; `trader model {instead}")

    async def work(desk: Desk, now_ms: int) -> Report:
        if arguments.action == "list":
            return registry.listed(desk)
        if arguments.action == "show":
            return registry.shown(desk, arguments.version)
        if arguments.action == "promote":
            return registry.promoted(desk, arguments.version, now_ms)
        return registry.rolled_back(desk, now_ms)

    return _on_desk(arguments, work)


def thresholds(arguments: argparse.Namespace) -> int:
    """List the thresholds that were in force, or take the last change back."""
    from core.jobs import registry

    async def work(desk: Desk, now_ms: int) -> Report:
        if arguments.action == "list":
            return registry.thresholds_listed(desk, arguments.last)
        return registry.thresholds_rolled_back(desk, now_ms)

    return _on_desk(arguments, work)


def _is_live(desk: Desk) -> bool:
    """Say whether the market goes on while a command works: another process may be deciding its closes meanwhile."""
    return not desk.config.exchange.is_tape


def _on_desk(arguments: argparse.Namespace, work: Callable[[Desk, int], Awaitable[Report]]) -> int:
    async def run() -> int:
        async with desk_of(arguments, offline=True) as desk:
            report = await work(desk, desk.market.now_ms())
            if report.text:
                show(arguments, report.text)
            return ended(arguments, report)

    return asyncio.run(run())
