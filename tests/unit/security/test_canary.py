"""A canary for a token: the engine runs, fails, crashes and is asked about, and nothing it leaves behind holds it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.engine import ROOT, write_config
from tests.servers.telegram import BLOCKED, CANARY_TOKEN, RESET, Answer, TelegramServer, broken, flood, portal

PING = "PINGcanary-0123456789abcdef"
SPELLINGS = sorted(
    {
        *(CANARY_TOKEN, quote(CANARY_TOKEN, ""), CANARY_TOKEN.replace(":", "%3a"), CANARY_TOKEN.partition(":")[2]),
        *(base64.b64encode(CANARY_TOKEN.encode()).decode(), CANARY_TOKEN.encode().hex(), "CANARY", PING),
    }
)

CRASH = """
import asyncio, sys, threading, warnings
sys.argv[0] = "trader"
token, how, *words = sys.argv[1:]
token = open(token).read()
from core.jobs import cycle
from core.cli import engine, main

def fail(*_anything, **_more):
    warnings.warn(f"about to fail with https://host/bot{token}/x")
    try:
        raise ValueError(f"inner https://host/bot{token}/getMe")
    except ValueError as error:
        raise RuntimeError(f"outer {token} {[token]!r}") from error

class Broken:
    def __del__(self):
        fail()

if how == "stage":
    async def stage(desk, now_ms):
        fail()
    cycle.STAGES = tuple((name, stage) for name, _ in cycle.STAGES)
elif how == "start":
    engine._in_force = fail
elif how == "thread":
    thread = threading.Thread(target=fail)
    engine._note = lambda desk: (thread.start(), thread.join(), Broken()) if not thread.ident else None
sys.exit(main(words))
"""


def settings(server: TelegramServer, **more: Any) -> dict[str, Any]:
    made = {"world": "edge", "seed": 11, "start": "2024-01-01", "days": 10, "step": "4h"}
    telegram = {"enabled": True, "chat_id": "42", "base_url": server.base_url}
    return {
        "exchange": {"id": "synthetic", "synthetic": made},
        "symbols": ["BTC/USDT:USDT"],
        "timeframes": ["1h"],
        "notify": {"console": True, "telegram": telegram},
        **more,
    }


class Engine:
    """Commands in processes of their own, over one folder; what they say is kept beside the database."""

    def __init__(self, folder: Path, server: TelegramServer) -> None:
        self.folder = folder
        self.config = write_config(folder, settings(server))
        self.dotenv = folder / ".env"
        self.dotenv.write_text(f"TELEGRAM_BOT_TOKEN={CANARY_TOKEN}\nTRADER__APP__PING_URL=http://127.0.0.1:9/{PING}\n")
        self.dotenv.chmod(0o600)
        self.token = folder / "token"
        self.listed: set[str] = set()
        self._count = 0

    def run(self, *words: str, crash: str = "", watch: bool = False, **environ: str) -> tuple[int, str]:
        """Run a command; return its exit code and what it said."""
        start = [sys.executable, "-m", "core"]
        if crash:
            self.token.write_text(CANARY_TOKEN)
            start = [sys.executable, "-c", CRASH, str(self.token), crash]
        self._count += 1
        said = self.folder / f"said-{self._count}.txt"
        options = {"cwd": ROOT, "env": {**os.environ, **environ}}
        with said.open("w") as stream:
            asked = [*start, words[0], "--config", str(self.config), *words[1:]]
            process = subprocess.Popen(asked, stdout=stream, stderr=stream, **options)  # type: ignore[call-overload]
            while watch and process.poll() is None:
                self._look(process.pid)
                time.sleep(0.02)
            code = process.wait(timeout=180)
        return code, said.read_text()

    def _look(self, pid: int) -> None:
        """Remember what a listing of processes, and of their environments, shows of a process and its children."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                stat = (folder / "stat").read_text()
                parent = int(stat.rpartition(")")[2].split()[1])
                if int(folder.name) == pid or parent == pid:
                    self.listed.add((folder / "cmdline").read_text() + (folder / "environ").read_text())
            except (OSError, ValueError, IndexError):
                continue  # it has ended

    def leaks(self) -> list[str]:
        """Return every file, but the ones the token was put into, that holds it in any spelling."""
        found = []
        for path in self.folder.rglob("*"):
            if path.is_file() and path not in (self.dotenv, self.token):
                raw = path.read_bytes()
                if path.suffix == ".zip":  # packed: what is inside counts
                    with zipfile.ZipFile(path) as archive:
                        raw += b"".join(archive.read(name) for name in archive.namelist())
                found += [f"{path.name}: {text}" for text in SPELLINGS if text.encode() in raw]
        return found


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine that has lived through everything there is."""
    with TelegramServer() as server:
        made = Engine(tmp_path_factory.mktemp("canary"), server)
        server.script.extend([BLOCKED, *[Answer(delivers=True)] * 3, RESET, broken(), portal(), flood(1)])
        code, said = made.run("run", "--debug", watch=True)
        assert code == 0, said
        assert "auto_train" in said, "a weekly job ran, in a process of its own"
        assert server.calls.count("sendMessage") > 3
        made.run("maintain", "--backup")
        made.run("backup")
        made.run("train-meta", "--debug")
        made.run("retro-scan", "--jobs", "2", watch=True)
        made.run("analyze-results", "--out", str(made.folder / "equity.csv"))
        made.sent = [message.text for message in server.messages]  # type: ignore[attr-defined]
    return made


def test_there_is_something_to_leak_into(engine: Engine) -> None:
    names = {path.relative_to(engine.folder).as_posix() for path in engine.folder.rglob("*") if path.is_file()}
    assert {"ohlcv.db", "ohlcv.db-wal", "logs/trader.log", "equity.csv", "said-1.txt"} <= names
    assert any(name.startswith("backups/") and name.endswith(".zip") for name in names), names
    assert CANARY_TOKEN in engine.dotenv.read_text()
    engine_log = (engine.folder / "logs" / "trader.log").read_text()
    assert "started" in engine_log


def test_no_artefact_of_a_life_with_faults_holds_the_token_in_any_spelling(engine: Engine) -> None:
    assert engine.leaks() == []


def test_no_message_holds_it(engine: Engine) -> None:
    assert engine.sent  # type: ignore[attr-defined]
    assert not [text for text in engine.sent if "CANARY" in text]  # type: ignore[attr-defined]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are listed from /proc")
def test_no_listing_of_processes_shows_it_nor_do_environments(engine: Engine) -> None:
    assert any("multiprocessing" in line for line in engine.listed), "children were seen"
    assert not [line for line in engine.listed if "CANARY" in line or PING in line]


@pytest.mark.parametrize(("crash", "debug"), [("start", True), ("start", False), ("thread", False), ("stage", True)])
def test_a_crash_is_shown_without_it(crash: str, debug: bool, tmp_path: Path) -> None:
    with TelegramServer() as server:
        made = Engine(tmp_path, server)
        _, said = made.run("run", "--once", *(["--debug"] if debug else []), crash=crash)
        assert "[redacted]" in said, said
        assert "RuntimeError" in said
        assert made.leaks() == []
        assert not [message.text for message in server.messages if "CANARY" in message.text]


ANSWERS = """
import os, sys
from pathlib import Path
from core.cli import main

