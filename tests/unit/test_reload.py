"""A configuration that changes under a running engine: whole or not at all, without secrets, and people hear of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import app
from core.adapters.markets.offline import OfflineMarket
from core.cli.engine import refreshed
from core.config import ConfigSource, config_diff, config_hash, config_warnings, load_config, redacted, secrets_of
from core.errors import ConfigError
from core.jobs._desk import Desk
from tests.engine import write_config
from tests.factories import START_MS

PING, OTHER = "https://hc-ping.com/0123456789abcdef", "https://hc-ping.com/fedcba9876543210"
KEY = "TRADER__APP__PING_URL"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_config(tmp_path, {})


@pytest.fixture
def source(path: Path) -> ConfigSource:
    return ConfigSource(path, {})


@pytest.fixture
def desk(source: ConfigSource) -> Iterator[Desk]:
    opened = app.open_desk(source, logging.getLogger("test"), OfflineMarket("bitget", at_ms=START_MS))
    yield opened
    opened.writer.close()


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def told(desk: Desk) -> list[str]:
    return [json.loads(payload)["text"] for payload in desk.reader.outbox()["payload"]]


def test_a_broken_one_is_told_to_people_once_and_that_it_is_mended_once(
    desk: Desk, source: ConfigSource, path: Path
) -> None:
    change(path, "max_leverage: 10", "max_leverage: many")
    for _ in range(5):
        assert refreshed(desk, source) is desk
    (word,) = told(desk)
    assert word.startswith("The configuration on disk cannot be used, the last good one stays: config.yaml:")
    change(path, "max_leverage: many", "max_leverage: 10")
    for _ in range(5):
        desk = refreshed(desk, source)
    assert told(desk)[1:] == ["The configuration on disk can be used again, and is in force."]


def test_one_that_reads_well_and_cannot_be_built_is_never_in_force_in_part(
    desk: Desk, source: ConfigSource, path: Path, monkeypatch: pytest.MonkeyPatch, lines: pytest.LogCaptureFixture
) -> None:
    build = app.build_setups

    def refuses(config: object, costs: object) -> object:
        if config.risk.max_leverage == 7:  # type: ignore[attr-defined]
            raise ConfigError("signals.setups.fibo_avwap: refuses its parameters")
        return build(config, costs)  # type: ignore[arg-type]

    monkeypatch.setattr(app, "build_setups", refuses)
    change(path, "max_leverage: 10", "max_leverage: 7")
    for _ in range(5):
        assert refreshed(desk, source) is desk and desk.config.risk.max_leverage == 10
    assert lines.text.count("configuration kept as it was: signals.setups.fibo_avwap: refuses") == 1
    assert "mended" not in lines.text and "configuration changed" not in lines.text
    change(path, "max_leverage: 7", "max_leverage: 6")
    after = refreshed(desk, source)
    assert after.config.risk.max_leverage == 6 and desk.config.risk.max_leverage == 10
    assert "configuration changed: risk.max_leverage: 10.0 -> 6.0" in lines.text


def test_a_file_that_was_only_touched_changes_nothing(
    desk: Desk, source: ConfigSource, path: Path, lines: pytest.LogCaptureFixture
) -> None:
    path.write_text(path.read_text("utf-8") + "\n# a word\n", "utf-8")
    assert refreshed(desk, source) is desk and desk.config is source.current
    assert "configuration" not in lines.text


@pytest.mark.parametrize("half", [0.02, 0.5, 0.9])
def test_a_file_that_is_half_written_is_not_taken(desk: Desk, source: ConfigSource, path: Path, half: float) -> None:
    text = path.read_text("utf-8")
    path.write_text(text[: int(len(text) * half)], "utf-8")
    after = refreshed(desk, source)
    # What is left may be a configuration of its own; then it is taken whole, as its diff says.
    assert after.config == source.current and (after is desk or after.config != desk.config)
    path.write_text("", "utf-8")
    assert refreshed(after, source) is after


# -- the address that is asked holds a secret


def test_a_secret_appears_in_no_view_and_a_change_of_it_does(tmp_path: Path) -> None:
    path = write_config(tmp_path, {})
    plain, one, other = (load_config(path, {KEY: url}) for url in ("", PING, OTHER))
    assert redacted(one)["app"]["ping_url"] == "***" and redacted(plain)["app"]["ping_url"] == ""
    assert config_hash(plain) == config_hash(one) == config_hash(other)
    assert config_diff(plain, one) == ['app.ping_url: "" -> ***']
    assert config_diff(one, other) == ["app.ping_url: *** -> ***"]
    assert config_diff(one, one) == []
    assert secrets_of(one) == [PING, "0123456789abcdef"] and secrets_of(plain) == []


def test_a_change_of_it_is_in_force_at_once_and_hidden(tmp_path: Path, lines: pytest.LogCaptureFixture) -> None:
    path = write_config(tmp_path, {})
    source = ConfigSource(path, {})
    desk = app.open_desk(source, logging.getLogger("test"), OfflineMarket("bitget", at_ms=START_MS))
    try:
        (tmp_path / ".env").write_text(f"{KEY}={PING}\n", "utf-8")
        after = refreshed(desk, source)
        assert after.config.app.ping_url.get_secret_value() == PING
        after.log.warning("GET %s/fail", PING)
    finally:
        desk.writer.close()
    assert "0123456789abcdef" not in lines.text and "[redacted]" in lines.text


@pytest.mark.parametrize(
    "url", ["ftp://host/x", "hc-ping.com/x", "https://user:pw@host/x", "https://host/x?y=1", "http://"]
)
def test_only_addresses_of_the_web_are_taken_and_a_refusal_does_not_show_them(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_config(write_config(tmp_path, {}), {KEY: url})
    assert "app.ping_url = ***: expected an address" in str(refusal.value) and url + " " not in str(refusal.value)


def test_a_secret_in_a_shared_file_is_warned_of(tmp_path: Path) -> None:
    config = load_config(write_config(tmp_path, {"app": {"ping_url": PING}}), {})
    (warning,) = (line for line in config_warnings(config) if "ping_url" in line)
    assert "move it to TRADER__APP__PING_URL in .env" in warning and PING not in warning
