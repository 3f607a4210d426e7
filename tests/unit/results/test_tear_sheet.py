"""The tear sheet: one sound page that needs nothing but itself, and says what it rests on."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from core.clock import parse_time
from core.config import load_config
from core.errors import DiskError, InputFileError, TraderError, UsageError
from core.jobs.report import ReportRequest, report_page, write_report
from core.results.equity import account_curve
from core.results.metrics import DISCLAIMER, NOT_ENOUGH, SYNTHETIC, metrics
from core.results.rows import result_rows, taken_rows
from core.results.statistics import summarize
from core.store.reader import Reader
from core.store.writer import Writer
from tests.engine import trader, write_config
from tests.factories import Story, write_database

REPOSITORY = Path(__file__).parents[3]
CONFIG = load_config(REPOSITORY / "config.yaml", {})
VOID = {"meta", "line", "circle", "polyline", "polygon", "br"}


class Nesting(HTMLParser):
    """Says of a page which elements it has, and that each is closed in its place."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    story = Story(days=100, symbols=("BTC/USDT:USDT", "ETH/USDT:USDT"), timeframes=("1h",), every=8)
    return write_database(tmp_path_factory.mktemp("sheet") / "ohlcv.db", story)


@pytest.fixture(scope="module")
def page(database: Path) -> str:
    return report_page(Reader(database), CONFIG, ReportRequest())[0]


def test_the_page_is_well_formed_and_needs_nothing_but_itself(page: str) -> None:
    parsed = Nesting(page)
    assert not parsed.seen & {"script", "link", "img", "iframe", "object", "form"}
    assert not {name for name in parsed.attributes if name.startswith("on") or name in ("src", "href", "style")}
    assert not re.search(r"https?:|url\(|@import", page)
    assert "svg" in parsed.seen
    assert "prefers-color-scheme: dark" in page


def test_the_figures_are_those_of_the_viewer_and_the_command_line(page: str, database: Path) -> None:
    reader = Reader(database)
    rows = result_rows(reader.trades(), reader.signals())
    words = set(Nesting(page).words)
    for part in (rows, taken_rows(rows)):
        for one in metrics(summarize(part)):
            assert one.value in words
            assert one.detail.removeprefix("95 %: ") in words
    assert f"{account_curve(rows, CONFIG.risk.capital_usd).end:,.2f} USD" in page


def test_label_warnings_and_disclaimer_are_there(page: str) -> None:
    words = " ".join(Nesting(page).words)
    for told in (SYNTHETIC, DISCLAIMER, "Model in force: none", "No tuning has looked for evidence yet", "Worst falls"):
        assert told in words


def test_a_real_market_is_not_called_synthetic(tmp_path: Path) -> None:
    path = write_database(tmp_path / "ohlcv.db", Story(days=3, synthetic=False, exchange="bitget"))
    text, _ = report_page(Reader(path), CONFIG, ReportRequest())
    assert SYNTHETIC not in text


def test_few_trades_show_no_rate_and_no_band(tmp_path: Path) -> None:
    path = write_database(tmp_path / "ohlcv.db", Story(days=3, timeframes=("15m",), limit=2))
    text, n = report_page(Reader(path), CONFIG, ReportRequest())
    assert n <= 2
    Nesting(text)
    assert NOT_ENOUGH in text
    assert "30 closed trades in 12 weeks are needed" in text


