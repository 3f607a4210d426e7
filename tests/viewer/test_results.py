"""The parts of Results: only the one that is looked at is drawn, and what rests on few trades says so."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.dashboard._curves import curve_chart
from core.dashboard._gate_charts import chance_chart, cost_chart, coverage_chart
from core.dashboard._returns_charts import day_chart, hour_chart, month_chart
from core.dashboard._spread_charts import excursion_chart, fall_chart, fan_chart, held_chart, rolling_chart, size_chart
from core.dashboard._theme import DARK, LIGHT
from core.results import coverage, montecarlo, returns, rolling, spread
from core.results.costs_split import split_costs
from core.results.equity import equal_stake_curve
from core.results.holding import Held
from core.results.rows import result_rows
from tests.explained import write_world
from tests.factories import START_MS, Story, signal_rows, trade_rows, write_database
from tests.viewer.test_pages import said

REPOSITORY = Path(__file__).parents[2]
NOWHERE = pd.DataFrame({"signal_id": [], "entered": [], "left": []})
HEADINGS = {
    "Equity": ["Equity", "Worst falls"],
    "Calendar": ["Months", "Days", "Hours of the week"],
    "Distribution": ["Results", "Time held", "Excursions", "Lately", "The same weeks, drawn again"],
    "Breakdowns": ["How they ended", "Split by"],
    "Costs": ["From gross to net"],
    "Stress": ["Under other assumptions"],
    "Gate": ["What a threshold keeps", "Chances given"],
    "Trades": ["Trades"],
}


def app() -> None:
    from core.dashboard.results import page

    page()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    story = Story(days=100, timeframes=("1h",), every=8)
    return write_database(tmp_path_factory.mktemp("many") / "ohlcv.db", story)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_database(tmp_path_factory.mktemp("one") / "ohlcv.db", Story(days=3, timeframes=("15m",), limit=1))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch):
    def of(path: Path, part: str, config: Path | None = None) -> AppTest:
        monkeypatch.setenv("TRADER_CONFIG", str(config or REPOSITORY / "config.yaml"))
        monkeypatch.delenv("TRADER_PROFILE", raising=False)
        monkeypatch.setenv("TRADER_DB", str(path))
        at = AppTest.from_function(app, default_timeout=60)
        at.query_params["part"] = part
        at.run()
        assert not at.exception, at.exception
        assert not at.error, at.error
        return at

    return of


@pytest.mark.parametrize("part", HEADINGS)
def test_the_address_opens_one_part_and_draws_no_other(part: str, many: Path, drawn) -> None:
    headings = [heading.value for heading in drawn(many, part).subheader]
    assert headings[2:] == HEADINGS[part]


@pytest.mark.parametrize("part", HEADINGS)
def test_a_single_trade_breaks_no_part(part: str, one: Path, drawn) -> None:
    drawn(one, part)


@pytest.mark.parametrize("part", ["Distribution", "Costs"])
def test_what_rests_on_few_trades_says_so(part: str, one: Path, drawn) -> None:
    assert "Not enough data" in said(drawn(one, part))


@pytest.mark.parametrize("part", ["Calendar", "Distribution", "Breakdowns", "Costs"])
def test_taken_trades_can_be_looked_at_alone(part: str, many: Path, drawn) -> None:
    at = drawn(many, part)
    (control,) = [group for group in at.button_group if group.label == "Trades counted"]
    control.set_value(["Taken"]).run()
    assert not at.exception, at.exception


def test_what_a_threshold_keeps_is_shown_with_its_table(drawn, tmp_path: Path) -> None:
    world = write_world(tmp_path)
    text = said(drawn(world.config.parent / "ohlcv.db", "Gate", world.config))
    assert "finished candidates" in text
    assert "judged" in text or "Nothing was judged yet" in text


def test_without_a_model_the_gate_names_the_command_that_learns_one(drawn, tmp_path: Path) -> None:
    path = write_database(tmp_path / "ohlcv.db", Story(days=2, verdict="UNGATED"))
    text = said(drawn(path, "Gate"))
    assert "Nothing was judged yet" in text
    assert "python train_meta.py" in text


def rows(n: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    at = START_MS + 86_400_000 * np.arange(n)
    r = rng.choice([-1.0, 1.6], n)
    trades = [
        {
            "opened_ms": int(ms) + 60_000,
            "closed_ms": int(ms) + 7_200_000,
            "r_multiple": float(x),
            "pnl_pct": 2 * float(x),
        }
        | {"gross_pct": 2 * float(x) + 0.08, "fees_pct": 0.08}
        for ms, x in zip(at, r, strict=True)
    ]
    return result_rows(trade_rows(trades), signal_rows([{"decided_ms": int(ms)} for ms in at]))


def options() -> dict[str, dict]:
    made = rows()
    found = montecarlo.fan(made, draws=50)
    assert found is not None
    r = made["r_multiple"].to_numpy()
    kept = coverage.coverage(np.linspace(0, 1, len(r)), r > 0, r, made["decided_ms"], live=0.5)
    held = Held(("BTC",), (), np.array([START_MS, START_MS + 10**9]), np.array([1.0, 1.1]))
    curve = equal_stake_curve(made)
    return {
        "curve": curve_chart(curve, "Result", "#FFFFFF", False, DARK, ("Holding", held, 100.0, 0.0)),
        "log": curve_chart(curve, "Result", "#FFFFFF", False, DARK, log=True),
        "months": month_chart(returns.monthly(made), "r", "R", DARK),
        "days": day_chart(returns.daily(made), 2024, "r", "R", LIGHT),
        "hours": hour_chart(returns.hourly(made, step=4), 4, DARK),
        "sizes": size_chart(spread.sizes(made), 0.1, DARK),
        "held": held_chart(spread.held(made), DARK),
        "excursions": excursion_chart(spread.excursions(made), DARK),
        "rolling": rolling_chart(rolling.rolling(made, 50), "win", "UTC", DARK, 40.0),
        "fan": fan_chart(found, DARK),
        "falls": fall_chart(found, DARK),
        "coverage": coverage_chart(kept, "r", "EV", 0.5, 0.0, DARK),
        "chances": chance_chart(coverage.chances([0.4, 0.5], [True, False]), DARK),
        "costs": cost_chart(split_costs(made, NOWHERE, 0.02), DARK),
    }


@pytest.mark.parametrize("name", list(options()))
def test_a_chart_is_plain_json_beside_its_frame(name: str) -> None:
    option = options()[name]
    option.get("dataset", {}).pop("source", None)
    assert json.loads(json.dumps(option, allow_nan=False)) == option


def test_the_threshold_in_force_stands_on_the_chart() -> None:
    kept = [line for line in options()["coverage"]["series"] if line["name"] == "Kept, %"]
    assert kept[0]["markLine"]["data"] == [{"xAxis": "0.500"}]
    assert "0.500" in set(options()["coverage"]["dataset"]["source"]["threshold"])


def test_a_band_lies_between_the_ends_of_its_interval() -> None:
    source = options()["rolling"]["dataset"]["source"]
    assert (source["low"] <= source["Win rate, %"]).all()
    assert (source["Win rate, %"] <= source["low"] + source["width"]).all()


def test_the_steps_from_gross_to_net_hang_together() -> None:
    body = options()["costs"]["series"][0]["data"]
    ends = [one[:2] for one in body]
    assert all(before[1] == after[0] for before, after in pairwise(ends[:-1]))
    assert ends[-1][1] == pytest.approx(ends[-2][1], abs=1e-5)


def test_an_hour_with_few_trades_shows_their_number_instead_of_a_mean() -> None:
    known, few = options()["hours"]["series"]
    assert known["data"] == []
    assert few["data"]
    assert few["label"]["formatter"] == "n={@[3]}"


def test_words_in_the_data_hold_no_markup_because_a_tooltip_shows_it_as_text() -> None:
    words = []
    for option in options().values():
        source = option.get("dataset", {}).get("source", pd.DataFrame())
        words += [word for name in source if source[name].dtype == "str" for word in source[name]]
    assert len(words) > 100
    assert not [word for word in words if "<br>" in word]


def test_what_is_held_is_drawn_at_the_moments_of_the_curve() -> None:
    source = options()["curve"]["dataset"]["source"]
    assert source["Holding"].iloc[0] == 0.0
    assert source["Holding"].iloc[-1] == pytest.approx(10.0)


def test_the_logarithm_is_on_the_balance_alone() -> None:
    balance, below = options()["log"]["yAxis"]
    assert balance["type"] == "log"
    assert below.get("type") != "log"
