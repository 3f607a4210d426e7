"""How time and memory are measured: rounds in processes of their own, taking turns; medians; the machine.

The law: a measurement says on what it was made and under which load, and keeps every sample.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "Round", "Sample", "Side", "Worker", "interleaved", "machine", "median", "run_process", "take_turns"]

ROOT = Path(__file__).resolve().parents[1]

Sample = dict[str, float]
"""What a round tells: ``s``, the seconds of the timed part, and whatever else it counted."""

Round = Callable[[], Sample]


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Parameters
    ----------
    name : str
        ``module:function``; the function takes `given` and returns a `Round`.
    given : mapping
        JSON values.
    """

    name: str
    given: Mapping[str, Any] = field(default_factory=dict)


class Worker:
    """A side in a process of its own.

    Raises
    ------
    RuntimeError
        By `round`: the process has ended; its last lines are in the message.
    """

    def __init__(self, side: Side) -> None:
        self._side = side
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  lives as long as the process
        command = [sys.executable, "-m", "benchmarks._worker", side.name, json.dumps(dict(side.given))]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, cwd=ROOT
        )

    def __call__(self) -> Sample:
        """Run one round."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write("go\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self._process.wait()
            self._errors.seek(0)
            raise RuntimeError(f"{self._side.name} failed:\n{self._errors.read()[-2_000:]}")
        sample: Sample = json.loads(answer)
        return sample

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
        self._errors.close()


def interleaved(sides: Mapping[str, Side], rounds: int, warm: int = 1) -> dict[str, list[Sample]]:
    """Run rounds of several sides in turn, each in its own process, and return the samples by side.

    Parameters
    ----------
    sides : mapping of str to Side
    rounds, warm : int
        How many rounds count, and how many before them do not.
    """
    workers: dict[str, Worker] = {}
    try:
        for name, side in sides.items():
            workers[name] = Worker(side)
        return take_turns(workers, rounds, warm)
    finally:
        for worker in workers.values():
            worker.close()


def take_turns(rounds_of: Mapping[str, Round], rounds: int, warm: int = 1) -> dict[str, list[Sample]]:
    """Call each in turn, so many times over; return what they told by name, without the first `warm` rounds."""
    samples: dict[str, list[Sample]] = {name: [] for name in rounds_of}
    for number in range(warm + rounds):
        for name, once in rounds_of.items():
            sample = once()
            if number >= warm:
                samples[name].append(sample)
    return samples


def run_process(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None, allowed: Sequence[int] = (0,)
) -> Sample:
    """Run a command from a folder; return seconds, processor seconds and peak memory, MB.

    Raises
    ------
    RuntimeError
        It ended with another exit code than an allowed one; its last lines are in the message.
    """
    with tempfile.NamedTemporaryFile("r", suffix=".log") as log:
        launched = subprocess.run(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("_launch.py")), log.name, *command],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        told: Sample = json.loads(launched.stdout)
        if told.pop("code") not in allowed:
            raise RuntimeError(f"{' '.join(command[:4])} ... failed:\n{log.read()[-2_000:]}")
    return told


def median(samples: Sequence[Sample], name: str = "s") -> float:
    """Return the median of one figure over rounds."""
    return statistics.median(sample[name] for sample in samples)


def machine() -> dict[str, Any]:
    """Return what the numbers were made on, and how busy it is now."""
    versions = {name: importlib.metadata.version(name) for name in ("numpy", "pandas", "numba", "apsw", "ta")}
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": versions,
        "load": load(),
    }


def load() -> float:
    """Return the machine's load average over the last minute: busy processes, ours among them."""
    return round(os.getloadavg()[0], 1)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
