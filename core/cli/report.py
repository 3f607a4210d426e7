"""The command report: the results as one page to keep or to hand on.

The law: it reads the database and writes one file; a file that is there stays unless asked otherwise.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from core.cli._open import database, source_of, span
from core.store.reader import Reader

__all__ = ["report"]


def report(arguments: argparse.Namespace) -> int:
    """Write the tear sheet."""
    from core.jobs.report import ReportRequest, write_report

    start_ms, end_ms = span(arguments)
    request = ReportRequest(
        symbols=arguments.symbols or (),
        timeframes=arguments.timeframes or (),
        start_ms=start_ms,
        end_ms=end_ms,
        exit_policy=arguments.exit_policy,
    )
    config = source_of(arguments).current
    print(write_report(Reader(database(config)), config, request, Path(arguments.html), arguments.force))
    return 0
