"""Promises and measurements side by side: on the screen, and between the marks of docs/reliability.md.

The law: every number on the page comes from a result file, and a promise that was broken is shown as broken.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks._measure import ROOT, load
from benchmarks.results import Row

__all__ = ["PAGE", "block", "broken", "finish", "kept", "told"]

PAGE = ROOT / "docs" / "reliability.md"

_HEAD = ["what", "measured", "figure", "promise", ""]
_WORDS = {"met": "kept", "missed": "BROKEN"}


def told(rows: Sequence[Row]) -> str:
    """Return rows as an aligned table: what, how it came out, and what was promised.

    Examples
    --------
    >>> print(told([Row("log", "peak 9 MB", 9.0, results.Bar(64.0, False, " MB"))]))
    | what | measured  | figure | promise  |      |
    |------|-----------|--------|----------|------|
    | log  | peak 9 MB | 9 MB   | <= 64 MB | kept |
    """
    lines = [_HEAD, *(_cells(row.cells()) for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(_HEAD))]
    shown = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    shown.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(shown)


def broken(rows: Sequence[Row]) -> list[str]:
    """Return what was promised and not kept."""
    return [row.work for row in rows if row.met is False]


def kept(about: Mapping[str, Any], rows: Sequence[Row], data: str, **more: Any) -> dict[str, Any]:
    """Return the document of a run, with the machine as it was before and is now."""
    return {"machine": {**about, "load_after": load()}, "data": data, "rows": list(rows), **more}


def finish(name: str, document: dict[str, Any], out: Path | None, page: Path | None) -> int:
    """Print a run, keep it, show it on the page, and return the exit code: 1 where a promise was broken.

    Parameters
    ----------
    name : str
        ``soak`` or ``load``: the marks of the page.
    document : dict
        Of `kept`.
    out, page : Path or None
        Where the figures go; None for a run that is not to be kept.
    """
    rows: list[Row] = document["rows"]
    print(told(rows))
    if out is not None:
        results.save(out, document)
        print(f"kept in {out}")
    if out is not None and page is not None:
        stored = json.loads(out.read_text(encoding="utf-8"))
        text = results.with_block(page.read_text(encoding="utf-8"), name, block(stored))
        page.write_text(text, encoding="utf-8")
        print(f"shown on {page}")
    failed = broken(rows)
    for line in failed:
        print(f"promise broken: {line}")
    return 1 if failed else 0


def block(document: Mapping[str, Any]) -> str:
    """Return what a document of a run says, as the page shows it."""
    lines = ["| " + " | ".join(_HEAD) + " |", "|---" * len(_HEAD) + "|"]
    lines += ["| " + " | ".join(_cells(row["cells"])) + " |" for row in document["rows"]]
    about = document["machine"]
    busy = f"{about['load']} before, {about['load_after']} after"
    lines += ["", f"Made on {about['processor']}, {about['cores']} cores, {about['memory_gb']} GB, {about['system']},"]
    lines += [f"Python {about['python']}; {document['data']}. Load average {busy}."]
    return "\n".join([*lines, *document.get("notes", [])])


def _cells(cells: Sequence[str]) -> list[str]:
    return [*cells[:4], _WORDS.get(cells[4], cells[4])]