def test_names_from_data_mean_nothing_to_a_browser(tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>/USDT:USDT'
    path = write_database(tmp_path / "ohlcv.db", Story(days=40, symbols=(evil,), timeframes=("1h",), every=8))
    text, _ = report_page(Reader(path), CONFIG, ReportRequest())
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    Nesting(text)


def test_the_choice_narrows_what_is_counted_and_is_told(database: Path) -> None:
    reader = Reader(database)
    everything = report_page(reader, CONFIG, ReportRequest())[1]
    text, n = report_page(reader, CONFIG, ReportRequest(symbols=["ETH/USDT:USDT"], start_ms=1_706_745_600_000))
    assert 0 < n < everything / 2
    assert "Only symbols ETH/USDT:USDT; decided from 2024-02-01 00:00 UTC." in text
    assert "Holding ETH/USDT:USDT" in text


def test_what_is_not_on_record_is_refused_with_the_nearest(database: Path) -> None:
    reader = Reader(database)
    with pytest.raises(UsageError, match="did you mean 'ETH/USDT:USDT'"):
        report_page(reader, CONFIG, ReportRequest(symbols=["ETH/USDT"]))
    with pytest.raises(UsageError, match="exit policy 'x' is not on record"):
        report_page(reader, CONFIG, ReportRequest(exit_policy="x"))


def test_without_signals_or_trades_the_command_that_makes_them_is_named(tmp_path: Path) -> None:
    Writer(tmp_path / "empty.db").close()
    unplayed = write_database(tmp_path / "unplayed.db", Story(days=2, trades=False))
    for path in (tmp_path / "empty.db", unplayed):
        with pytest.raises(TraderError, match="retro_scan") as refusal:
            report_page(Reader(path), CONFIG, ReportRequest())
        assert refusal.value.exit_code == 1


def test_a_choice_without_a_trade_says_so_and_advises_no_scan(database: Path) -> None:
    words = "no finished trade in this choice; those on record were decided from 20"
    for choice in (ReportRequest(end_ms=1), ReportRequest(start_ms=parse_time("2029-01-01"))):
        with pytest.raises(TraderError, match=words) as refusal:
            report_page(Reader(database), CONFIG, choice)
        assert refusal.value.exit_code == 1 and "retro_scan" not in str(refusal.value)


def test_a_file_that_is_there_stays_unless_asked_otherwise(database: Path, tmp_path: Path) -> None:
    path = tmp_path / "out" / "report.html"
    told = write_report(Reader(database), CONFIG, ReportRequest(), path)
    assert told.startswith(f"Report: {path} (")
    before = path.read_text(encoding="utf-8")
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(InputFileError, match="exists already; expected a new name, or --force"):
        write_report(Reader(database), CONFIG, ReportRequest(), path)
    assert path.read_text(encoding="utf-8") == "mine"
    write_report(Reader(database), CONFIG, ReportRequest(), path, force=True)
    assert path.read_text(encoding="utf-8") == before
    assert [one.name for one in path.parent.iterdir()] == ["report.html"]


def test_the_command_writes_the_page_and_refuses_with_a_stable_code(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, {})
    (tmp_path / "ohlcv.db").write_bytes(database.read_bytes())
    target = tmp_path / "sheet.html"
    assert trader(config, "report", "--html", str(target)) == 0
    assert "Report: " in capsys.readouterr().out
    assert "<!DOCTYPE html>" in target.read_text(encoding="utf-8")
    assert trader(config, "report", "--html", str(target)) == InputFileError.exit_code
    assert capsys.readouterr().err.count("\n") == 1
    assert trader(config, "report", "--html", str(target), "--force", "--timeframes", "1h") == 0
    capsys.readouterr()
    for force in ((), ("--force",)):
        assert trader(config, "report", "--html", str(tmp_path), *force) == DiskError.exit_code
        assert "is a folder; name a file in it" in capsys.readouterr().err


def test_every_number_of_months_adds_up_to_the_sum_of_r(page: str, database: Path) -> None:
    reader = Reader(database)
    rows = result_rows(reader.trades(), reader.signals())
    totals = [float(one) for one in re.findall(r"<strong>([+-][\d.]+)</strong></td></tr>", page)]
    done: pd.DataFrame = rows[rows["status"] == "CLOSED"]
    assert sum(totals) == pytest.approx(done["r_multiple"].sum(), abs=0.05 * len(totals) + 1e-9)
