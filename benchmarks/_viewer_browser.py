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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._measure import ROOT

__all__ = ["CHROMIUM", "FIRST", "FLAGS", "PAGES", "Wheel", "Window", "opened_browser", "serving"]

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

_BETWEEN_MS = 150  # between two turns of the wheel
_STARTED_WITHIN_S = 120.0
_SEEN_WITHIN_MS = 120_000.0

# Says when a page first shows its heading with a figure of its own (not one left over from the page before), when a
# chart was last painted after the data of a large one came, and which tasks kept the page from answering.
_WATCH = """
(() => {
  const figures = '[data-testid=stMetricValue], [data-testid=stDataFrame], [data-testid=stEChartsChart] canvas';
  const shown = (node) => {
    const box = node.getBoundingClientRect();
    return !node.closest('[data-stale=true]') && box.width > 20 && box.height > 10 && box.top < window.innerHeight;
  };
  const busy = () => document.querySelector('[data-stale=true], [data-testid=stStatusWidget]') !== null;
  window.viewer = {
    long: [], frames: [], clicked: 0, painted: 0, received: 0,
    titled: (title) => [...document.querySelectorAll('h1')].some((head) => head.textContent.trim() === title),
    seen: (title, from) => new Promise((done) => {
      const look = () => viewer.titled(title) && [...document.querySelectorAll(figures)].some(shown)
        ? requestAnimationFrame(() => done(performance.now() - from)) : requestAnimationFrame(look);
      look();
    }),
    drawn: (from) => new Promise((done) => {
      const look = () => viewer.received > from && viewer.painted > viewer.received && !busy()
        && performance.now() - viewer.painted > 700 ? done(viewer.painted - from) : setTimeout(look, 50);
      look();
    }),
  };
  new PerformanceObserver((list) => viewer.long.push(...list.getEntries().map((one) => one.duration)))
    .observe({type: 'longtask', buffered: true});
  for (const name of ['stroke', 'fill', 'fillRect', 'drawImage']) {
    const plain = CanvasRenderingContext2D.prototype[name];
    CanvasRenderingContext2D.prototype[name] = function (...given) {
      if (this.canvas.closest?.('[data-testid=stEChartsChart]')) viewer.painted = performance.now();
      return plain.apply(this, given);
    };
  }
  window.WebSocket = class extends WebSocket {
    constructor(...given) {
      super(...given);
      this.addEventListener('message', (message) => {
        const size = message.data.byteLength ?? message.data.size ?? message.data.length;
        if (size > LARGE) viewer.received = performance.now();
      });
    }
  };
})();
""".replace("LARGE", "1_000_000")


_ON_WHEEL = """
(() => {
  viewer.long.length = 0;
  window.addEventListener('wheel', () => {
    const from = performance.now();
    requestAnimationFrame(() => requestAnimationFrame(() => viewer.frames.push(performance.now() - from)));
  }, {capture: true, passive: true});
})()
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(config: Path, folder: Path, script: Path = ROOT / "dashboard.py") -> Iterator[str]:
    """Run the viewer on a configuration's database, or another script; yield its address once it answers.

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
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port)]
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


@dataclass(frozen=True, slots=True)
class Wheel:
    """How a chart followed the wheel.

    Parameters
    ----------
    frame_ms : list of float
        By step, until the frame after it was drawn.
    long_ms : list of float
        Tasks that kept the page from answering for more than 50 ms.
    busy_ms : list of float
        By step, what the page's main thread computed: processor time, whatever else the machine did.
    """

    frame_ms: list[float]
    long_ms: list[float]
    busy_ms: list[float]


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
        self._session = self._context.new_cdp_session(self._page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})
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

    def drawn(self) -> float:
        """Return seconds from the marked click until a large chart is painted and nothing more is."""
        return float(self._page.evaluate("viewer.drawn(viewer.clicked)")) / 1000

    def wheel(self, steps: int) -> Wheel:
        """Turn the wheel over the chart, two thirds of the steps in and the rest out again."""
        canvas = self._page.get_by_test_id("stEChartsChart").first
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        self._page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.3)
        self._page.wait_for_timeout(500)
        self._page.evaluate(_ON_WHEEL)
        busy_ms = []
        for step in range(steps):
            before = self._busy_ms()
            self._page.mouse.wheel(0, -240 if step < steps - steps // 3 else 240)
            self._page.wait_for_function("(n) => viewer.frames.length > n", arg=step)
            self._page.wait_for_timeout(_BETWEEN_MS)
            busy_ms.append(self._busy_ms() - before)
        found = self._page.evaluate("({frames: viewer.frames, long: viewer.long})")
        return Wheel([float(ms) for ms in found["frames"]], [float(ms) for ms in found["long"]], busy_ms)

    def _busy_ms(self) -> float:
        """Return what the page's main thread has computed so far, milliseconds of processor."""
        found = self._session.send("Performance.getMetrics")["metrics"]
        return 1000.0 * next(float(one["value"]) for one in found if one["name"] == "TaskDuration")

    def _mark_click(self) -> None:
        self._page.evaluate(
            "window.addEventListener('click', () => viewer.clicked = performance.now(), {capture: true, once: true})"
        )

    def _seen(self, title: str, since: str) -> float:
        return float(self._page.evaluate(f"(title) => viewer.seen(title, {since})", title)) / 1000
