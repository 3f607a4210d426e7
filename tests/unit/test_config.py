"""The configuration: where settings come from, what is worked out of them, and that nothing leaks or half applies."""

from __future__ import annotations

import copy
import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr, ValidationError

from core.config import (
    Config,
    ConfigSource,
    config_diff,
    config_hash,
    config_keys,
    config_schema,
    config_to_yaml,
    config_warnings,
    load_config,
    redacted,
)
from core.config.__main__ import BEGIN, with_tables, write_generated
from core.errors import ConfigError
from core.plugins import build, parameters

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "config.yaml"
SYMBOLS = "symbols: [BTC/USDT:USDT]\n"
TOKEN = "123456789:AAcanary_TOKEN-that-nobody-may-see"

TRAPS = ["no", "off", "12:30", "010", "1e5", "null", "~", "true", "2024-01-01", "a: b", "- x"]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(-1e9, 1e9)
    | st.text("aZ09 :#-_.'\"ä{}[],&*!|>%@`", max_size=12)
    | st.sampled_from(TRAPS)
)
PLAIN_VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("aZ0:- #.", max_size=6), inner, max_size=3),
    max_leaves=12,
)

thorough = settings(max_examples=60, deadline=None, derandomize=True)


def written(folder: Path, text: str = "", name: str = "config.yaml") -> Path:
    path = folder / name
    path.write_text(SYMBOLS + text if name == "config.yaml" else text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str = "", environ: dict[str, str] | None = None) -> Config:
    return load_config(written(folder, text), environ or {})


class TestShippedFile:
    def test_every_value_in_it_is_the_default(self) -> None:
        shipped = load_config(SHIPPED, {})
        assert config_diff(Config(symbols=shipped.symbols), shipped) == []

    def test_it_needs_no_warning(self) -> None:
        assert config_warnings(load_config(SHIPPED, {})) == []

    def test_editors_find_the_schema_by_its_first_line(self) -> None:
        first = SHIPPED.read_text(encoding="utf-8").splitlines()[0]
        assert first == "# yaml-language-server: $schema=./docs/config.schema.json"

    def test_every_overlay_beside_it_loads(self) -> None:
        for overlay in ROOT.glob("config.*.yaml"):
            assert load_config(SHIPPED, {}, [overlay]).symbols

    def test_it_fits_its_schema(self) -> None:
        jsonschema = pytest.importorskip("jsonschema")
        values = redacted(load_config(SHIPPED, {}))
        jsonschema.Draft202012Validator(config_schema()).validate(values)
        values["risk"]["max_leverge"] = 3
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(config_schema()).validate(values)

    def test_the_example_of_an_env_file_loads_and_sets_nothing(self, tmp_path: Path) -> None:
        path = written(tmp_path)
        before = load_config(path, {})
        (tmp_path / ".env").write_text((ROOT / ".env.example").read_text(encoding="utf-8"))
        assert config_diff(before, load_config(path, {})) == []


class TestDocumentation:
    def test_the_schema_on_disk_is_current(self) -> None:
        on_disk = json.loads((ROOT / "docs/config.schema.json").read_text(encoding="utf-8"))
        assert on_disk == config_schema()

    def test_the_tables_on_disk_are_current(self) -> None:
        page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
        assert with_tables(page) == page

    def test_every_key_is_documented_with_meaning_default_and_what_is_expected(self) -> None:
        tables = (ROOT / "docs/configuration.md").read_text(encoding="utf-8").partition(BEGIN)[2]
        for info in config_keys():
            rows = [line for line in tables.splitlines() if line.startswith(f"| `{info.name}` |")]
            assert len(rows) == 1, info.name
            assert all(part in rows[0] for part in (info.meaning, info.unit, info.default, info.expected))
            assert info.meaning.endswith("."), info.name
            assert info.expected, info.name

    def test_every_number_has_a_unit(self) -> None:
        bare = {info.name for info in config_keys() if not info.unit and "number" in info.expected}
        assert bare == {"exchange.synthetic.seed", "notify.telegram.chat_id"}

    def test_every_key_of_the_shipped_file_is_in_the_reference(self) -> None:
        names = {info.name for info in config_keys()}
        for key in load_config(SHIPPED, {}).origins:
            inside_a_table = {key.rsplit(".", depth)[0] for depth in (0, 1, 2)}
            assert names & inside_a_table, key

    def test_the_messages_shown_on_the_page_are_the_ones_given(self, tmp_path: Path) -> None:
        page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
        text = SHIPPED.read_text(encoding="utf-8")
        mistakes = [
            (text.replace("entry_level:", "entry_levle:"), {}),
            (text.replace("max_leverage: 10", "max_leverage: 0"), {}),
            (text, {"TRADER__RISK__MODE": "norml"}),
        ]
        for mistaken, environ in mistakes:
            (tmp_path / "config.yaml").write_text(mistaken, encoding="utf-8")
            with pytest.raises(ConfigError) as caught:
                load_config(tmp_path / "config.yaml", environ)
            assert f"\n{caught.value}\n" in page

    def test_writing_the_generated_texts_twice_changes_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "configuration.md").write_text((ROOT / "docs/configuration.md").read_text(encoding="utf-8"))
        write_generated(tmp_path)
        first = (tmp_path / "configuration.md").read_text(encoding="utf-8")
        write_generated(tmp_path)
        assert (tmp_path / "configuration.md").read_text(encoding="utf-8") == first
        assert json.loads((tmp_path / "config.schema.json").read_text(encoding="utf-8")) == config_schema()


