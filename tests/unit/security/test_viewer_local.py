"""The viewer listens on this machine alone, however it is started, and shows nothing where it does not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.dashboard._local import exposure
from tests.unit.security.sockets import listening

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))

needs_proc = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="listening sockets are read from /proc")


@contextmanager
def viewer(script: Path, cwd: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run the viewer as a user would; port 0 lets the system choose."""
    words = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", "0", *options]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("STREAMLIT_", "TRADER_"))}
    environ |= {"PYTHONPATH": str(ROOT), "HOME": str(cwd)}
    said = cwd / "viewer.txt"
    with said.open("w") as stream:
        process = subprocess.Popen(words, cwd=cwd, env=environ, stdout=stream, stderr=stream, text=True)
    try:
        until = time.monotonic() + 60
        while not listening(process.pid):
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < until, said.read_text()
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


@needs_proc
def test_started_from_another_folder_it_listens_on_loopback_alone_and_reports_to_nobody(tmp_path: Path) -> None:
    with viewer(ROOT / "dashboard.py", tmp_path) as process:
        found = listening(process.pid)
        assert {address for address, _ in found} == {"127.0.0.1"}
        assert len(found) == 1
        ((address, port),) = found
        with urllib.request.urlopen(f"http://{address}:{port}/_stcore/health", timeout=20) as answer:
            assert answer.status == 200
    assert "Collecting usage statistics" not in (tmp_path / "viewer.txt").read_text()


def test_the_settings_beside_the_script_are_local_quiet_and_guarded() -> None:
    assert SETTINGS["server"]["address"] == SETTINGS["browser"]["serverAddress"] == "127.0.0.1"
    assert SETTINGS["server"]["enableXsrfProtection"] is True
    assert SETTINGS["server"]["enableCORS"] is True
    assert SETTINGS["server"]["enableStaticServing"] is False
    assert SETTINGS["browser"]["gatherUsageStats"] is False
    assert SETTINGS["client"]["showErrorDetails"] == "none"


def test_make_dashboard_changes_none_of_them() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (line,) = re.findall(r"^\t.*streamlit run dashboard\.py.*$", makefile, re.MULTILINE)
    assert set(re.findall(r"--[\w.]+", line)) == {"--server.port"}


@pytest.mark.parametrize(
    ("address", "set_in", "is_shown"),
    [
        ("127.0.0.1", "/srv/.streamlit/config.toml", True),
        ("127.0.0.1", "<default>", True),
        ("localhost", "<default>", True),
        ("::1", "<default>", True),
        ("0.0.0.0", "command-line argument or environment variable", True),
        ("192.168.1.5", "/home/me/.streamlit/config.toml", True),
        (None, "<default>", False),
        ("", "<default>", False),
        ("0.0.0.0", "<default>", False),
    ],
)
def test_an_address_beyond_this_machine_must_have_been_asked_for(
    address: str | None, set_in: str, is_shown: bool
) -> None:
    assert (exposure(address, set_in) == "") is is_shown


def test_a_copy_without_its_settings_shows_nothing_but_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "dashboard.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRADER_DB", str(tmp_path / "ohlcv.db"))
    from streamlit import config

    monkeypatch.setattr(config, "get_where_defined", lambda _key: "<default>")
    monkeypatch.setattr(
        "streamlit.get_option", lambda name: None if name == "server.address" else config.get_option(name)
    )
    at = AppTest.from_file(str(tmp_path / "dashboard.py"), default_timeout=30).run()
    assert not at.exception
    (error,) = at.error
    assert "listens on every address" in error.value
    assert not at.title
