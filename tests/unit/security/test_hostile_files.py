"""Configuration and `.env` files made to harm: each is refused with one short line, and soon."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.config import config_source, config_warnings, load_config
from core.errors import ConfigError

SYMBOLS = "symbols: [BTC/USDT:USDT]\n"
TOKEN = "123456789:AAcanary_TOKEN-that-nobody-may-see"
LONGEST_LINE = 700

YAML = {
    "a billion laughs": "a: &a [x, x]\n" + "".join(f"b{k}: &b{k} [*a, *a]\n" for k in range(30)),
    "an alias": SYMBOLS + "a: &a 1\nb: *a\n",
    "deep lists": "a: " + "[" * 400_000,
    "deep lists, closed": "a: " + "[" * 400_000 + "]" * 400_000,
    "deep mappings": "a: " + "{a: " * 200_000,
    "deep blocks": "".join(" " * k + "a:\n" for k in range(1_300)),
    "too many bytes": "a: " + "x" * 2_000_000,
    "too many values": "a: [" + ",".join("1" for _ in range(400_000)) + "]",
    "too many keys": "".join(f"k{k}: 1\n" for k in range(80_000)),
    "a key written twice": SYMBOLS + SYMBOLS,
    "a tag that would run a program": SYMBOLS + "risk: !!python/object/apply:os.system ['true']\n",
    "a tag that would build an object": SYMBOLS + "risk: !!python/object:core.config.Config {}\n",
    "a tag for bytes": SYMBOLS + "risk: !!binary aGk=\n",
    "a merge of an alias": SYMBOLS + "a: &a {mode: normal}\nrisk: {<<: *a}\n",
    "bytes": b"\x00\x01\x02\xff\xfe",
    "another encoding": SYMBOLS.encode("utf-16"),
    "a NUL": "symbols: [BTC\0/USDT]\n",
    "an escape": "symbols: [\x1b[31mBTC/USDT]\n",
    "an escape in quotes": SYMBOLS + 'risk: {mode: "\\e]0;owned\\a"}\n',
    "an escape as a key": SYMBOLS + '"\\e[31mrisk": 1\n',
    "a line break as a key": SYMBOLS + '"ri\\nERROR all is lost": 1\n',
    "a number of 100 000 digits": SYMBOLS + "risk: {capital_usd: " + "9" * 100_000 + "}\n",
    "a fraction of 100 000 digits": SYMBOLS + "risk: {capital_usd: 0." + "9" * 100_000 + "}\n",
    "a key of a megabyte": SYMBOLS + '"' + "k" * 900_000 + '": 1\n',
    "half a character": SYMBOLS + 'risk: {mode: "\\ud800"}\n',
    "a list as a key": SYMBOLS + "? [a, b]\n: 1\n",
    "two documents": SYMBOLS + "---\n" + SYMBOLS,
    "nothing": "",
    "a folder of words": "just words\n",
    "49 000 symbols that are none": "symbols: [" + ",".join("x" for _ in range(49_000)) + "]\n",
    "49 000 times the same symbol": "symbols: [" + ",".join("BTC/USDT" for _ in range(49_000)) + "]\n",
    "a symbol that is a path": "symbols: [../../etc/passwd]\n",
    "a symbol of markup": "symbols: ['<img src=x onerror=alert(1)>/USDT']\n",
    "a folder that is a device": SYMBOLS + "app: {db_path: /dev/null}\n",
    "a folder with a NUL": SYMBOLS + 'app: {data_dir: "a\\0b"}\n',
    "a pickled model": SYMBOLS + "models: {meta: {model_path: models/meta.pkl}}\n",
    "an exchange that is a path": SYMBOLS + "exchange: {id: ../../evil}\n",
    "a setup that is a path": SYMBOLS + "signals: {setups: {../evil: {}}}\n",
    "an exit policy that is a path": SYMBOLS + "execution: {exit_policy: ../evil}\n",
    "a channel that is markup": SYMBOLS + "notify: {telegram: {chat_id: '<b>'}}\n",
}

DOTENV = {
    "a token with a NUL": b"TELEGRAM_BOT_TOKEN=a\0b\n",
    "a token with an escape": b"TELEGRAM_BOT_TOKEN=12345678:\x1b[31mabc\n",
    "a token over two lines": b'TELEGRAM_BOT_TOKEN="a\\nb"\n',
    "a token without a value": b"TELEGRAM_BOT_TOKEN\n",
    "a quote that never ends": b"TELEGRAM_BOT_TOKEN='abc\n",
    "a name with blanks": b"TELEGRAM BOT=1\n",
    "bytes": b"\xff\xfe\x00",
    "too many bytes": b"A=" + b"x" * 2_000_000,
    "too many variables": b"A=1\n" * 200_000,
    "deep lists": b"TRADER__RISK=" + b"[" * 300_000 + b"\n",
    "a key of 100 000 levels": b"TRADER__" + b"A__" * 100_000 + b"B=1\n",
    "a key without a name": b"TRADER__RISK____X=1\n",
    "an escape as a key": b"TRADER__RISK__\x1b[31m=1\n",
    "a tag": b"TRADER__RISK=!!python/object/apply:os.system [true]\n",
    "backslashes without end": b"A='" + b"\\" * 400_000 + b"\n",
}


def refused(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:  # one that takes for ever takes this test with it
        load_config(folder / "config.yaml", {})
    said = str(caught.value)
    assert said.isprintable(), repr(said)
    assert len(said) < LONGEST_LINE
    return said


@pytest.mark.parametrize("name", YAML)
def test_a_hostile_configuration_is_refused_with_one_line(name: str, tmp_path: Path) -> None:
    text = YAML[name]
    (tmp_path / "config.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert refused(tmp_path).startswith("config.yaml")


@pytest.mark.parametrize("name", DOTENV)
def test_a_hostile_dotenv_is_refused_with_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(SYMBOLS)
    (tmp_path / ".env").write_bytes(DOTENV[name])
    assert refused(tmp_path).startswith(".env")


@pytest.mark.parametrize(
    ("line", "token"),
    [
        (b"export TELEGRAM_BOT_TOKEN=abcdefgh\n", "abcdefgh"),
        (b"TELEGRAM_BOT_TOKEN=abcdefgh\r\n", "abcdefgh"),
        (b"\xef\xbb\xbfTELEGRAM_BOT_TOKEN = abcdefgh  # mine\n", "abcdefgh"),
        (b"TELEGRAM_BOT_TOKEN='${HOME}$(id)`id`'\n", "${HOME}$(id)`id`"),
        (b"# TELEGRAM_BOT_TOKEN=no\n\n  \nTELEGRAM_BOT_TOKEN=abcdefgh", "abcdefgh"),
        (b"TELEGRAM_BOT_TOKEN=first\nTELEGRAM_BOT_TOKEN=abcdefgh\n", "abcdefgh"),
        (b"SOMETHING_ELSE\nTELEGRAM_BOT_TOKEN=abcdefgh\n", "abcdefgh"),
        (b"TELEGRAM_BOT_TOKEN=\n", ""),
    ],
)
def test_odd_lines_of_a_dotenv_mean_what_they_say_and_run_nothing(line: bytes, token: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(SYMBOLS)
    (tmp_path / ".env").write_bytes(line)
    assert load_config(tmp_path / "config.yaml", {}).notify.telegram.bot_token.get_secret_value() == token


@pytest.mark.parametrize("value", ["a\nb", "a\x1b[0mb", "a\x07b", "a\u202eb"])
def test_a_token_of_the_environment_with_control_characters_is_refused(value: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(SYMBOLS)
    with pytest.raises(ConfigError, match="TELEGRAM_BOT_TOKEN: holds a line break or another control") as caught:
        load_config(tmp_path / "config.yaml", {"TELEGRAM_BOT_TOKEN": value})
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["../evil", "..", "/etc/passwd", "a/b", "a\\b", "a\0b", "\x1b[31m", "x" * 5_000, ".", "demo.yaml/..", " "]
)
def test_a_profile_is_a_name_and_never_a_path(name: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(SYMBOLS)
    (tmp_path.parent / "config.evil.yaml").write_text(SYMBOLS)
    with pytest.raises(ConfigError, match="expected a name of letters") as caught:
        config_source(tmp_path / "config.yaml", name, {})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_many_symbols_are_read_at_once(tmp_path: Path) -> None:
    names = ",".join(f"A{k}/USDT" for k in range(20_000))
    (tmp_path / "config.yaml").write_text(f"symbols: [{names}]\n")
    assert len(load_config(tmp_path / "config.yaml", {}).symbols) == 20_000


def test_a_file_that_is_a_pipe_or_a_device_is_not_read_to_its_end(tmp_path: Path) -> None:
    if not Path("/dev/zero").exists():
        pytest.skip("no such device here")
    (tmp_path / "config.yaml").symlink_to("/dev/zero")
    assert "larger than 1000 kB" in refused(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="no such rights on Windows")
@pytest.mark.parametrize(("mode", "is_said"), [(0o644, True), (0o604, True), (0o600, False), (0o640, False)])
def test_a_secret_in_a_dotenv_that_everybody_can_read_is_said_without_it(
    mode: int, is_said: bool, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(SYMBOLS)
    (tmp_path / ".env").write_text(f"TELEGRAM_BOT_TOKEN={TOKEN}\n")
    (tmp_path / ".env").chmod(mode)
    said = config_warnings(load_config(tmp_path / "config.yaml", {}))
    assert any("everybody on this machine can read the file; run `chmod 600 .env`" in line for line in said) is is_said
    assert TOKEN not in "".join(said)
    (tmp_path / ".env").write_text("TRADER__RISK__MODE=conservative\n")
    assert config_warnings(load_config(tmp_path / "config.yaml", {})) == []
