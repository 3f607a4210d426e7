"""A browser in front of the viewer, for tests: the server, what pages must keep to, where things are on a chart."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from benchmarks._viewer_browser import CHROMIUM, FIRST, FLAGS
from benchmarks._viewer_browser import PAGES as NAMED

__all__ = [
    "CHROMIUM", "FLAGS", "MARK", "PAGES", "PHONE", "VIEW", "background", "click_through", "keep", "open_tab", "serving",
    "settled", "visit",
]  # fmt: skip

REPOSITORY = Path(__file__).parents[2]
STARTED_WITHIN_S = 60
WITHIN_MS = 30_000
PHONE = {"width": 390, "height": 844}

PAGES = {"" if page == FIRST else page: title for page, title in NAMED.items()}
"""Title of each page by its address."""

# The middle of the first mark in the part of the chart that holds prices: nothing else there has its border's colour.
MARK = """
(colour) => {
  const canvas = document.querySelector('[data-testid=stEChartsChart] canvas');
  if (!canvas) return null;
  const scale = canvas.width / canvas.getBoundingClientRect().width;
  const [left, top, right, bottom] = [16, 44, canvas.width / scale - 80, 400].map((at) => Math.round(at * scale));
  const data = canvas.getContext('2d').getImageData(left, top, right - left, bottom - top).data;
  const found = [];
  for (let at = 0; at < data.length; at += 4)
    if (colour.every((part, place) => Math.abs(data[at + place] - part) < 12))
      found.push([at / 4 % (right - left), Math.floor(at / 4 / (right - left))]);
  const mine = found.filter(([x, y]) => Math.abs(x - found[0][0]) < 12 * scale && y - found[0][1] < 12 * scale);
  const mean = (part) => mine.reduce((sum, one) => sum + one[part], 0) / mine.length;
  return mine.length ? [(left + mean(0)) / scale, (top + mean(1)) / scale] : null;
}
"""
# Where the view begins and ends: the bar above the chart's slider, pixels.
VIEW = """
() => {
  const canvas = document.querySelector('[data-testid=stEChartsChart] canvas');
  if (!canvas) return null;
  const scale = canvas.width / canvas.getBoundingClientRect().width;
  const row = canvas.getContext('2d').getImageData(0, canvas.height - Math.round(28 * scale), canvas.width, 1).data;
  const filled = [...Array(canvas.width).keys()].filter((at) => row[4 * at + 3] > 60);
  return filled.length ? [filled[0] / scale, filled.at(-1) / scale] : null;
}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + STARTED_WITHIN_S
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                assert answer.status == 200
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.1)
    pytest.fail(f"the viewer did not start within {STARTED_WITHIN_S} s: {log.read_text()}")


@contextmanager
def serving(folder: Path, **environment: str) -> Iterator[str]:
    """Open the viewer on what the environment names; yield its address."""
    log, port = folder / "log", free_port()
    command = [sys.executable, "-m", "streamlit", "run", "dashboard.py", "--server.port", str(port)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TRADER_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**clean, "HOME": str(folder), **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/_stcore/health", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=20)
    assert "Traceback" not in log.read_text()


def open_tab(browser, errors: list[str], elsewhere: list[str], scheme: str, size: dict[str, int] | None):
    """Open a tab that writes down errors of its console and requests that leave this machine."""
    page = browser.new_page(viewport=size or {"width": 1440, "height": 1000}, color_scheme=scheme)
    page.set_default_timeout(WITHIN_MS)
    page.on("console", lambda message: errors.append(message.text) if _is_error(message) else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: elsewhere.append(request.url) if _leaves(request.url) else None)
    return page


def _leaves(url: str) -> bool:
    return url.startswith(("http:", "https:", "ws:", "wss:")) and urlsplit(url).hostname != "127.0.0.1"


def _is_error(message) -> bool:
    # Opened at a page's own address, the browser first asks for the server's health below that address.
    path = urlsplit(message.location["url"]).path
    below = "/_stcore/" in path and not path.startswith("/_stcore/")
    return message.type == "error" and not below


def settled(page, title: str) -> None:
    """Wait until a page has drawn its last line and every chart on it."""
    page.get_by_role("heading", name=title, exact=True, level=1).wait_for()
    page.get_by_text("no financial advice").wait_for()
    page.wait_for_function(
        "!document.querySelector('[data-stale=true], [data-testid=stStatusWidget], [data-testid=stSkeleton]')"
        " && !document.querySelector('[aria-busy=true]')"
        " && [...document.querySelectorAll('[data-testid=stEChartsChart]')].every((one) => one.querySelector('canvas'))"
    )


def visit(page, viewer: str, place: str, query: str = "") -> None:
    page.goto(f"{viewer}/{place}{query}")
    settled(page, PAGES[place])


def click_through(page, place: str) -> None:
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=PAGES[place], exact=True).click()
    settled(page, PAGES[place])


def keep(page, name: str, width: int = 1440) -> None:
    """Save a picture where SCREENSHOTS names a folder."""
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        before = page.viewport_size
        height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
        page.set_viewport_size({"width": width, "height": min(4_000, height + 20)})
        page.wait_for_timeout(1_500)
        page.screenshot(path=str(Path(folder) / f"{name}.png"))
        page.set_viewport_size(before)


def background(page) -> list[int]:
    colour = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
    return [int(part) for part in re.findall(r"\d+", colour)[:3]]
