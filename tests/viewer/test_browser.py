"""The viewer in a real browser: every page opens, in both themes and on a phone, and what a hand can do is answered."""

from __future__ import annotations

import csv
import io
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.clock import timeframe_ms
from core.schema import Candles
from core.store.reader import Reader
from core.store.writer import Writer
from tests.explained import write_world
from tests.factories import Story, write_database
from tests.viewer.windows import (
    CHROMIUM,
    FLAGS,
    MARK,
    PAGES,
    PHONE,
    VIEW,
    background,
    click_through,
    keep,
    open_tab,
    serving,
    settled,
    visit,
)

pytestmark = pytest.mark.browser


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


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    story = Story(days=30, symbols=("BTC/USDT:USDT", "ETH/USDT:USDT"), every=15)
    return write_database(tmp_path_factory.mktemp("record") / "ohlcv.db", story)


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("viewer"), TRADER_DB=str(database)) as address:
        yield address


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The viewer on a world with a model in force."""
    folder = tmp_path_factory.mktemp("judged")
    with serving(folder, TRADER_CONFIG=str(write_world(folder).config)) as address:
        yield address


@pytest.fixture
def tab(browser):
    """Return a function that opens a fresh tab; its console must stay free of errors, and it reaches this machine
    alone."""
    opened, errors, elsewhere = [], [], []

    def fresh(scheme: str = "dark", size: dict[str, int] | None = None):
        opened.append(open_tab(browser, errors, elsewhere, scheme, size))
        return opened[-1]

    yield fresh
    for page in opened:
        page.close()
    assert errors == []
    assert elsewhere == []


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_every_page_opens_from_the_sidebar(tab, viewer: str, scheme: str) -> None:
    page = tab(scheme)
    visit(page, viewer, "health")
    for place, title in PAGES.items():
        click_through(page, place)
        assert page.get_by_text("SYNTHETIC MARKET").is_visible()
        keep(page, f"{place or 'overview'}-{scheme}")
        assert page.get_by_role("alert").filter(has_text="error").count() == 0, title
    assert sum(background(page)) < 150 if scheme == "dark" else sum(background(page)) > 600


def test_the_page_that_opens_first_answers_at_its_name_too_and_is_listed_once(tab, viewer: str) -> None:
    page = tab()
    page.goto(f"{viewer}/overview")
    settled(page, PAGES[""])
    assert page.get_by_test_id("stSidebarNav").get_by_role("link").count() == len(PAGES)


def test_no_page_is_wider_than_a_phone(tab, viewer: str) -> None:
    page = tab(size=PHONE)
    for place, title in PAGES.items():
        visit(page, viewer, place)
        wide = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
        assert wide <= PHONE["width"], title
        assert page.get_by_text("SYNTHETIC MARKET").is_visible()
        keep(page, f"{place or 'overview'}-phone", width=PHONE["width"])


def test_a_model_in_force_fills_its_page_in_both_themes_and_on_a_phone(tab, judged: str) -> None:
    for scheme, size in (("dark", None), ("light", None), ("phone", PHONE)):
        page = tab("light" if scheme == "light" else "dark", size)
        visit(page, judged, "model")
        assert page.get_by_role("heading", name="Registry").is_visible()
        assert page.get_by_role("heading", name="What it looks at").is_visible()
        keep(page, f"model-in-force-{scheme}", width=PHONE["width"] if scheme == "phone" else 1440)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= PHONE["width"]


def test_a_mark_on_the_chart_is_clicked_and_its_signal_told(tab, viewer: str) -> None:
    page = tab()
    visit(page, viewer, "signals", "?symbol=BTC/USDT:USDT&timeframe=1h")
    chart = page.get_by_test_id("stEChartsChart")
    place = page.wait_for_function(MARK, arg=[0xE6, 0xE9, 0xEF]).json_value()
    chart.click(position={"x": place[0], "y": place[1]})
    page.wait_for_url("**signal=*")
    settled(page, "Signals & Candles")
    number = page.url.split("signal=")[1].split("&")[0]
    assert page.get_by_role("heading", name=f"#{number} ").is_visible()
    assert page.get_by_text("Valid until").is_visible()
    keep(page, "signal-dark")


def test_a_row_of_the_table_is_chosen_and_its_address_opens_it_again(tab, viewer: str) -> None:
    page = tab()
    visit(page, viewer, "signals")
    table = page.get_by_test_id("stDataFrame").last
    table.scroll_into_view_if_needed()
    table.click(position={"x": 16, "y": 36 + 35 + 17})  # the box of the second row, below the heading
    page.wait_for_url("**signal=*")
    number = page.url.split("signal=")[1].split("&")[0]
    page.get_by_role("heading", name=f"#{number} ").wait_for()
    again = tab()
    visit(again, viewer, "signals", f"?signal={number}")
    assert again.get_by_role("heading", name=f"#{number} ").is_visible()


def test_lines_and_panes_come_and_go_with_a_click(tab, viewer: str) -> None:
    page = tab()
    visit(page, viewer, "signals")
    chart = page.get_by_test_id("stEChartsChart")
    plain = chart.bounding_box()["height"]
    for name in ("EMA", "Bollinger", "Fibonacci", "Volume profile", "RSI", "p(win)"):
        page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_function(
        "(plain) => document.querySelector('[data-testid=stEChartsChart]').clientHeight > plain + 150", arg=plain
    )
    settled(page, "Signals & Candles")
    assert chart.bounding_box()["height"] == pytest.approx(plain + 2 * 100)  # a pane and its gap, twice
    keep(page, "overlays-dark")
    for name in ("RSI", "p(win)"):
        page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_function(
        "(plain) => document.querySelector('[data-testid=stEChartsChart]').clientHeight === plain", arg=plain
    )


def test_zoom_is_kept_when_the_page_refreshes_itself(tab, viewer: str, database: Path) -> None:
    page = tab()
    page.clock.install()
    visit(page, viewer, "signals", "?symbol=BTC/USDT:USDT&timeframe=1h")
    whole = page.wait_for_function(VIEW).json_value()
    page.get_by_test_id("stEChartsChart").hover(position={"x": 500, "y": 200})
    page.wait_for_timeout(600)  # the wheel turns the page until the pointer has rested on the chart
    for _ in range(8):
        page.mouse.wheel(0, -300)
        page.wait_for_timeout(100)
    page.wait_for_timeout(300)
    zoomed = page.evaluate(VIEW)
    assert width(zoomed) < 0.7 * width(whole)
    before = page.get_by_text("candles up to").inner_text()
    append_an_hour(database)
    for _ in range(20):  # the page looks again twice a minute, and sees what was written after a few real seconds
        page.clock.fast_forward("00:31")
        page.wait_for_timeout(500)
        if page.get_by_text("candles up to").inner_text() != before:
            break
    assert page.get_by_text("candles up to").inner_text() != before
    settled(page, "Signals & Candles")
    newer = page.get_by_role("button", name="Show 1 newer candle")
    newer.wait_for()
    assert page.evaluate(VIEW) == pytest.approx(zoomed, abs=3)
    newer.click()
    newer.wait_for(state="detached")


def width(view: list[float]) -> float:
    return view[1] - view[0]


def append_an_hour(database: Path) -> None:
    """Close one more candle of an hour, as an engine would."""
    key = ("synthetic", "BTC/USDT:USDT")
    with Writer(database) as writer:
        last = Reader(database).last_candles(*key, "1h", 1)
        for timeframe in ("1m", "1h"):
            step = timeframe_ms(timeframe)
            at_ms = int(last.ts[0]) + timeframe_ms("1h")
            price = [float(last.close[0])]
            writer.put_candles(*key, timeframe, Candles.of([at_ms], price, price, price, price, [1.0]), at_ms + step)
            writer.set_frontier(*key, timeframe, at_ms + step)


def test_the_feed_is_filtered_and_taken_away(tab, viewer: str, tmp_path: Path) -> None:
    page = tab()
    visit(page, viewer, "feed")
    counted = page.get_by_text(re.compile(r"\d of [\d,]+ candidates"))
    shown, whole = (int(n.replace(",", "")) for n in re.findall(r"([\d,]+) of ([\d,]+) ", counted.inner_text())[0])
    assert shown == whole > 100
    page.get_by_role("textbox", name="Search").fill("ETH")
    page.get_by_role("textbox", name="Search").press("Enter")
    page.wait_for_function(
        "(all) => !document.querySelector('[data-testid=stMain]').innerText.includes(`${all} of ${all} candidates`)",
        arg=f"{whole:,}",
    )
    settled(page, "Signals feed")
    rows = list(csv.DictReader(io.StringIO(saved(page, "CSV", tmp_path).decode())))
    assert {row["symbol"] for row in rows} == {"ETH/USDT:USDT"}
    assert f"{len(rows):,} of {whole:,} candidates" in counted.inner_text()
    with zipfile.ZipFile(io.BytesIO(saved(page, "XLSX", tmp_path))) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert sheet.count("<row ") == len(rows) + 1


def saved(page, kind: str, folder: Path) -> bytes:
    with page.expect_download() as download:
        page.get_by_role("button", name=kind, exact=True).first.click()
    path = folder / download.value.suggested_filename
    assert path.suffix == f".{kind.lower()}"
    download.value.save_as(path)
    return path.read_bytes()


def test_a_chart_is_saved_as_a_picture(tab, viewer: str, tmp_path: Path) -> None:
    page = tab()
    visit(page, viewer, "signals")
    page.get_by_test_id("stEChartsChart").hover()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as PNG: Candles of").click()
    download.value.save_as(tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_the_replay_plays_and_pauses(tab, viewer: str) -> None:
    page = tab()
    visit(page, viewer, "replay")
    now = page.get_by_test_id("stProgress")
    start = now.inner_text()
    page.get_by_test_id("stMain").get_by_text("Play", exact=True).click()
    page.get_by_test_id("stMain").get_by_text("Pause", exact=True).wait_for()
    page.wait_for_function(
        "(start) => document.querySelector('[data-testid=stProgress]').innerText !== start", arg=start
    )
    page.get_by_test_id("stMain").get_by_text("Pause", exact=True).click()
    page.get_by_test_id("stMain").get_by_text("Play", exact=True).wait_for()
    settled(page, "Replay")
    paused = now.inner_text()
    page.wait_for_timeout(1_500)
    assert now.inner_text() == paused != start
    keep(page, "replay-played-dark")
