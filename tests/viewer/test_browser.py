"""The viewer in a real browser: both pages open without an error in its console, and a signal can be chosen."""

from __future__ import annotations

import os
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

from tests.factories import Story, write_database

pytestmark = pytest.mark.browser

REPOSITORY = Path(__file__).parents[2]
CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
STARTED_WITHIN_S = 60


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    if not CHROMIUM.exists():
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(f"REQUIRE_BROWSER=1, and there is no browser at {CHROMIUM}")
        pytest.skip(f"no browser at {CHROMIUM}; CHROMIUM names another one")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield opened
        opened.close()


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
            time.sleep(0.2)
    pytest.fail(f"the viewer did not start within {STARTED_WITHIN_S} s: {log.read_text()}")


@contextmanager
def serving(folder: Path, story: Story) -> Iterator[str]:
    """Open the viewer on the database of a story; yield its address."""
    path, log, port = write_database(folder / "ohlcv.db", story), folder / "log", free_port()
    command = [sys.executable, "-m", "streamlit", "run", "dashboard.py", "--server.port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**os.environ, "TRADER_DB": str(path), "HOME": str(folder)},
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


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    story = Story(days=45, symbols=("BTC/USDT:USDT", "ETH/USDT:USDT"), every=20)
    with serving(tmp_path_factory.mktemp("viewer"), story) as address:
        yield address


@pytest.fixture(scope="module")
def ungated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("ungated"), Story(days=21, every=20, verdict="UNGATED")) as address:
        yield address


@pytest.fixture
def page(browser):
    """Return a fresh page whose console must stay free of errors, and which reaches this machine alone."""
    opened = browser.new_page(viewport={"width": 1440, "height": 1000}, color_scheme="dark")
    errors, elsewhere = [], []
    opened.on("console", lambda message: errors.append(message.text) if _is_error(message) else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("request", lambda request: elsewhere.append(request.url) if _leaves(request.url) else None)
    yield opened
    opened.close()
    assert errors == []
    assert elsewhere == []


def _leaves(url: str) -> bool:
    return url.startswith(("http:", "https:", "ws:", "wss:")) and urlsplit(url).hostname != "127.0.0.1"


def _is_error(message) -> bool:
    # Opened at a page's own address, the browser first asks for the server's health below that address.
    path = urlsplit(message.location["url"]).path
    below = "/_stcore/" in path and not path.startswith("/_stcore/")
    return message.type == "error" and not below


def settled(page) -> None:
    page.get_by_text("no financial advice").wait_for(timeout=30_000)
    page.get_by_test_id("stEChartsChart").first.wait_for(timeout=30_000)
    page.wait_for_timeout(1_500)  # charts fade in after their canvas is there


def keep(page, name: str, width: int = 1440) -> None:
    """Save a picture where SCREENSHOTS names a folder."""
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
        page.set_viewport_size({"width": width, "height": min(4_000, height + 20)})
        page.wait_for_timeout(1_000)
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def test_the_overview_opens_first_and_leads_to_a_signal(page, viewer: str) -> None:
    page.goto(viewer)
    page.get_by_role("heading", name="Newest signals").wait_for(timeout=30_000)
    page.get_by_text("no financial advice").wait_for(timeout=30_000)
    for label in ("Open positions", "Account", "Win rate", "Evidence"):
        assert page.get_by_text(label, exact=True).first.is_visible()
    keep(page, "overview")


def test_signals_and_candles_opens_with_its_chart(page, viewer: str) -> None:
    page.goto(f"{viewer}/signals")
    settled(page)
    assert page.get_by_role("heading", name="Signals & Candles").is_visible()
    assert page.get_by_text("SYNTHETIC MARKET").is_visible()
    assert page.get_by_test_id("stEChartsChart").count() == 1
    keep(page, "signals")


def test_results_opens_with_figures_and_curves(page, viewer: str) -> None:
    page.goto(f"{viewer}/signals")
    settled(page)
    page.get_by_role("link", name="Results").click()
    page.get_by_role("heading", name="Results").wait_for(timeout=30_000)
    page.get_by_text("All candidates", exact=True).first.wait_for(timeout=30_000)
    settled(page)
    assert page.get_by_test_id("stEChartsChart").count() == 2  # both balances: other parts are drawn when looked at
    assert page.get_by_text("Win rate", exact=True).count() >= 2
    assert page.get_by_role("button", name="Equity as CSV").is_visible()
    keep(page, "results")


def test_a_signal_chosen_from_the_list_is_drawn_and_told(page, viewer: str) -> None:
    page.goto(f"{viewer}/signals")
    settled(page)
    page.get_by_role("combobox").nth(3).click()
    page.get_by_role("option").nth(1).click()
    page.get_by_text("Minute by minute").or_(page.get_by_text("Not played yet")).first.wait_for(timeout=30_000)
    page.wait_for_url("**signal=*")
    settled(page)
    assert page.get_by_text("Valid until").is_visible()
    keep(page, "signal")


def test_a_row_chosen_in_the_table_is_drawn_and_told(page, viewer: str) -> None:
    page.goto(f"{viewer}/signals")
    settled(page)
    table = page.get_by_test_id("stDataFrame").last
    table.scroll_into_view_if_needed()
    table.click(position={"x": 16, "y": 36 + 35 + 17})  # the box of the second row, below the heading
    page.wait_for_url("**signal=*", timeout=30_000)
    page.get_by_text("Valid until").wait_for(timeout=30_000)
    number = page.url.split("signal=")[1].split("&")[0]
    assert page.get_by_role("heading", name=f"#{number} ").is_visible()


def test_the_address_of_a_chosen_signal_opens_it_again(page, viewer: str) -> None:
    page.goto(f"{viewer}/signals?signal=3")
    settled(page)
    assert page.get_by_role("heading", name="#3 ").is_visible()


def test_both_pages_fit_a_phone_and_keep_their_warnings(page, ungated: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for place, name in (("/signals", "Signals & Candles"), ("/results", "Results")):
        page.goto(f"{ungated}{place}")
        settled(page)
        assert page.get_by_role("heading", name=name).is_visible()
        assert page.get_by_text("SYNTHETIC MARKET").is_visible()
        assert page.get_by_text("UNGATED: no model is in force").is_visible()
        wide = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
        assert wide <= 390
        keep(page, f"phone-{name.split()[0].lower()}", width=390)


def test_the_csv_of_the_equity_can_be_saved(page, viewer: str, tmp_path: Path) -> None:
    page.goto(f"{viewer}/signals")
    settled(page)
    page.get_by_role("link", name="Results").click()
    button = page.get_by_role("button", name="Equity as CSV")
    button.wait_for(timeout=30_000)
    with page.expect_download() as download:
        button.click()
    download.value.save_as(tmp_path / "equity.csv")
    first = (tmp_path / "equity.csv").read_text().splitlines()[0]
    assert first.startswith("known_ms,known_utc,signal_id")
