"""Torture the engine: ``python -m tests.torture --seeds 50``.

The law: what is printed was measured in this run. A failing seed says how to run it alone, what was drawn, and the
first row that differs; the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture import broken, engine, files, ledger, wire
from tests.torture.engine import Result

LEDGER_CUTS, LEDGER_KILLS = 30, 10  # of a seed
FILE_KILLS = 5
WIRE_EVERY = 5  # seeds
QUICK_TICKS, BROKEN_TICKS = 90, 130  # minutes of an engine's market


@dataclass(slots=True)
class Tally:
    """What all seeds came to."""

    results: list[Result] = field(default_factory=list)
    ledgers: list[ledger.Outcome] = field(default_factory=list)
    files: list[files.FileOutcome] = field(default_factory=list)
    wires: list[wire.WireOutcome] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def total(self, name: str) -> int:
        """Add a count up over all seeds."""
        return sum(getattr(one, name, 0) for one in (*self.results, *self.ledgers, *self.files, *self.wires))

    def table(self) -> str:
        """Return what was promised, what was done and what was measured."""
        met: Counter[str] = sum((one.met for one in self.results), Counter())
        told = [one.told for one in self.results] + self.wires
        met["HTTP faults"] = sum(one.faults for one in self.wires)
        kills, cuts, terms = self.total("kills"), self.total("cuts"), self.total("terms")
        duplicates, allowed = sum(one.duplicates for one in told), sum(one.allowed for one in told)
        lines = [
            "| promise | done | measured |",
            "|---|---|---|",
            f"| P1 durability | {kills} SIGKILL, {cuts} power cuts, {terms} SIGTERM |"
            f" {self.total('lost')} answered commits lost, {self.total('corrupt')} corrupt files |",
            f"| P2 convergence | {len(self.results)} engines on tapes, {len(self.wires)} over HTTP,"
            f" {sum(met.values())} faults |"
            f" {sum(one.differing for one in self.results)} of {sum(one.rows for one in self.results)} rows differ |",
            f"| P3 alerts | {sum(one.delivered for one in told)} delivered | {duplicates} duplicates,"
            f" {allowed} explained by deaths and lost answers |",
            "",
            "Faults met: " + ", ".join(f"{name} {count}" for name, count in sorted(met.items())),
        ]
        return "\n".join(lines)


def torture(folder: Path, seeds: range | list[int], is_quick: bool, tally: Tally) -> None:
    """Run seeds, each with an engine, a writer and files."""
    for seed in seeds:
        began = time.monotonic()
        deaths = {"kills": 3, "cuts": 2, "terms": 1} if is_quick else {}
        ticks = QUICK_TICKS if is_quick else None
        result = engine.run_seed(folder, seed, ticks=ticks, **deaths)
        tally.results.append(result)
        if result.failure:
            again = f"python -m tests.torture --seed {seed}{' --quick' if is_quick else ''}"
            tally.failures.append(f"seed {seed}\n  {result.failure}\n  alone: {again}\n  drawn: {result.plan.told()}")
        outcome = ledger.run_ledger(
            folder / f"ledger-{seed}", seed, LEDGER_CUTS // (3 if is_quick else 1), LEDGER_KILLS
        )
        tally.ledgers.append(outcome)
        tally.failures += [f"seed {seed}, writer alone\n  P1 {line}" for line in outcome.failures]
        filed = files.run_files(folder / f"files-{seed}", seed, FILE_KILLS)
        tally.files.append(filed)
        tally.failures += [f"seed {seed}, files\n  {line}" for line in filed.failures]
        for name in ("ledger", "files"):
            shutil.rmtree(folder / f"{name}-{seed}", ignore_errors=True)
        wired = None if seed % WIRE_EVERY or is_quick else wire.run_wire(folder, seed)
        if wired is not None:
            tally.wires.append(wired)
            tally.failures += [f"seed {seed}, over HTTP\n  {wired.failure}"] if wired.failure else []
        failed = (result.failure, outcome.failures, filed.failures, wired is not None and wired.failure)
        said = "FAILED" if any(failed) else "ok"
        print(f"seed {seed}: {said}, {time.monotonic() - began:.1f} s", flush=True)
    waited = files.checkpoint_beside_reader(folder / "reader")
    tally.failures += [f"checkpoint\n  {waited}"] if waited else []


def noticed(folder: Path, variant: broken.Broken) -> str:
    """Return how the rig noticed a broken variant; ``""`` where it did not."""
    for seed in variant.seeds:
        home = folder / f"{variant.name}-{seed}"
        if variant.scene == "ledger":
            said = "; ".join(f"P1 {line}" for line in ledger.run_ledger(home, seed, 20, 0, variant.breaks).failures)
        elif variant.scene == "files":
            said = "; ".join(files.run_files(home, seed, 8, variant.breaks).failures)
        elif variant.scene == "reader":
            said = files.checkpoint_beside_reader(home, variant.breaks)
        else:
            ticks = None if variant.is_long else BROKEN_TICKS
            said = engine.run_seed(folder, seed, ticks=ticks, prepare=variant.breaks, change=variant.change).failure
            home = folder / f"seed-{seed}"
        shutil.rmtree(home, ignore_errors=True)
        if said:
            return f"seed {seed}: {said}"
    return ""


def main(arguments: list[str] | None = None) -> int:
    """Run the rig; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seeds", type=int, default=0, help="run this many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, action="append", default=[], help="run this one alone; may be repeated")
    parser.add_argument("--quick", action="store_true", help="a shorter market and fewer deaths")
    parser.add_argument("--broken", nargs="*", help="check that broken variants are noticed: names, cheap or all")
    parser.add_argument("--folder", type=Path, help="where to work; a new folder by default")
    options = parser.parse_args(arguments)
    if not hasattr(__import__("os"), "fork"):
        print("torture: this rig forks its processes, which this system cannot; run it on Linux or macOS")
        return 0
    folder = options.folder or Path(tempfile.mkdtemp(prefix="torture-"))
    tally = Tally()
    seeds = options.seed or list(range(options.first, options.first + options.seeds))
    if seeds:
        torture(folder, seeds, options.quick, tally)
        print("\n" + tally.table())
    if options.broken is not None:
        _judge_rig(folder, options.broken, tally)
    (folder / "tally.json").write_text(json.dumps({"failures": tally.failures}), encoding="utf-8")
    for failure in tally.failures:
        print("\n" + failure, file=sys.stderr)
    if not options.folder and not tally.failures:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if tally.failures else 0


def _judge_rig(folder: Path, wanted: list[str], tally: Tally) -> None:
    is_all = not wanted or "all" in wanted
    chosen = [one for one in broken.BROKEN if is_all or one.name in wanted or (one.is_cheap and "cheap" in wanted)]
    print("\n| broken variant | promise | noticed |\n|---|---|---|")
    for variant in chosen:
        said = noticed(folder, variant)
        first = said.splitlines()[-1][:150] if said else "NOT NOTICED"
        print(f"| {variant.name} | {variant.promise} | {first} |", flush=True)
        if not said or (variant.scene == "engine" and variant.promise not in said):
            tally.failures.append(f"broken variant {variant.name} was not noticed as {variant.promise}: {said or '-'}")


if __name__ == "__main__":
    sys.exit(main())
