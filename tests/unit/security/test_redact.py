"""Each way a secret may be written is recognised, and each way out of the process is guarded."""

from __future__ import annotations

import json
import subprocess
import sys
from urllib.parse import quote, quote_plus

import pytest

from core.redact import HIDDEN, redact
from tests.engine import ROOT

SECRET = 'a&b c/"d+e%é'
TOKEN = "123456:AAcanary_TOKEN-that-nobody-may"


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        quote(SECRET, ""),
        quote(SECRET),
        quote_plus(SECRET),
        quote(SECRET, "").replace("%2F", "%2f").replace("%2B", "%2b").replace("%C3%A9", "%c3%a9"),
        json.dumps(SECRET)[1:-1],
        SECRET.replace("&", "&amp;"),
    ],
)
def test_a_secret_is_cut_out_however_it_is_written(written: str) -> None:
    assert redact(f"before {written} after", [SECRET]) == f"before {HIDDEN} after"


def test_the_half_of_a_token_behind_its_colon_is_as_secret_as_the_whole() -> None:
    assert redact(f"x {TOKEN.partition(':')[2]} y", [TOKEN]) == f"x {HIDDEN} y"
    assert redact("a:b stays", ["a:b"]) == "a:b stays"
    assert redact("the port of host:8080", ["https://host:8080"]) == "the port of host:8080"


CHILD = """
import gc, logging, sys, threading, warnings
from core.redact import install_redaction, without_secrets
token = sys.stdin.read()
for _ in range(3):
    install_redaction([token])
class Broken:
    def __del__(self):
        raise RuntimeError("in a finalizer " + token)
Broken(); gc.collect()
warnings.warn("a warning " + token)
logging.getLogger("x").error("a line %s", token)
print(without_secrets("past any log " + token))
thread = threading.Thread(target=lambda: (_ for _ in ()).throw(ValueError("in a thread " + token)))
thread.start(); thread.join()
raise KeyError(token)
"""


def test_finalizers_warnings_lines_threads_and_the_end_are_guarded() -> None:
    asked = [sys.executable, "-c", CHILD]
    ran = subprocess.run(asked, input=TOKEN, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 1
    said = ran.stdout + ran.stderr
    assert TOKEN not in said
    assert TOKEN.partition(":")[2] not in said
    for words in ("in a finalizer", "a warning", "a line", "past any log", "in a thread"):
        assert f"{words} {HIDDEN}" in said, words
    assert "KeyError" in said
    assert ran.stderr.count("a line") == 1
