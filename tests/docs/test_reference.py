"""What the code can say is on a page: reasons, events, verdicts, alerts, refusals, figures, plug-ins, keys."""

from __future__ import annotations

import importlib
import inspect
import itertools
import re
from typing import Any

import numpy as np
import pytest

from core.config import load_config
from core.config._reference import config_keys, schema_at
from core.config._sources import PREFIX, SECRET_VARIABLES
from core.execution.codes import ENDS, KINDS, SOURCES, STATUSES
from core.execution.costs import CostModel
from core.execution.rules import ExecutionRules
from core.gate import DISABLED, NO_MODEL, PASSED
from core.ingest.clean import clean
from core.jobs import alert
from core.jobs._announce import ANSWER, EVENT, NEW_SIGNAL, NOTE
from core.jobs._commands import COMMANDS
from core.pipeline import BELOW_MINIMUM
from core.plugins import build, parameters, shelf
from core.results.equity import account_curve
from core.results.intervals import MIN_CLOSED, MIN_WEEKS
from core.results.metrics import NOT_ENOUGH, Metric, account_metrics, metrics
from core.results.rows import result_rows
from core.results.statistics import summarize
from core.results.variants import PLAYED, VARIANTS, variants
from core.risk.limits import LIMITS
from core.store._schema import SCHEMA_1
from tests.docs.pages import DOCS, PAGES, ROOT, blocks_of, codes_in, first_codes, table_after, text_of
from tests.factories import START_MS, signal_rows, trade_rows

EXECUTION, RESULTS, ALERTS = (text_of(f"docs/{name}.md") for name in ("execution", "results", "alerts"))
MARKET, CONFIGURATION = text_of("docs/market.md"), text_of("docs/configuration.md")
WEEK_MS = 7 * 86_400_000


# -- execution


def test_every_reason_for_an_end_is_described_and_no_other() -> None:
    assert sorted(first_codes(table_after(EXECUTION, "## Reasons"))) == sorted(ENDS)


def test_every_kind_of_event_status_and_source_is_described() -> None:
    words = set(codes_in(EXECUTION)) | set(re.findall(r"[A-Z][A-Z0-9_]+", EXECUTION))
    assert {*KINDS, *STATUSES} - {""} <= words
    assert {*SOURCES} - {""} <= set(codes_in(EXECUTION))


def test_what_refuses_a_passed_candidate_is_described() -> None:
    told = first_codes(table_after(EXECUTION, "## Which candidates are taken"))
    assert told == [BELOW_MINIMUM, *LIMITS]


# -- results


def test_every_verdict_the_database_knows_is_described_with_its_reasons() -> None:
    known = re.search(r"verdict IN \(([^)]+)\)", SCHEMA_1)
    assert known
    assert sorted(first_codes(table_after(RESULTS, "## Verdicts"))) == sorted(re.findall(r"'(\w+)'", known[1]))
    assert {NO_MODEL, DISABLED} <= set(codes_in(RESULTS))
    assert all(verdict in ALERTS for verdict in PASSED)


