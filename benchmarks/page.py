"""`python -m benchmarks.page`: write the newest figures into docs/performance.md.

The law: only what stands between two marks of the page is replaced, and every number in it comes from a result file.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks._measure import ROOT

__all__ = ["block", "main"]

PAGE = ROOT / "docs" / "performance.md"


def main(argv: list[str] | None = None) -> int:
    """Rewrite the marked blocks of the page from the result files there are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    arguments = parser.parse_args(argv)
    text = arguments.page.read_text(encoding="utf-8")
    for name in ("bench", "peers", "viewer"):
        path = arguments.results / f"{name}.json"
        if not path.is_file():
            print(f"{path}: not measured yet, its table stays as it is", file=sys.stderr)
            continue
        text = results.with_block(text, name, block(json.loads(path.read_text(encoding="utf-8"))))
    arguments.page.write_text(text, encoding="utf-8")
    return 0


def block(document: dict[str, Any]) -> str:
    """Return what a document of results says, as the page shows it."""
    lines = ["| work | measured (median) | value | bar | |", "|---|---|---|---|---|"]
    lines += ["| " + " | ".join(row["cells"]) + " |" for row in document["rows"]]
    about = document["machine"]
    busy = f"{about['load']} before, {about['load_after']} after, on {about['cores']} cores"
    versions = {**about["versions"], **document.get("versions", {})}
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines += ["", f"Made on {about['processor']}, {about['cores']} cores, {about['memory_gb']} GB, {about['system']},"]
    lines += [f"Python {about['python']} ({told}); candles: {document['data']}. Load average {busy}."]
    if "rounds" in document:
        lines += [f"Rounds that count: {document['rounds']}."]
    lines += document.get("notes", [])
    lines += [f"Skipped: {name} ({reason})." for name, reason in document.get("skipped", {}).items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
