"""The viewer's server and a browser in front of it, with the marks that time what is seen.

The law: times are the browser's own, taken in the page when the frame that shows something has been asked for; the
server is `streamlit run`, as a person starts it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks._measure import ROOT

__all__ = ["CHROMIUM", "FLAGS", "PAGES", "Window", "opened_browser", "serving"]

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]

FIRST = "overview"
PAGES: Mapping[str, str] = {
    FIRST: "Overview",
    "signals": "Signals & Candles",
    "feed": "Signals feed",
    "results": "Results",
    "model": "Model",
    "replay": "Replay",
    "health": "Health",
}
"""Title of each page by its address."""

_STARTED_WITHIN_S = 120.0
_SEEN_WITHIN_MS = 120_000.0

# Says when a page first shows its heading with a figure of its own: not one left over from the page before.
_WATCH = """
(() => {
  const figure = '[data-testid=stMetricValue], [data-testid=stDataFrame], [data-testid=stEChartsChart] canvas';
  const shown = (node) => {
    if (node.closest('[data-stale=true]')) return false;
    const box = node.getBoundingClientRect();
    return box.width > 20 && box.height > 10 && box.top < window.innerHeight;
  };
  const drawn = (canvas) => {
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    let filled = 0;
    for (let at = 3; at < data.length; at += 4 * 97) filled += data[at] > 0;
    return filled > 200;
  };
  window.viewer = {
    long: [],
    titled: (title) => [...document.querySelectorAll('h1')].some((head) => head.textContent.trim() === title),
    seen: (title) => viewer.titled(title) && [...document.querySelectorAll(figure)].some(shown),
    charted: (key) => {
      const canvas = document.querySelector(`[class*="${key}"] [data-testid=stEChartsChart] canvas`)
        ?? document.querySelector(`[data-testid=stEChartsChart] canvas`);
      return canvas !== null && shown(canvas) && drawn(canvas);
    },
    when: (test, from) => new Promise((done) => {
      const look = () => test() ? requestAnimationFrame(() => done(performance.now() - from))
        : requestAnimationFrame(look);
      look();
    }),
  };
  new PerformanceObserver((list) => viewer.long.push(...list.getEntries().map((one) => one.duration)))
    .observe({type: 'longtask', buffered: true});
})();
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(config: Path, folder: Path) -> Iterator[str]:
    """Run the viewer on a configuration's database; yield its address once it answers.

    Raises
    ------
    RuntimeError
        It ended, or did not answer in time; its last lines are in the message.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, log = _free_port(), folder / "viewer.log"
    environment = {**os.environ, "TRADER_CONFIG": str(config), "HOME": str(folder)}
    for name in ("TRADER_DB", "TRADER_PROFILE"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "streamlit", "run", "dashboard.py", "--server.port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait(f"http://127.0.0.1:{port}/_stcore/health", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _STARTED_WITHIN_S
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.1)
    raise RuntimeError(f"the viewer did not start:\n{log.read_text(encoding='utf-8')[-2_000:]}")


@contextmanager
def opened_browser() -> Iterator[Any]:
    """Open Chromium; yield the browser.

    Raises
    ------
    FileNotFoundError
        There is none at `CHROMIUM`.
    """
    if not CHROMIUM.exists():
        raise FileNotFoundError(f"no browser at {CHROMIUM}; CHROMIUM names another one")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Window:
    """A tab in front of the viewer, with its own empty cache.

    Parameters
    ----------
    browser : playwright.sync_api.Browser
    address : str
        Of the viewer.
    """

    def __init__(self, browser: Any, address: str) -> None:
        self._context = browser.new_context(viewport={"width": 1440, "height": 1000}, color_scheme="dark")
        self._context.set_default_timeout(_SEEN_WITHIN_MS)
        self._page = self._context.new_page()
        self._page.add_init_script(_WATCH)
        self._address = address

    def close(self) -> None:
        """Close it."""
        self._context.close()

    def open(self, place: str, query: str = "") -> float:
        """Go to a page by its address; return seconds from there to its heading with a first figure."""
        at = "" if place == FIRST else place  # the first page has no address of its own
        self._page.goto(f"{self._address}/{at}{query}", wait_until="commit")
        return self._seen(PAGES[place], "0")

    def again(self, place: str) -> float:
        """Open a page once more, the browser's cache now full."""
        return self.open(place)

    def switch(self, place: str) -> float:
        """Click a page in the sidebar; return seconds from the click to its heading with a first figure."""
        self._mark_click()
        self._page.get_by_test_id("stSidebarNav").get_by_role("link", name=PAGES[place], exact=True).click()
        return self._seen(PAGES[place], "viewer.clicked")

    def settle(self, seconds: float = 20.0) -> None:
        """Wait until the page has nothing more to do."""
        self._page.wait_for_function(
            "!document.querySelector('[data-testid=stStatusWidget]') && !document.querySelector('[data-stale=true]')",
            timeout=seconds * 1000,
        )
        self._page.wait_for_timeout(300)

    def choose(self, label: str, option: str) -> None:
        """Choose an option of a select box, the click on it marked."""
        self._page.get_by_role("combobox", name=label).click()
        self._mark_click()
        self._page.get_by_role("option", name=option, exact=True).click()

    def charted(self, key: str) -> float:
        """Return seconds from the marked click until a chart of that key is on its canvas."""
        return float(self._page.evaluate("(key) => viewer.when(() => viewer.charted(key), viewer.clicked)", key)) / 1000

    def wheel(self, key: str, steps: int) -> tuple[list[float], list[float]]:
        """Turn the wheel over a chart; return milliseconds to the next frame by step, and of the long tasks."""
        canvas = self._page.locator("[data-testid=stEChartsChart] canvas").first
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        self._page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.3)
        self._page.wait_for_timeout(500)
        self._page.evaluate(
            """() => {
              viewer.long.length = 0;
              viewer.frames = [];
              window.addEventListener('wheel', () => {
                const from = performance.now();
                requestAnimationFrame(() => requestAnimationFrame(() => viewer.frames.push(performance.now() - from)));
              }, {capture: true, passive: true});
            }"""
        )
        for step in range(steps):
            self._page.mouse.wheel(0, -240 if step < steps - steps // 3 else 240)
            self._page.wait_for_function("(n) => viewer.frames.length > n", arg=step)
            self._page.wait_for_timeout(120)
        found = self._page.evaluate("({frames: viewer.frames, long: viewer.long})")
        return [float(ms) for ms in found["frames"]], [float(ms) for ms in found["long"]]

    def _mark_click(self) -> None:
        self._page.evaluate(
            "window.addEventListener('click', () => viewer.clicked = performance.now(), {capture: true, once: true})"
        )

    def _seen(self, title: str, since: str) -> float:
        asked = f"(title) => viewer.when(() => viewer.seen(title), {since})"
        return float(self._page.evaluate(asked, title)) / 1000
