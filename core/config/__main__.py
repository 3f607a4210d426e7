"""Write what is generated from the declarations: the schema for editors and the tables of the reference.

The law: ``python -m core.config``, in the project's folder, is the only way these texts change.
"""

from __future__ import annotations

import json
from pathlib import Path

from core.config._reference import config_schema, config_tables

__all__ = ["BEGIN", "END", "with_tables", "write_generated"]

BEGIN, END = "<!-- keys: written by python -m core.config -->", "<!-- end of keys -->"


def with_tables(page: str) -> str:
    """Return the page with the tables between its two marks made anew."""
    head, _, rest = page.partition(BEGIN)
    return f"{head}{BEGIN}\n\n{config_tables()}\n{END}{rest.partition(END)[2]}"


def write_generated(docs: Path) -> None:
    """Write `config.schema.json` and the tables of `configuration.md` in the folder of the documentation."""
    schema = json.dumps(config_schema(), indent=2, ensure_ascii=False) + "\n"
    (docs / "config.schema.json").write_text(schema, encoding="utf-8")
    page = docs / "configuration.md"
    page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write_generated(Path("docs"))
