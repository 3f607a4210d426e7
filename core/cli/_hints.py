"""Hints that can be followed as they stand: a command another message names, with the configuration of this one.

The law: whoever names a command writes it bare, between backquotes; only here it is completed with what was given on
the command line, and spelled as this machine can run it.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from core.cli._options import CONFIG
from core.redact import escaped

__all__ = ["completed", "given", "show", "spelled"]

_SCRIPTS = {
    "analyze_results": "analyze-results",
    "calibrate_meta": "calibrate-meta",
    "db_inspect": "db-inspect",
    "download_data": "download-data",
    "init_db": "init-db",
    "maintenance": "maintain",
    "retro_scan": "retro-scan",
    "scan_signals": "scan-signals",
    "scheduler_run": "run",
    "train_meta": "train-meta",
    "tune_thresholds": "tune-thresholds",
}
_COMMAND = re.compile(
    rf"python (?P<script>{'|'.join(_SCRIPTS)})\.py(?= |$)|(?P<trader>trader)(?= [a-z])|python -m core(?= [a-z])"
)
_QUOTED = re.compile(r"`([^`]+)`")
_ROOT = Path(__file__).resolve().parents[2]


def is_at_hand(program: str) -> bool:
    """Say whether a program can be started here: a script beside the package, or `trader`, once it was installed."""
    if program != "trader":
        return (_ROOT / program).is_file()
    return bool(shutil.which(program) or shutil.which(program, path=str(Path(sys.executable).parent)))


def completed(text: str, options: str, at_hand: Callable[[str], bool] = is_at_hand) -> str:
    """Return a text whose commands between backquotes are completed; nothing else of it changes.

    Parameters
    ----------
    text : str
    options : str
        Such as ``"--profile demo"``; may be empty.
    at_hand : callable
        Says whether a program can be started here.

    Examples
    --------
    >>> completed("data/demo.db does not exist; create it with `python init_db.py`", "--profile demo", lambda _: True)
    'data/demo.db does not exist; create it with `python init_db.py --profile demo`'
    >>> completed("`trader model list` shows them", "", lambda program: program != "trader")
    '`python -m core model list` shows them'
    >>> completed("expected one of `train`, `trader`", "--profile demo")
    'expected one of `train`, `trader`'
    """
    return _QUOTED.sub(lambda found: f"`{spelled(found[1], options, at_hand)}`", text)


def spelled(command: str, options: str, at_hand: Callable[[str], bool] = is_at_hand) -> str:
    """Return one command completed; what is none of ours, or says already which configuration, stays as it is.

    Examples
    --------
    >>> spelled("python scheduler_run.py --once", "--config my.yaml", lambda _: False)
    'python -m core run --once --config my.yaml'
    >>> spelled("python init_db.py --profile demo", "--profile other", lambda _: True)
    'python init_db.py --profile demo'
    """
    found = _COMMAND.match(command)
    if not found:
        return command
    script, rest = found["script"], command[found.end() :]
    if script and not at_hand(f"{script}.py"):
        command = f"python -m core {_SCRIPTS[script]}{rest}"
    elif found["trader"] and not at_hand("trader"):
        command = f"python -m core{rest}"
    return command if re.search(r"--(profile|config)\b", rest) else f"{command} {options}".rstrip()


def given(arguments: argparse.Namespace) -> str:
    """Return the options that say which configuration a command works with; empty where none was given.

    Examples
    --------
    >>> given(argparse.Namespace(config="config.yaml", profile="demo"))
    '--profile demo'
    """
    asked = ["--config", arguments.config] if arguments.config != CONFIG else []
    asked += ["--profile", arguments.profile] if arguments.profile else []
    return escaped(subprocess.list2cmdline(asked) if os.name == "nt" else shlex.join(asked))


def show(arguments: argparse.Namespace, text: str) -> None:
    """Print what a command found, with hints that can be followed."""
    print(completed(text, given(arguments)))
