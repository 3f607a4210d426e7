"""What a command says when it fails, in one line, and the exit code that goes with it.

The law: the line names what failed and how to mend it; the same failure ends with the same code.
"""

from __future__ import annotations

import argparse
import sys

from core.cli._hints import completed, given
from core.errors import DiskError, TraderError
from core.jobs._desk import Report
from core.redact import escaped, without_secrets

__all__ = ["ended", "told"]


def told(error: TraderError | OSError) -> tuple[str, int]:
    """Return the one line and the exit code of an error.

    Notes
    -----
    What the network raises arrives as the engine's own errors, so an `OSError` is a file's: a disk that is full,
    a folder that is missing or not writable.

    Examples
    --------
    >>> from core.errors import ConfigError
    >>> told(ConfigError("config.yaml: no such file"))
    ('config.yaml: no such file', 2)
    """
    if isinstance(error, TraderError):
        return _line(str(error)), error.exit_code
    where = f"{error.filename}: " if error.filename else ""
    mend = "check that the folder exists, is writable and has space left"
    return _line(f"{where}{error.strerror or error}; {mend}"), DiskError.exit_code


def _line(text: str) -> str:
    """Return a text as one line that steers no terminal and holds no secret."""
    return without_secrets(escaped(" ".join(text.split())))


def ended(arguments: argparse.Namespace, *reports: Report, shown: bool = False) -> int:
    """Say how jobs ended, and return the command's exit code.

    Parameters
    ----------
    arguments : argparse.Namespace
        Of the command: what it was given completes the hints.
    *reports : Report
        In the order they ran.
    shown : bool
        Their counts and problems were logged already: only the one line about a failure is left to say.

    Returns
    -------
    int
        0, or the exit code of the first that failed.
    """
    failed = [report for report in reports if not report.ok]
    options = given(arguments)
    for report in () if shown else reports:
        if any(report.counts.values()) or not report.text:  # a text says by itself what was done
            print(report.counted())
        for line in report.problems if report.ok else ():
            print(f"  {completed(_line(line), options)}")
    if not failed:
        return 0
    problems = [f"{report.job}: {line}" for report in failed for line in report.problems]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    print(f"error: {completed(_line(problems[0]), options)}{more}", file=sys.stderr)
    for line in () if shown else problems[1:]:
        print(f"  {completed(_line(line), options)}")
    return failed[0].exit_code