dotenv, token = Path(sys.argv[1]), Path(sys.argv[2]).read_text()
for line in sys.stdin.read().splitlines():
    setting, _, words = line.partition(" || ")
    os.environ.pop("TELEGRAM_BOT_TOKEN", None)
    if setting == "ENVIRONMENT":
        os.environ["TELEGRAM_BOT_TOKEN"] = token
    dotenv.write_text(f"{setting.replace('TOKEN_HERE', token)}\\nTELEGRAM_BOT_TOKEN={token}\\n")
    dotenv.chmod(0o600)
    try:
        code = main(words.split())
    except BaseException:
        code = "raised"
        sys.excepthook(*sys.exc_info())
    print("asked:", words, code, flush=True)
"""
QUESTIONS = (
    *("config show", "config check", "config check --debug", "health", "health --json"),
    *("doctor --offline", "doctor --offline --json", "run --profile none", "run --profile none --debug"),
)
MISPLACED = (
    *("TRADER__NOTIFY__TELEGRAM__CHAT_ID=TOKEN_HERE", "TRADER__RISK__MODE=TOKEN_HERE", "TRADER__RISK__TOKEN_HERE=1"),
    *("TRADER__NOTIFY__TELEGRAM__BOT_TOKEN=[TOKEN_HERE]", "TRADER__APP__DB_PATH=/TOKEN_HERE/x.db"),
    *("TRADER__NOTIFY__TELEGRAM__BASE_URL=https://host/botTOKEN_HERE?x", "TRADER__SYMBOLS=['TOKEN_HERE"),
    *("TOKEN_HERE", "TOKEN_HERE x=1", "TRADER__APP__PING_URL=TOKEN_HERE"),
)


def answers(folder: Path, asked: list[tuple[str, str]]) -> str:
    """Ask several things in one process; return what was said."""
    with TelegramServer() as server:
        made = Engine(folder, server)
    made.token.write_text(CANARY_TOKEN)
    lines = []
    for setting, words in asked:
        first, *rest = words.split()
        lines.append(f"{setting} || {' '.join([first, '--config', str(made.config), *rest])}")
    said = folder / "said.txt"
    with said.open("w") as stream:
        subprocess.run(
            [sys.executable, "-c", ANSWERS, str(made.dotenv), str(made.token)],
            input="\n".join(lines),
            cwd=ROOT,
            stdout=stream,
            stderr=stream,
            text=True,
            timeout=180,
            check=True,
        )
    assert made.leaks() == []
    return said.read_text()


@pytest.mark.parametrize("place", ["ENVIRONMENT", "DOTENV=1"])
def test_no_answer_about_the_engine_shows_it(place: str, tmp_path: Path) -> None:
    said = answers(tmp_path, [(place, words) for words in QUESTIONS])
    assert said.count("asked: ") == len(QUESTIONS)


@pytest.mark.parametrize(
    ("words", "told"),
    [("config check", "error: "), ("config check --debug", "ConfigError"), ("health", "WRONG  configuration: ")],
)
def test_a_token_in_the_wrong_place_is_not_shown_by_the_complaint(words: str, told: str, tmp_path: Path) -> None:
    said = answers(tmp_path, [(line, words) for line in MISPLACED])
    assert said.count("asked: ") == len(MISPLACED)
    assert said.count(told) >= len(MISPLACED) - 2, said


def test_json_logs_hold_it_no_more_than_others(tmp_path: Path) -> None:
    with TelegramServer() as server:
        made = Engine(tmp_path, server)
        _, said = made.run("run", "--once", crash="stage", TRADER__APP__LOG_JSON="true")
        assert made.leaks() == []
        logged = [json.loads(line) for line in (tmp_path / "logs" / "trader.log").read_text().splitlines()]
        assert any("[redacted]" in json.dumps(line) for line in logged), said