class TestReading:
    def test_words_that_versions_of_yaml_read_differently_stay_words(self, tmp_path: Path) -> None:
        config = loaded(tmp_path, "models: {meta: {gating: {evidence: off}}}\nbackfill: {start_date: 2024-03-01}\n")
        assert config.models.meta.gating.evidence == "off"
        assert config.backfill.start_date == "2024-03-01"
        assert config.backfill.start_ms == 1_709_251_200_000

    def test_a_number_may_have_an_exponent(self, tmp_path: Path) -> None:
        assert loaded(tmp_path, "signals: {slippage_pct: 1e-3}\n").signals.slippage_pct == 0.001

    def test_a_whole_number_will_do_where_a_fraction_is_allowed(self, tmp_path: Path) -> None:
        value = loaded(tmp_path, "signals: {rr_min: 2}\n").signals.rr_min
        assert value == 2.0
        assert isinstance(value, float)

    def test_an_empty_section_is_a_section_left_at_its_defaults(self, tmp_path: Path) -> None:
        config = loaded(tmp_path, "auto:\nsignals:\n  setups:\n    fibo_avwap:\n")
        assert config_diff(loaded(tmp_path), config) == []

    def test_a_chat_may_be_a_number_or_a_channel(self, tmp_path: Path) -> None:
        assert loaded(tmp_path, "notify: {telegram: {chat_id: -1001234}}\n").notify.telegram.chat_id == "-1001234"
        assert loaded(tmp_path, "notify: {telegram: {chat_id: '@channel'}}\n").notify.telegram.chat_id == "@channel"

    def test_a_byte_order_mark_is_no_mistake(self, tmp_path: Path) -> None:
        path = written(tmp_path)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        assert load_config(path, {}).symbols == ("BTC/USDT:USDT",)

    def test_a_key_of_a_weekly_job_left_out_keeps_its_own_default(self, tmp_path: Path) -> None:
        auto = loaded(tmp_path, "auto:\n  weekly_calibrate: {day_of_week: mon}\n  weekly_tune: {minute: 5}\n").auto
        assert (auto.weekly_calibrate.hour_utc, auto.weekly_calibrate.minute) == (21, 30)
        assert (auto.weekly_tune.hour_utc, auto.weekly_tune.minute, auto.weekly_tune.mode) == (22, 5, "ev")

    def test_tuning_by_chance_has_one_name_and_takes_another(self, tmp_path: Path) -> None:
        for written_as in ("p", "pwin"):
            config = loaded(tmp_path, f"auto: {{weekly_tune: {{mode: {written_as}}}}}\n")
            assert config.auto.weekly_tune.mode == "p"

    def test_thresholds_of_a_pair_are_found_by_symbol_and_timeframe(self, tmp_path: Path) -> None:
        text = (
            "models: {meta: {gating: {per_pair_tf: {BTC/USDT:USDT: {15m: {threshold: 0.5, expires: 2026-01-02}}}}}}\n"
        )
        entry = loaded(tmp_path, text).models.meta.gating.per_pair_tf["BTC/USDT:USDT"]["15m"]
        assert (entry.threshold, entry.min_ev_pct, entry.expires_ms) == (0.5, None, 1_767_312_000_000)

    @thorough
    @given(st.text(max_size=200) | st.binary(max_size=200))
    def test_whatever_the_file_holds_the_answer_is_a_configuration_or_one_line(
        self, tmp_path_factory: pytest.TempPathFactory, content: str | bytes
    ) -> None:
        path = tmp_path_factory.mktemp("fuzz") / "config.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        with pytest.raises(ConfigError) as caught:
            load_config(path, {})
        assert len(str(caught.value).splitlines()) == 1


