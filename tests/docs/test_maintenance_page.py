"""docs/maintenance.md: the jobs, the keys, and every line the doctor can say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from core.config import load_config
from core.jobs import maintain
from core.store import _write_upkeep
from core.store.backups import name_of
from core.store.retention import NOTES_DAYS
from tests.docs.pages import ROOT, first_codes, table_after, text_of
from tests.engine import trader, write_config

PAGE = text_of("docs/maintenance.md")
DOCTOR = [ROOT / "core" / "checks" / f"{name}.py" for name in ("doctor", "_doctor_machine", "_doctor_store")]


def test_every_part_of_the_upkeep_is_described() -> None:
    assert set(first_codes(table_after(PAGE, "## What is done by itself"))) == set(maintain.PARTS)
    assert f"at most {_write_upkeep._ROWS_AT_ONCE:,} rows" in PAGE
    assert f"below {maintain.LOG_LIMIT_BYTES // 1_000_000} MB" in PAGE
    assert f"kept {NOTES_DAYS} days" in PAGE


def test_every_key_of_retention_is_described() -> None:
    told = first_codes(table_after(PAGE, "## What is kept how long"))
    keys = type(load_config(ROOT / "config.yaml", {}).app.retention).model_fields
    assert told == [f"app.retention.{name}" for name in keys]


def test_the_name_of_a_back_up_on_the_page_is_one() -> None:
    assert name_of(Path("data/ohlcv.db"), 1_706_670_600_000) in PAGE


def test_every_line_of_the_doctor_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = first_codes(table_after(PAGE, "## The doctor"))
    text = "".join(path.read_text("utf-8") for path in DOCTOR)
    asked = r'(?:ok\(|"(?:warn|FAIL)",|Line\("\w+",)\s*"([a-z][a-z -]*)"'
    assert set(re.findall(asked, text)) <= set(told)
    config = write_config(tmp_path, {})
    assert trader(config, "init-db") == 0
    capsys.readouterr()
    trader(config, "doctor", "--offline", "--json")
    said = [line["name"] for line in json.loads(capsys.readouterr().out)["lines"]]
    assert [name for name in told if name in said] == list(dict.fromkeys(said))
    assert len(said) >= 18
