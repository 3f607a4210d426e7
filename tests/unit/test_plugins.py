"""Files are names, and every mistake is answered in one line."""

from __future__ import annotations

import pytest

from core import plugins
from core.errors import ConfigError
from core.execution.costs import CostModel
from core.setups.fibo_avwap import FiboAvwap


def refusal(package: str, name: str, params: dict[str, object], where: str) -> str:
    with pytest.raises(ConfigError) as caught:
        plugins.build(package, name, params, where)
    told = str(caught.value)
    assert "\n" not in told and told.startswith(where)
    return told


def test_a_shelf_holds_its_public_files() -> None:
    assert plugins.shelf("core.exits") == ("fixed_r", "tp1_be_trail")
    assert "fibo_avwap" in plugins.shelf("core.setups") and "_base" not in plugins.shelf("core.setups")


def test_a_file_name_builds_its_class_with_the_parameters_written() -> None:
    built = plugins.build("core.setups", "fibo_avwap", {"piv_window": 7}, "signals.setups")
    assert isinstance(built, FiboAvwap) and built.piv_window == 7


def test_what_is_written_goes_before_what_the_engine_hands_in() -> None:
    costs = CostModel(0.1, 0.2, 0.3)
    given = {"piv_window": 4, "atr_period": 10, "costs": costs, "no_business_of_the_setup": 1}
    built = plugins.build("core.setups", "fibo_avwap", {"piv_window": 7}, "signals.setups", given)
    assert (built.piv_window, built.atr_period, built.costs) == (7, 10, costs)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    assert "did you mean 'fibo_avwap'?" in refusal("core.setups", "fibo_avwp", {}, "signals.setups")
    assert "valid: fixed_r, tp1_be_trail" in refusal("core.exits", "zzz", {}, "execution.exits")


def test_an_unknown_name_is_told_with_the_key_that_holds_it() -> None:
    told = "execution.exit_policy: 'zzz' is not known"
    with pytest.raises(ConfigError, match=told):
        plugins.build("core.exits", "zzz", {}, "execution.exits", named_by="execution.exit_policy")


@pytest.mark.parametrize("name", ["_base", "", "fibo_avwap.py", "../app"])
def test_nothing_but_a_public_file_is_a_name(name: str) -> None:
    assert "is not known" in refusal("core.setups", name, {}, "signals.setups")


def test_an_unknown_parameter_is_answered_with_its_key_and_the_nearest() -> None:
    told = refusal("core.setups", "fibo_avwap", {"entry_levl": 0.5}, "signals.setups")
    assert told == "signals.setups.fibo_avwap.entry_levl: unknown parameter; did you mean 'entry_level'?"


@pytest.mark.parametrize(
    ("package", "name", "params", "where"),
    [
        ("core.setups", "fibo_avwap", {"entry_level": 1.5}, "signals.setups"),
        ("core.setups", "fibo_avwap", {"piv_window": "five"}, "signals.setups"),
        ("core.exits", "tp1_be_trail", {"tp1_fraction": 0}, "execution.exits"),
        ("core.exits", "tp1_be_trail", {"tp1_fraction": "half"}, "execution.exits"),
    ],
)
def test_a_refused_value_is_told_with_its_key(package: str, name: str, params: dict[str, object], where: str) -> None:
    assert refusal(package, name, params, where).startswith(f"{where}.{name}")


def test_the_parameters_of_a_plug_in_can_be_listed() -> None:
    assert "tp1_fraction" in plugins.parameters("core.exits", "tp1_be_trail")
