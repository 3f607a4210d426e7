"""Charts as data: what is drawn, and where."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest

from core.dashboard._axis import Axis, moment_labels
from core.dashboard._card import event_table
from core.dashboard._charts import candle_chart
from core.dashboard._curves import curve_chart, interval_chart
from core.dashboard._overlay import plan_leg, plan_overlay, price_text
from core.dashboard._theme import DARK, LIGHT, Palette
from core.results.equity import equal_stake_curve
from core.results.rows import result_rows
from core.results.tables import breakdown
from tests.factories import START_MS, event_rows, resampled, signal_rows, trade_rows, walk

STEP_MS = 900_000
CANDLES = resampled(walk(1), "15m")


def signal(**changes: object) -> pd.Series:
    price = float(CANDLES.close[40])
    leg = {"a_ms": START_MS + 20 * STEP_MS, "a_price": price, "b_ms": START_MS + 30 * STEP_MS, "b_price": price * 1.01}
    plain = {"ts_ms": START_MS + 40 * STEP_MS, "entry": price, "plan": json.dumps({"leg": leg})}
    return signal_rows([{**plain, "sl": price * 0.99, "tp1": price * 1.02, "tp2": price * 1.03, **changes}]).iloc[0]


def option(overlay: list | None = None, candles=CANDLES, room: int = 0) -> dict:
    marks = pd.DataFrame({"ts_ms": [START_MS + 40 * STEP_MS], "direction": ["long"]})
    return candle_chart(candles, Axis(candles, "15m", room), marks, overlay or [], zoom_start=60, look=DARK)


def named(chart: dict, name: str) -> dict:
    (found,) = [series for series in chart["series"] if series["name"] == name]
    return found


def test_the_zoom_is_the_same_whatever_the_data() -> None:
    assert option()["dataZoom"] == option(candles=CANDLES.slice(50))["dataZoom"]


def test_everything_but_the_table_of_candles_is_plain_json() -> None:
    chart = option(plan_overlay(Axis(CANDLES, "15m"), signal(), START_MS + 60 * STEP_MS, event_rows([]), DARK))
    chart["dataset"] = {}
    assert json.loads(json.dumps(chart, allow_nan=False)) == chart


def test_a_long_signal_is_marked_under_its_candle() -> None:
    (point,) = named(option(), "Long signal")["data"]
    assert point == ["2024-01-01 10:00", float(CANDLES.low[40])]
    assert named(option(), "Short signal")["data"] == []


def test_volume_takes_the_colour_of_its_candle() -> None:
    chart = option()
    frame = chart["dataset"]["source"]
    rises = frame["close"] >= frame["open"]
    for name, theirs in (("Volume", rises), ("Volume, falling", ~rises)):
        drawn = frame[named(chart, name)["encode"]["y"]]
        assert (drawn[theirs] == frame["volume"][theirs]).all()
        assert drawn[~theirs].isna().all()


def test_very_many_bars_of_volume_are_drawn_in_one_stroke() -> None:
    assert all(series["large"] for series in option()["series"] if series["type"] == "bar")


def test_room_to_the_right_holds_no_candles() -> None:
    frame = option(room=5)["dataset"]["source"]
    assert len(frame) == len(CANDLES) + 5
    assert frame["close"].tail(5).isna().all()
    assert frame["time"].iloc[-1] == "2024-01-02 01:00"


def test_levels_run_from_the_decision_to_the_end_and_carry_their_price() -> None:
    chosen = signal()
    overlay = plan_overlay(Axis(CANDLES, "15m"), chosen, START_MS + 60 * STEP_MS, event_rows([]), DARK)
    stop = named({"series": overlay}, "Stop")
    assert stop["data"] == [["2024-01-01 10:00", chosen["sl"]], ["2024-01-01 15:00", chosen["sl"]]]
    assert stop["markLine"]["data"] == [{"yAxis": chosen["sl"]}]
    assert price_text(float(chosen["sl"])) in stop["markLine"]["label"]["formatter"]


def test_a_plan_that_outlives_the_candles_ends_at_the_last_column() -> None:
    overlay = plan_overlay(Axis(CANDLES, "15m", room=3), signal(), START_MS + 10_000 * STEP_MS, event_rows([]), DARK)
    assert named({"series": overlay}, "Entry")["data"][1][0] == "2024-01-02 00:30"


def test_a_missing_second_target_is_not_drawn() -> None:
    overlay = plan_overlay(Axis(CANDLES, "15m"), signal(tp2=math.nan), START_MS + 60 * STEP_MS, event_rows([]), DARK)
    assert "TP2" not in [series["name"] for series in overlay]


def test_fills_and_exits_stand_on_the_candle_that_holds_their_minute() -> None:
    fill = {"signal_id": 1, "seq": 0, "ts_ms": START_MS + 41 * STEP_MS + 60_000, "kind": "FILL", "price": 1.0}
    funding = {"signal_id": 1, "seq": 1, "ts_ms": START_MS + 42 * STEP_MS, "kind": "FUNDING", "price": math.nan}
    events = event_rows([{**fill, "fraction": 1.0}, {**funding, "fraction": 1.0}])
    overlay = plan_overlay(Axis(CANDLES, "15m"), signal(), START_MS + 60 * STEP_MS, events, DARK)
    assert named({"series": overlay}, "Filled")["data"] == [["2024-01-01 10:15", 1.0]]
    assert [series["type"] for series in overlay].count("scatter") == 1


def test_the_legend_names_what_has_no_tag_of_its_own() -> None:
    overlay = plan_overlay(Axis(CANDLES, "15m"), signal(), START_MS + 60 * STEP_MS, event_rows([]), DARK)
    legend = option(overlay)["legend"]["data"]
    assert [item if isinstance(item, str) else item["name"] for item in legend] == [
        "Long signal",
        "Short signal",
        "Leg",
    ]


def test_settlements_in_a_row_are_one_line() -> None:
    def event(seq: int, kind: str, **more: object) -> dict:
        plain = {"signal_id": 1, "seq": seq, "ts_ms": START_MS + seq * STEP_MS, "kind": kind, "price": 100.0}
        return {**plain, "fraction": 1.0, **more}

    funding = {"price": math.nan, "rate_pct": 0.01, "fee_pct": 0.0, "source": "recorded"}
    told = event_table(
        event_rows(
            [
                event(0, "FILL"),
                *(event(seq, "FUNDING", **funding) for seq in (1, 2, 3)),
                event(4, "FUNDING", **{**funding, "source": "default"}),
                event(5, "TARGET", fraction=0.5),
                event(6, "FUNDING", **funding),
                event(7, "TP", fraction=0.5),
            ]
        )
    )
    assert told["what"].tolist() == [
        "Entry filled",
        "Funding settled, 3 times",
        "Funding settled",
        "Target hit, part sold",
        "Funding settled",
        "Ended: last target hit",
    ]
    assert told["rate"].round(6).tolist()[1:3] == [0.03, 0.01]
    assert told["price"].tolist()[:2] == ["100", ""]
    assert told["fee"].isna().tolist() == [False, True, True, False, True, False]


def test_a_leg_outside_the_candles_is_left_out() -> None:
    overlay = plan_overlay(Axis(CANDLES.slice(35), "15m"), signal(), START_MS + 60 * STEP_MS, event_rows([]), DARK)
    assert "Leg" not in [series["name"] for series in overlay]


@pytest.mark.parametrize("plan", ["", "{}", "[]", '{"leg": null}', '{"leg": {"a_ms": 1}}'])
def test_a_plan_without_a_leg_has_none(plan: str) -> None:
    assert plan_leg(plan) is None


def test_a_day_is_labelled_without_its_hour() -> None:
    assert moment_labels([START_MS], 86_400_000) == ["2024-01-01"]
    assert moment_labels([START_MS], STEP_MS) == ["2024-01-01 00:00"]


@pytest.mark.parametrize(
    ("price", "text"), [(42100.5, "42100.5"), (0.00001234, "0.00001234"), (65000.0, "65000"), (math.nan, "-")]
)
def test_a_price_is_written_to_be_copied(price: float, text: str) -> None:
    assert price_text(price) == text


def test_a_balance_begins_before_its_first_trade() -> None:
    rows = result_rows(trade_rows([{"pnl_usd": -2.0}, {"pnl_usd": 5.0}]), signal_rows([{}, {}]))
    frame = curve_chart(equal_stake_curve(rows), "Result", "#fff", percent=False, look=DARK)["dataset"]["source"]
    assert frame["Result"].tolist() == [0.0, -2.0, 3.0]
    assert frame["Below its high, USD"].tolist() == [0.0, -2.0, 0.0]
    assert frame["time"].is_monotonic_increasing


def test_groups_without_enough_trades_are_not_drawn() -> None:
    few = result_rows(trade_rows([{}, {}]), signal_rows([{}, {}]))
    assert interval_chart(breakdown(few, "symbol"), DARK)["yAxis"]["data"] == []


@pytest.mark.parametrize("look", [DARK, LIGHT])
def test_words_and_lines_can_be_read_on_their_background(look: Palette) -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(colour: str) -> float:  # https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio
        low, high = sorted((luminance(colour), luminance(look.background)))
        return (high + 0.05) / (low + 0.05)

    assert min(contrast(look.text), contrast(look.faint)) >= 4.5
    assert min(contrast(colour) for colour in (look.up, look.down, look.good, look.bad, look.leg, *look.series)) >= 3.0