def figures(n: int, weeks: int) -> dict[str, Metric]:
    """Return every figure over `n` trades, won and lost by turns, spread over some weeks."""
    signals = [{"decided_ms": START_MS + k % weeks * WEEK_MS + k // weeks * 60_000} for k in range(n)]
    results = itertools.cycle([{"gross_pct": 4.08, "pnl_pct": 4.0, "pnl_usd": 4.0, "r_multiple": 2.0}])
    losses = itertools.cycle([{"gross_pct": -1.92, "pnl_pct": -2.0, "pnl_usd": -2.0, "r_multiple": -1.0}])
    trades = [next(results) if (k + k // weeks) % 2 else next(losses) for k in range(n)]
    rows = result_rows(trade_rows(trades), signal_rows(signals))
    found = [*metrics(summarize(rows)), *account_metrics(account_curve(rows, 10_000.0))]
    return {metric.label: metric for metric in found}


def test_every_figure_is_described_in_the_order_it_is_shown_in() -> None:
    told = [row[0] for row in table_after(RESULTS, "<!-- metrics -->")]
    shown = list(figures(80, 8))
    assert sorted(told) == sorted(shown)


def test_figures_have_an_interval_where_the_page_says_so() -> None:
    shown = figures(80, 8)
    for label, _, interval, _ in table_after(RESULTS, "<!-- metrics -->"):
        assert shown[label].detail.startswith("95 %:") == interval.startswith(("clustered", "Wilson")), label


@pytest.mark.parametrize(("n", "weeks"), [(2, 2), (MIN_CLOSED - 1, 8), (80, 1)])
def test_figures_are_withheld_where_the_page_says_so(n: int, weeks: int) -> None:
    shown = figures(n, weeks)
    for label, _, _, withheld in table_after(RESULTS, "<!-- metrics -->"):
        assert (shown[label].value == NOT_ENOUGH) == withheld.startswith("below"), label


def test_the_least_numbers_on_the_page_are_those_of_the_code() -> None:
    assert f"from {MIN_CLOSED} trades and {MIN_WEEKS} weeks on" in RESULTS
    assert set(re.findall(r"below (\d+)", RESULTS)) == {str(MIN_CLOSED)}


def test_every_variant_of_a_stress_is_described_and_known() -> None:
    told = first_codes(table_after(text_of("docs/stress.md"), "## The assumptions"))
    kinds = {re.sub(r"-[\d.]+$", "", name) for name in told}
    assert {re.sub(r"-[\d.]+$", "", name) for name in VARIANTS} <= kinds
    costs = CostModel(maker_pct=0.02, taker_pct=0.06, slippage_pct=0.02)
    assert [variant.name for variant in variants(told, ExecutionRules(), costs)] == [PLAYED, *told]


# -- alerts


def test_every_kind_and_state_of_an_alert_is_described() -> None:
    assert set(first_codes(table_after(ALERTS, "## What is sent"))) == {NEW_SIGNAL, EVENT, NOTE, ANSWER}
    states = {alert.QUEUED, alert.SENT, alert.FAILED, alert.SKIPPED}
    assert set(first_codes(table_after(ALERTS, "## Duplicates and losses"))) == states


def test_the_sizes_of_digests_on_the_page_are_those_of_the_code() -> None:
    assert f"more than {alert.DIGEST_OVER} new signals" in ALERTS
    assert f"at most {alert.DIGEST_SIZE} signals" in ALERTS


def test_every_command_of_the_bot_is_described_with_its_arguments() -> None:
    told = {code for row in table_after(ALERTS, "## Talking to the bot") for code in codes_in(row[0])}
    assert told == {command.usage for command in COMMANDS.values()}


# -- market data


def test_every_reason_for_refusing_a_candle_is_described_and_given() -> None:
    step, now_ms = 60_000, 1_000_000 * 60_000
    good = [now_ms - 10 * step, 2.0, 3.0, 1.0, 2.0, 5.0]
    faults: dict[str, dict[int, float]] = {
        "time": {0: np.nan},
        "off_grid": {0: good[0] + 1},
        "future": {0: now_ms + step},
        "price": {1: -1.0},
        "high": {2: 1.5},
        "low": {3: 2.5},
        "volume": {5: -1.0},
    }
    rows = np.array([[change.get(k, value) for k, value in enumerate(good)] for change in faults.values()])
    for reason, row in zip(faults, rows, strict=True):
        _, rejected = clean(row.reshape(1, -1), step, now_ms)
        assert rejected["reason"].tolist() == [reason]
    assert first_codes(table_after(MARKET, "Some rows cannot be candles")) == list(faults)


# -- plug-ins


def plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def described(rows: list[list[str]], cls: type) -> None:
    """Hold a table of parameters against the class and the configuration."""
    defaults = {item.name: item.default for item in inspect.signature(cls).parameters.values()}
    assert first_codes(rows) == list(defaults)
    for row in rows:
        parameter = codes_in(row[0])[0]
        assert all(map(known_key, codes_in(row[1]))), row
        if row[2]:
            told, default = row[2], defaults[parameter]
            assert float(told) == default if re.match(r"[\d.]+$", told) else told == plain(default), row


@pytest.mark.parametrize("name", shelf("core.setups"))
def test_every_setup_has_a_page_with_its_parameters(name: str) -> None:
    page = DOCS / "setups" / f"{name}.md"
    assert page.exists()
    module = importlib.import_module(f"core.setups.{name}")
    text = page.read_text(encoding="utf-8")
    described(table_after(text, "## Parameters"), getattr(module, module.__all__[0]))
    assert "## Sources" in text


@pytest.mark.parametrize("name", shelf("core.exits"))
def test_every_exit_policy_has_a_section_with_its_parameters(name: str) -> None:
    module = importlib.import_module(f"core.exits.{name}")
    rows = table_after(text_of("docs/exits.md"), f"\n## `{name}`\n")
    described(rows, getattr(module, module.__all__[0]))
    assert build("core.exits", name, {}, "execution.exit_policy").name == name


# -- configuration


def known_key(key: str) -> bool:
    """Say whether a key exists; below `signals.setups` and `execution.exits` plug-ins name the keys."""
    for table, package in (("signals.setups.", "core.setups"), ("execution.exits.", "core.exits")):
        name, _, parameter = key.removeprefix(table).partition(".")
        if key.startswith(table) and name != "*":
            return name in shelf(package) and (not parameter or parameter in parameters(package, name))
    return schema_at(key.split(".")) is not None


def test_every_configuration_key_named_on_a_page_exists() -> None:
    sections = {key.name.split(".")[0] for key in config_keys()}
    unknown = []
    for page in PAGES:
        for code in codes_in(page.read_text(encoding="utf-8")):
            name = code.split(":")[0]
            section, _, rest = name.partition(".")
            is_key = section in sections and re.fullmatch(r"[a-z_0-9*.]+", rest) is not None and rest != "py"
            name = name.replace("signals.setups.*.", "signals.setups.fibo_avwap.")
            is_column = f"\n    {rest} " in SCHEMA_1 and section in ("signals", "trades")
            if is_key and not is_column and not known_key(name):
                unknown.append(f"{page.name}: {code}")
    assert unknown == []


def test_the_variables_of_the_example_environment_are_known() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assigned = re.findall(rf"^(?:# )?((?:{PREFIX}|TELEGRAM_)\w+)=(.*)$", example, re.MULTILINE)
    names = [name for name, _ in assigned]
    assert set(SECRET_VARIABLES) <= set(names)
    for name in names:
        path = SECRET_VARIABLES.get(name) or tuple(part.lower() for part in name[len(PREFIX) :].split("__"))
        assert schema_at(path) is not None, name
    written = dict(assigned) | {"TELEGRAM_BOT_TOKEN": f"123456789:{'A' * 35}", "TELEGRAM_CHAT_ID": "123456789"}
    config = load_config(ROOT / "config.yaml", written)
    assert config.notify.telegram.enabled
    assert config.notify.telegram.chat_id == "123456789"


# -- the tree


def test_every_part_of_the_engine_is_in_the_tree_of_the_architecture() -> None:
    (tree,) = (block for block in blocks_of(text_of("docs/architecture.md"), "") if block.startswith("scheduler_run"))
    parts = {path.name for path in (ROOT / "core").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    told = set(re.findall(r"[\w.]+", tree))
    assert {name for name in parts if not name.startswith("__")} <= told