class TestSources:
    @thorough
    @given(
        st.fixed_dictionaries({}, optional=dict.fromkeys(["yaml", "low", "high", "dotenv", "env"], st.integers(1, 99)))
    )
    def test_the_strongest_place_that_says_something_wins(
        self, tmp_path_factory: pytest.TempPathFactory, said: dict[str, int]
    ) -> None:
        folder = tmp_path_factory.mktemp("sources")
        path = written(folder, f"compute: {{jobs: {said['yaml']}}}\n" if "yaml" in said else "")
        overlays = [
            written(folder, f"compute: {{jobs: {said[name]}}}\n" if name in said else "compute: {}\n", f"{name}.yaml")
            for name in ("low", "high")
        ]
        (folder / ".env").write_text(f"TRADER__COMPUTE__JOBS={said['dotenv']}\n" if "dotenv" in said else "")
        environ = {"TRADER__COMPUTE__JOBS": str(said["env"])} if "env" in said else {}
        expected = next((said[name] for name in ("env", "dotenv", "high", "low", "yaml") if name in said), 2)
        assert load_config(path, environ, overlays).compute.jobs == expected

    def test_sections_are_joined_and_lists_replaced(self, tmp_path: Path) -> None:
        path = written(tmp_path, "risk: {mode: aggressive, limits: {max_open: 9}}\ntimeframes: [15m, 1h]\n")
        overlay = written(tmp_path, "risk: {limits: {cooldown_candles: 7}}\ntimeframes: [4h]\n", "config.x.yaml")
        config = load_config(path, {}, [overlay])
        assert (config.risk.mode, config.risk.limits.max_open, config.risk.limits.cooldown_candles) == (
            "aggressive",
            9,
            7,
        )
        assert config.timeframes == ("4h",)

    def test_a_variable_is_written_as_in_yaml_in_any_case(self, tmp_path: Path) -> None:
        environ = {
            "TRADER__SYMBOLS": "[ETH/USDT, BTC/USDT:USDT]",
            "trader__signals__avwap__use": "false",
            "TRADER__MODELS__META__GATING__PER_PAIR_TF": '{"ETH/USDT": {"1h": {"threshold": 0.5}}}',
        }
        config = loaded(tmp_path, environ=environ)
        assert config.symbols == ("ETH/USDT", "BTC/USDT:USDT")
        assert config.signals.avwap.use is False
        assert config.models.meta.gating.per_pair_tf["ETH/USDT"]["1h"].threshold == 0.5

    def test_a_longer_variable_wins_over_its_section(self, tmp_path: Path) -> None:
        environ = {"TRADER__RISK__MODE": "aggressive", "TRADER__RISK": "{mode: normal, max_leverage: 3}"}
        risk = loaded(tmp_path, environ=environ).risk
        assert (risk.mode, risk.max_leverage) == ("aggressive", 3.0)

    def test_an_empty_variable_and_a_foreign_one_say_nothing(self, tmp_path: Path) -> None:
        environ = {
            "TRADER__RISK__MODE": "",
            "TELEGRAM_BOT_TOKEN": " ",
            "TRADER_DB": "x",
            "TRADER_JOBS__X": "1",
            "PATH": "/bin",
        }
        assert config_diff(loaded(tmp_path), loaded(tmp_path, environ=environ)) == []

    def test_telegrams_variables_are_taken_as_they_stand(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text(f"TELEGRAM_BOT_TOKEN='{TOKEN}'\nTELEGRAM_CHAT_ID=-100\nOTHER=$(rm)\n")
        telegram = loaded(tmp_path, "notify: {telegram: {enabled: true}}\n").notify.telegram
        assert telegram.bot_token.get_secret_value() == TOKEN
        assert telegram.chat_id == "-100"

    def test_each_key_knows_where_it_was_written(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("\nTRADER__COMPUTE__JOBS=3\n")
        config = loaded(tmp_path, "risk:\n  mode: normal\n", {"TRADER__APP__TIMEZONE": "Europe/Berlin"})
        assert {key: str(origin) for key, origin in config.origins.items()} == {
            "symbols": "config.yaml:1",
            "risk.mode": "config.yaml:3",
            "compute.jobs": ".env:2: TRADER__COMPUTE__JOBS",
            "app.timezone": "environment: TRADER__APP__TIMEZONE",
        }


class TestPaths:
    def test_relative_paths_start_at_the_folder_of_the_file(self, tmp_path: Path) -> None:
        text = "exchange: {id: replay, replay: {path: tapes, files: {BTC/USDT:USDT: btc.csv}}}\n"
        config = loaded(tmp_path, text, {"TRADER__MODELS__META__MODEL_PATH": "elsewhere"})
        assert config.home == tmp_path
        assert config.app.db_path == tmp_path / "data/ohlcv.db"
        assert config.app.log_dir == tmp_path / "data/logs"
        assert config.models.meta.model_path == tmp_path / "elsewhere"
        assert config.tape_path == tmp_path / "tapes"
        assert config.exchange.replay.files["BTC/USDT:USDT"] == tmp_path / "btc.csv"

    def test_absolute_paths_stay(self, tmp_path: Path) -> None:
        assert loaded(tmp_path, "app: {db_path: /srv/x.db}\n").app.db_path == Path("/srv/x.db")

    @pytest.mark.parametrize(
        ("path", "database", "tape"),
        [("db:", "data/ohlcv.db", None), ("db:old/y.db", "old/y.db", None), ("tapes", None, "tapes")],
    )
    def test_a_tape_is_files_or_a_database(
        self, tmp_path: Path, path: str, database: str | None, tape: str | None
    ) -> None:
        config = loaded(tmp_path, f"exchange: {{id: replay, replay: {{path: '{path}', as: binance}}}}\n")
        assert config.tape_database == (tmp_path / database if database else None)
        assert config.tape_path == (tmp_path / tape if tape else None)
        assert config.exchange.replay.as_ == "binance"

    def test_a_variable_names_the_database_too(self, tmp_path: Path) -> None:
        name = "TRADER__EXCHANGE__REPLAY__PATH"
        for value in ("db:", '"db:"'):
            assert loaded(tmp_path, "", {name: value}).tape_database == tmp_path / "data/ohlcv.db"
        (tmp_path / ".env").write_text(f"{name}=db:\n")
        assert loaded(tmp_path).tape_database == tmp_path / "data/ohlcv.db"

    def test_a_tape_may_have_an_end(self, tmp_path: Path) -> None:
        replay = loaded(tmp_path, "exchange: {replay: {start: 2023-01-01, end: 2023-01-02T12:00}}\n").exchange.replay
        assert (replay.start_ms, replay.end_ms) == (1_672_531_200_000, 1_672_660_800_000)
        assert (Config(symbols=["A/B"]).exchange.replay.start_ms, Config(symbols=["A/B"]).exchange.replay.end_ms) == (
            None,
            None,
        )
        assert loaded(tmp_path).exchange.synthetic.start_ms == 1_672_531_200_000


class TestWorkedOut:
    @pytest.mark.parametrize(
        ("text", "mode"),
        [
            ("", "auto"),
            ("signals: {fees: {assume_maker: true}}\n", "maker"),
            ("execution: {costs_mode: taker}\n", "taker"),
            ("execution: {costs_mode: taker}\nsignals: {fees: {assume_maker: true}}\n", "taker"),
            ("models: {meta: {gating: {costs_mode: taker}}}\n", "taker"),
            ("models: {meta: {gating: {costs_mode: auto}}}\nsignals: {fees: {assume_maker: true}}\n", "maker"),
            ("models: {meta: {gating: {costs_mode: maker}}}\nexecution: {costs_mode: maker}\n", "maker"),
        ],
    )
    def test_one_costs_mode_is_in_force(self, tmp_path: Path, text: str, mode: str) -> None:
        assert loaded(tmp_path, text).costs_mode == mode

    def test_risk_is_that_of_the_mode(self, tmp_path: Path) -> None:
        text = "risk: {mode: tiny, risk_pct_by_mode: {tiny: 0.1}}\n"
        assert loaded(tmp_path, text).risk.risk_pct == 0.1

    def test_a_setup_is_offered_the_general_keys(self, tmp_path: Path) -> None:
        assert loaded(tmp_path).setup_params("fibo_avwap") == {
            "piv_window": 5,
            "anchors_to_consider": 3,
            "entry_level": 0.618,
            "tp1_ext": 1.272,
            "tp2_ext": 1.618,
            "min_leg_atr": 3.0,
            "max_distance_atr": 3.0,
            "stop_at": "swing",
            "use_avwap": True,
            "lookback_candles": 300,
            "atr_period": 14,
            "atr_mult_sl": 1.5,
            "rr_min": 1.0,
            "min_tp_net_pct": 0.3,
        }

    def test_a_setups_own_parameters_win_and_are_no_other_setups(self, tmp_path: Path) -> None:
        setups = "{fibo_avwap: {rr_min: 1.5, use_avwap: false, levels: [1, 2]}, other: {}}"
        config = loaded(tmp_path, f"signals:\n  rr_min: 2\n  setups: {setups}\n")
        mine, other = config.setup_params("fibo_avwap"), config.setup_params("other")
        assert (mine["rr_min"], mine["use_avwap"], mine["levels"]) == (1.5, False, (1, 2))
        assert (other["rr_min"], other["use_avwap"]) == (2.0, True)
        assert config.setup_params("unheard_of") == other

    def test_an_exit_policy_is_offered_the_general_keys_under_its_own(self, tmp_path: Path) -> None:
        general = {
            "tp1_fraction": 0.5,
            "move_sl_to_be_on_tp1": True,
            "trail_use": True,
            "trail_method": "atr",
            "trail_mult": 1.0,
            "max_hold_candles": 96,
        }
        config = loaded(tmp_path, "execution: {exits: {fixed_r: {target_r: 2, max_hold_candles: 10}}}\n")
        assert config.exit_params("tp1_be_trail") == general
        assert config.exit_params("fixed_r") == {**general, "target_r": 2, "max_hold_candles": 10}


class TestOffered:
    """A key that is offered under a name its plug-in does not take would silently have no effect."""

    def test_the_shipped_setup_takes_every_key_it_is_offered(self) -> None:
        config = load_config(SHIPPED, {})
        assert set(config.setup_params("fibo_avwap")) <= set(parameters("core.setups", "fibo_avwap"))

    def test_the_shipped_exit_policy_takes_every_key_it_is_offered(self) -> None:
        config = load_config(SHIPPED, {})
        name = config.execution.exit_policy
        assert set(config.exit_params(name)) == set(parameters("core.exits", name))

    def test_each_key_of_the_trail_reaches_the_exit_policy(self, tmp_path: Path) -> None:
        text = "execution: {trail: {use: false, method: pct, atr_mult: 2.5}}\n"
        config = loaded(tmp_path, text)
        policy = build("core.exits", "tp1_be_trail", {}, "execution", given=config.exit_params("tp1_be_trail"))
        params = policy.params()
        assert (params["trail_use"], params["trail_method"], params["trail_mult"]) == (False, "pct", 2.5)


class TestFrozen:
    def test_no_attribute_can_be_set(self, tmp_path: Path) -> None:
        config = loaded(tmp_path)
        for section in (config, config.risk, config.risk.limits.stop_guard, config.notify.telegram):
            name = next(iter(type(section).model_fields))
            with pytest.raises(ValidationError, match="frozen"):
                setattr(section, name, None)

    def test_no_container_can_be_changed(self, tmp_path: Path) -> None:
        config = loaded(tmp_path, "signals: {setups: {fibo_avwap: {levels: [1]}}}\n")
        assert not mutable_parts(config)
        with pytest.raises(TypeError, match="frozen"):
            config.risk.risk_pct_by_mode["normal"] = 100.0
        for change in ("clear", "popitem"):
            with pytest.raises(TypeError, match="frozen"):
                getattr(config.signals.setups["fibo_avwap"], change)()

    def test_a_copy_and_a_worker_process_get_the_same(self, tmp_path: Path) -> None:
        config = loaded(tmp_path, "signals: {setups: {fibo_avwap: {levels: [1]}}}\n")
        for twin in (pickle.loads(pickle.dumps(config)), copy.deepcopy(config)):
            assert twin == config
            assert hash(twin) == hash(config)
            assert twin.app.db_path == config.app.db_path
            assert not mutable_parts(twin)

    def test_defaults_are_checked_like_anything_else(self) -> None:
        with pytest.raises(ValidationError, match="symbols"):
            Config()  # type: ignore[call-arg]
        assert Config(symbols=["BTC/USDT"]).timeframes == ("15m", "1h", "4h")


def mutable_parts(value: Any) -> list[Any]:
    """Return every list, and every dictionary that can be changed, inside a value."""
    if isinstance(value, BaseModel):
        return [part for name in type(value).model_fields for part in mutable_parts(getattr(value, name))]
    if isinstance(value, dict):
        own = [value] if type(value) is dict else []
        return own + [part for inner in value.values() for part in mutable_parts(inner)]
    if isinstance(value, tuple):
        return [part for inner in value for part in mutable_parts(inner)]
    return [value] if isinstance(value, list | set) else []


class TestViews:
    def test_the_hash_has_twelve_digits_and_does_not_depend_on_place_order_or_secret(self, tmp_path: Path) -> None:
        one, two = tmp_path / "one", tmp_path / "two"
        one.mkdir()
        two.mkdir()
        first = config_hash(loaded(one, "compute: {jobs: 3}\nexchange: {replay: {path: db:x.db}}\n"))
        assert re.fullmatch("[0-9a-f]{12}", first)
        for token in (TOKEN, "1:other", ""):
            telegram = f"notify: {{telegram: {{bot_token: '{token}'}}}}\n"
            other = loaded(two, "exchange: {replay: {path: db:x.db}}\ncompute: {jobs: 3}\n" + telegram)
            assert config_hash(other) == first

    @pytest.mark.parametrize(
        "text",
        [
            "signals: {fibo: {entry_level: 0.6}}\n",
            "app: {timezone: Europe/Berlin}\n",
            "signals: {setups: {fibo_avwap: {rr_min: 2}}}\n",
            "execution: {exits: {fixed_r: {target_r: 2}}}\n",
        ],
    )
    def test_the_hash_changes_with_a_setting(self, tmp_path: Path, text: str) -> None:
        assert config_hash(loaded(tmp_path, text)) != config_hash(loaded(tmp_path))

    def test_what_is_shown_reads_back_as_the_same(self, tmp_path: Path) -> None:
        (tmp_path / "again").mkdir()
        text = "models: {meta: {gating: {evidence: off, per_pair_tf: {BTC/USDT:USDT: {15m: {threshold: 0.5}}}}}}\n"
        config = loaded(tmp_path, text + "signals: {setups: {fibo_avwap: {note: 'a: b # c', n: 1.0e-7}}}\n")
        for origins in (None, config.origins):
            path = tmp_path / "again" / "config.yaml"
            path.write_text(config_to_yaml(redacted(config), origins), encoding="utf-8")
            again = load_config(path, {})
            assert redacted(again) == redacted(config)

    def test_what_is_shown_says_where_it_comes_from(self, tmp_path: Path) -> None:
        config = loaded(tmp_path, "risk:\n  mode: normal\n")
        lines = [
            re.split(r"\s+# ", line.strip()) for line in config_to_yaml(redacted(config), config.origins).splitlines()
        ]
        assert ["mode: normal", "config.yaml:3"] in lines
        assert ["max_leverage: 10.0", "default"] in lines

    @thorough
    @given(PLAIN_VALUES)
    def test_any_plain_value_survives_being_written_and_read(
        self, tmp_path_factory: pytest.TempPathFactory, value: Any
    ) -> None:
        path = tmp_path_factory.mktemp("yaml") / "config.yaml"
        path.write_text(SYMBOLS + config_to_yaml({"signals": {"setups": {"x": {"value": value}}}}), encoding="utf-8")
        read = load_config(path, {}).signals.setups["x"]["value"]
        assert json.loads(json.dumps(read)) == json.loads(json.dumps(value))

    def test_differences_are_one_line_a_key(self, tmp_path: Path) -> None:
        pairs = "models: {meta: {gating: {per_pair_tf: {BTC/USDT:USDT: {15m: {threshold: %s}}}}}}\n"
        old = loaded(tmp_path, "risk: {max_leverage: 5}\n" + pairs % 0.5)
        new = loaded(tmp_path, "app: {timezone: Europe/Berlin}\ntimeframes: [15m]\n")
        prefix = "models.meta.gating.per_pair_tf.BTC/USDT:USDT.15m"
        assert config_diff(old, new) == [
            "app.timezone: UTC -> Europe/Berlin",
            'timeframes: ["15m", "1h", "4h"] -> ["15m"]',
            "risk.max_leverage: 5.0 -> 10.0",
            f"{prefix}.min_ev_pct: removed, was null",
            f"{prefix}.threshold: removed, was 0.5",
            f"{prefix}.expires: removed, was null",
        ]
        assert f"{prefix}.threshold: added 0.5" in config_diff(new, old)

    def test_a_secret_appears_in_no_view_and_no_text(self, tmp_path: Path) -> None:
        text = f"notify:\n  telegram: {{enabled: true, bot_token: '{TOKEN}', chat_id: 1}}\n"
        config, bare = loaded(tmp_path, text), loaded(tmp_path)
        other = loaded(tmp_path, text.replace("nobody", "no-one"))
        shown = [
            repr(config),
            str(config),
            repr(config.notify),
            str(config.model_dump()),
            config.model_dump_json(),
            json.dumps(redacted(config)),
            config_to_yaml(redacted(config), config.origins),
            *config_diff(bare, config),
            *config_diff(config, other),
            *config_warnings(config),
            config_hash(config),
            repr(config.origins),
        ]
        assert not [line for line in shown if "canary" in line]
        assert redacted(config)["notify"]["telegram"]["bot_token"] == "***"
        assert redacted(bare)["notify"]["telegram"]["bot_token"] == ""
        assert config_diff(config, other) == ["notify.telegram.bot_token: *** -> ***"]
        assert isinstance(config.notify.telegram.bot_token, SecretStr)

    def test_pydantics_own_errors_do_not_echo_what_was_written(self) -> None:
        with pytest.raises(ValidationError) as caught:
            Config(symbols=["A/B"], notify={"telegram": {"enabled": True, "bot_token": TOKEN + " ", "chat_id": "x"}})
        assert "canary" not in str(caught.value)


class TestWarnings:
    @pytest.mark.parametrize(
        ("text", "warning"),
        [
            (f"notify:\n  telegram:\n    bot_token: '{TOKEN}'\n",
             "config.yaml:4: notify.telegram.bot_token: a secret in a shared file; "
             "move it to TELEGRAM_BOT_TOKEN in .env"),
            ("signals: {fees: {taker_pct: 0.0006}}\n",
             "signals.fees.taker_pct = 0.0006: this is percent; 0.06 was probably meant"),
            ("execution: {costs_mode: taker}\nsignals: {fees: {assume_maker: true}}\n",
             "signals.fees.assume_maker: no effect while execution.costs_mode is taker"),
            ("models: {meta: {gating: {per_pair_tf: {OLD/USDT: {15m: {threshold: 0.5}}}}}}\n",
             "models.meta.gating.per_pair_tf.OLD/USDT.15m: not scanned, so without effect"),
            ("auto: {weekly_tune: {mode: p}}\n",
             "auto.weekly_tune.mode = p: the gate decides by expected value, so what is tuned has no effect"),
            ("auto: {weekly_calibrate: {hour_utc: 20}}\n",
             "auto: expected training before calibration before tuning; each works on what the one before left"),
        ],
    )  # fmt: skip
    def test_what_is_probably_not_meant_is_said(self, tmp_path: Path, text: str, warning: str) -> None:
        assert config_warnings(loaded(tmp_path, text)) == [warning]

    def test_a_secret_from_the_environment_or_the_env_file_needs_no_warning(self, tmp_path: Path) -> None:
        assert config_warnings(loaded(tmp_path, environ={"TELEGRAM_BOT_TOKEN": TOKEN})) == []
        (tmp_path / ".env").write_text(f"TELEGRAM_BOT_TOKEN={TOKEN}\n")
        (tmp_path / ".env").chmod(0o600)
        assert config_warnings(loaded(tmp_path)) == []

    def test_weekly_jobs_may_follow_each_other_around_the_end_of_the_week(self, tmp_path: Path) -> None:
        text = "auto: {weekly_train: {day_of_week: sat}, weekly_tune: {day_of_week: mon, hour_utc: 1}}\n"
        assert config_warnings(loaded(tmp_path, text)) == []


class TestReload:
    def source(self, folder: Path, text: str = "", environ: dict[str, str] | None = None) -> ConfigSource:
        return ConfigSource(written(folder, text), environ or {})

    def test_nothing_is_read_while_no_file_changes(self, tmp_path: Path) -> None:
        source = self.source(tmp_path)
        first = source.current
        reload = source.reload()
        assert reload.config is first
        assert (reload.changed, reload.diff, reload.error) == (False, [], None)

    def test_a_change_is_taken_whole_and_told(self, tmp_path: Path) -> None:
        source = self.source(tmp_path)
        written(tmp_path, "risk: {mode: aggressive, max_leverage: 3}\n")
        reload = source.reload()
        assert reload.changed
        assert reload.diff == ["risk.mode: normal -> aggressive", "risk.max_leverage: 10.0 -> 3.0"]
        assert source.current is reload.config
        assert source.current.risk.mode == "aggressive"
        assert not source.reload().changed

    def test_a_broken_file_changes_nothing_until_it_is_mended(self, tmp_path: Path) -> None:
        source = self.source(tmp_path, "compute: {jobs: 4}\n")
        before = source.current
        written(tmp_path, "compute: {jobs: 5}\nrisk: {max_leverage: 0}\n")
        for _ in range(2):
            reload = source.reload()
            assert reload.config is source.current is before
            assert (reload.changed, reload.diff) == (False, [])
            assert reload.error == "config.yaml:3: risk.max_leverage = 0: expected a number from 1 to 125"
        written(tmp_path, "compute: {jobs: 5}\n")
        mended = source.reload()
        assert (mended.diff, mended.error) == (["compute.jobs: 4 -> 5"], None)

    @pytest.mark.parametrize("content", ["", "symbols: [BTC/US", None])
    def test_a_file_that_is_gone_empty_or_cut_short_changes_nothing(self, tmp_path: Path, content: str | None) -> None:
        source = self.source(tmp_path, "compute: {jobs: 4}\n")
        path = tmp_path / "config.yaml"
        path.unlink() if content is None else path.write_text(content)
        reload = source.reload()
        assert reload.error is not None
        assert (reload.changed, source.current.compute.jobs) == (False, 4)

    def test_a_new_comment_is_no_change(self, tmp_path: Path) -> None:
        source = self.source(tmp_path)
        written(tmp_path, "# a remark\n")
        reload = source.reload()
        assert (reload.changed, reload.diff, reload.error) == (False, [], None)

    def test_the_env_file_and_overlays_are_watched_too(self, tmp_path: Path) -> None:
        overlay = written(tmp_path, "compute: {jobs: 3}\n", "config.x.yaml")
        source = ConfigSource(written(tmp_path), {}, [overlay])
        (tmp_path / ".env").write_text("TRADER__COMPUTE__JOBS=11\n")
        assert source.reload().diff == ["compute.jobs: 3 -> 11"]
        (tmp_path / ".env").unlink()
        assert source.reload().diff == ["compute.jobs: 11 -> 3"]
        written(tmp_path, "compute: {jobs: 12}\n", "config.x.yaml")
        assert source.reload().diff == ["compute.jobs: 3 -> 12"]

    def test_a_new_token_is_a_change_that_does_not_show_it(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text(f"TELEGRAM_BOT_TOKEN={TOKEN}\n")
        source = self.source(tmp_path)
        (tmp_path / ".env").write_text(f"TELEGRAM_BOT_TOKEN={TOKEN}-new\n")
        reload = source.reload()
        assert reload.changed
        assert reload.diff == ["notify.telegram.bot_token: *** -> ***"]
        assert source.current.notify.telegram.bot_token.get_secret_value().endswith("-new")

    def test_the_first_load_must_succeed(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError):
            ConfigSource(tmp_path / "config.yaml", {})
