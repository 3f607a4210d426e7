"""Thresholds written into the configuration file."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.config import ConfigSource, config_diff
from core.config.rewrite import propose, replace
from core.errors import ConfigError

TEXT = """\
# my own notes
symbols: [BTC/USDT:USDT, ETH/USDT:USDT]   # two
models:
  meta:
    gating:
      min_ev_pct: 0.1     # mine
      per_pair_tf: {}     # the tuner's
      evidence: off       # a word, not false
"""

NEW = {"BTC/USDT:USDT": {"15m": {"min_ev_pct": 0.05, "threshold": None, "expires": "2026-03-01"}}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_only_the_thresholds_change_and_comments_stay(path: Path) -> None:
    replace(propose(ConfigSource(path, {}), NEW))
    expected = TEXT.replace(
        "per_pair_tf: {}     # the tuner's\n",
        "per_pair_tf:        # the tuner's\n        BTC/USDT:USDT:\n"
        "          15m: {min_ev_pct: 0.05, expires: '2026-03-01'}\n",
    )
    assert _squeezed(path.read_text(encoding="utf-8")) == _squeezed(expected)


def test_the_running_engine_reads_them(path: Path) -> None:
    source = ConfigSource(path, {})
    change = propose(source, NEW)
    assert source.reload().changed is False
    replace(change)
    reload = source.reload()
    assert reload.changed
    assert config_diff(reload.config, change.config) == []
    assert reload.config.models.meta.gating.per_pair_tf["BTC/USDT:USDT"]["15m"].min_ev_pct == 0.05


def test_they_can_be_taken_back_to_none(path: Path) -> None:
    source = ConfigSource(path, {})
    replace(propose(source, NEW))
    replace(propose(source, {}))
    assert not source.reload().config.models.meta.gating.per_pair_tf
    assert "# the tuner's" in path.read_text(encoding="utf-8")


def test_a_proposal_writes_nothing_and_shows_what_it_would(path: Path) -> None:
    change = propose(ConfigSource(path, {}), NEW)
    assert path.read_text(encoding="utf-8") == TEXT
    assert "+          15m: {min_ev_pct: 0.05, expires: '2026-03-01'}" in change.diff
    assert [file.name for file in path.parent.iterdir()] == ["config.yaml"]


def test_nothing_to_say_of_a_file_without_thresholds_changes_nothing(path: Path) -> None:
    path.write_text("symbols: [BTC/USDT:USDT]\n", encoding="utf-8")
    change = propose(ConfigSource(path, {}), {})
    assert change.diff == ""
    replace(change)
    assert path.read_text(encoding="utf-8") == "symbols: [BTC/USDT:USDT]\n"


def test_a_file_without_the_section_gets_one(path: Path) -> None:
    path.write_text("symbols: [BTC/USDT:USDT]\n", encoding="utf-8")
    source = ConfigSource(path, {})
    replace(propose(source, NEW))
    assert source.reload().config.models.meta.gating.per_pair_tf["BTC/USDT:USDT"]["15m"].min_ev_pct == 0.05


def test_a_file_changed_meanwhile_is_left_alone(path: Path) -> None:
    change = propose(ConfigSource(path, {}), NEW)
    path.write_text(TEXT + "timeframes: [1h]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="changed by somebody else meanwhile"):
        replace(change)
    assert path.read_text(encoding="utf-8") == TEXT + "timeframes: [1h]\n"


@pytest.mark.parametrize("value", [float("nan"), 1e9, "much"])
def test_an_absurd_threshold_is_refused_and_names_the_file(path: Path, value: object) -> None:
    with pytest.raises(ConfigError, match=r"^config\.yaml:\d+: .*min_ev_pct"):
        propose(ConfigSource(path, {}), {"BTC/USDT:USDT": {"15m": {"min_ev_pct": value}}})
    assert path.read_text(encoding="utf-8") == TEXT


def test_with_a_profile_its_file_is_the_one_that_changes(path: Path) -> None:
    overlay = path.with_name("config.mine.yaml")
    overlay.write_text("timeframes: [1h]\n", encoding="utf-8")
    source = ConfigSource(path, {}, [overlay])
    replace(propose(source, NEW))
    assert path.read_text(encoding="utf-8") == TEXT
    assert "15m: {min_ev_pct: 0.05" in overlay.read_text(encoding="utf-8")
    assert source.reload().config.models.meta.gating.per_pair_tf


def test_the_shipped_file_comes_back_as_it_was(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "config.yaml"
    path = tmp_path / "config.yaml"
    path.write_bytes(shipped.read_bytes())
    source = ConfigSource(path, {})
    replace(propose(source, NEW))
    replace(propose(source, {}))
    assert path.read_bytes() == shipped.read_bytes()


def _squeezed(text: str) -> list[str]:
    return [line.rstrip().replace(" ", "") for line in text.splitlines()]
