"""Ways to get the configuration wrong, and the one line each is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.config import load_config
from core.errors import ConfigError

SYMBOLS = "symbols: [BTC/USDT:USDT]\n"
TOKEN = "123456789:AAcanary_TOKEN-that-nobody-may-see"

# name of the case: (text below the first line, the whole message)
WRONG_KEYS = {
    "a misspelled key": (
        "signals:\n  fibo:\n    entry_levle: 0.5",
        "config.yaml:4: signals.fibo.entry_levle: unknown key; did you mean 'entry_level'?",
    ),
    "a misspelled section": (
        "\nsignal:\n  rr_min: 1.0",
        "config.yaml:3: signal: unknown key; did you mean 'signals'?",
    ),
    "a key in the wrong section": (
        "signals:\n  trail: {use: false}",
        "config.yaml:3: signals.trail: unknown key; did you mean 'execution.trail'?",
    ),
    "a key nothing resembles": (
        "compute:\n  zzz: 1",
        "config.yaml:3: compute.zzz: unknown key; valid: backend, jobs",
    ),
    "a key of former days": (
        "models:\n  meta:\n    calibration: {path: models/meta_cal.pkl}",
        "config.yaml:4: models.meta.calibration.path: unknown key; "
        "a calibrator is kept with its model, under models.meta.model_path",
    ),
    "a merge key": (
        "risk:\n  <<: {mode: normal}",
        "config.yaml:3: risk.<<: unknown key; valid: capital_usd, limits, liquidation_buffer, "
        "maintenance_margin_pct, max_leverage, mode, risk_pct_by_mode",
    ),
}

WRONG_VALUES = {
    "a number below its range": (
        "risk:\n  max_leverage: 0",
        "config.yaml:3: risk.max_leverage = 0: expected a number from 1 to 125",
    ),
    "a number above its range": (
        "risk:\n  max_leverage: 126",
        "config.yaml:3: risk.max_leverage = 126: expected a number from 1 to 125",
    ),
    "a quoted number": (
        'risk:\n  max_leverage: "10"',
        "config.yaml:3: risk.max_leverage = 10: expected a number from 1 to 125; leave out the quotes",
    ),
    "a comma for a point": (
        "signals:\n  rr_min: 1,5",
        "config.yaml:3: signals.rr_min = 1,5: expected a number from 0 to 100; write 1.5",
    ),
    "a percent sign": (
        "signals:\n  slippage_pct: 0.02%",
        "config.yaml:3: signals.slippage_pct = 0.02%: expected a number from 0 to 5; write 0.02",
    ),
    "an underscore in a number": (
        "risk:\n  capital_usd: 10_000",
        "config.yaml:3: risk.capital_usd = 10_000: expected a number above 0 and at most 1000000000000; write 10000",
    ),
    "a leading zero, once an octal number": (
        "auto:\n  weekly_train: {hour_utc: 010}",
        "config.yaml:3: auto.weekly_train.hour_utc = 010: expected a whole number from 0 to 23; write 10",
    ),
    "a time of day for a number": (
        "auto:\n  weekly_train: {minute: 12:30}",
        "config.yaml:3: auto.weekly_train.minute = 12:30: expected a whole number from 0 to 59; "
        "older YAML reads this as minutes and seconds, here it is text",
    ),
    "a fraction written in percent": (
        "execution:\n  tp1_fraction: 50",
        "config.yaml:3: execution.tp1_fraction = 50: expected a number above 0 and at most 1; did you mean 0.5?",
    ),
    "a probability written in percent": (
        "models:\n  meta:\n    gating: {threshold: 45}",
        "config.yaml:4: models.meta.gating.threshold = 45: expected a number from 0 to 1; did you mean 0.45?",
    ),
    "half a candle": (
        "signals:\n  validity_candles: 60.5",
        "config.yaml:3: signals.validity_candles = 60.5: expected a whole number from 1 to 10000",
    ),
    "no candle at all": (
        "signals:\n  validity_candles: 0",
        "config.yaml:3: signals.validity_candles = 0: expected a whole number from 1 to 10000",
    ),
    "a truth value for a number": (
        "compute:\n  jobs: true",
        "config.yaml:3: compute.jobs = true: expected a whole number from 1 to 1024",
    ),
    "not a number": (
        "signals:\n  rr_min: .nan",
        "config.yaml:3: signals.rr_min = .nan: expected a number from 0 to 100",
    ),
    "no for false": (
        "auto:\n  enabled: no",
        "config.yaml:3: auto.enabled = no: expected true or false; did you mean false?",
    ),
    "on for true": (
        "signals:\n  avwap:\n    use: on",
        "config.yaml:4: signals.avwap.use = on: expected true or false; did you mean true?",
    ),
    "a quoted true": (
        'auto:\n  enabled: "true"',
        "config.yaml:3: auto.enabled = true: expected true or false; leave out the quotes",
    ),
    "a number for a truth value": (
        "notify:\n  console: 1",
        "config.yaml:3: notify.console = 1: expected true or false",
    ),
    "a misspelled choice": (
        "execution:\n  costs_mode: takr",
        "config.yaml:3: execution.costs_mode = takr: expected one of auto, maker, taker; did you mean 'taker'?",
    ),
    "a choice in capitals": (
        "signals:\n  bar_policy: Conservative",
        "config.yaml:3: signals.bar_policy = Conservative: expected one of conservative, optimistic; "
        "did you mean 'conservative'?",
    ),
    "a weekday as a number": (
        "auto:\n  weekly_train: {day_of_week: 0}",
        "config.yaml:3: auto.weekly_train.day_of_week = 0: expected one of mon, tue, wed, thu, fri, sat, sun",
    ),
    "a weekday written out": (
        "auto:\n  weekly_train: {day_of_week: sunday}",
        "config.yaml:3: auto.weekly_train.day_of_week = sunday: expected one of mon, tue, wed, thu, fri, sat, sun; "
        "did you mean 'sun'?",
    ),
    "hour 24": (
        "auto:\n  weekly_tune:\n    hour_utc: 24",
        "config.yaml:4: auto.weekly_tune.hour_utc = 24: expected a whole number from 0 to 23",
    ),
    "a time zone that is none": (
        "app:\n  timezone: Europe/Berln",
        "config.yaml:3: app.timezone = Europe/Berln: expected the name of a time zone such as UTC or Europe/Berlin; "
        "did you mean 'Europe/Berlin'?",
    ),
    "a time zone by the trap word no": (
        "app:\n  timezone: no",
        "config.yaml:3: app.timezone = no: expected the name of a time zone such as UTC or Europe/Berlin",
    ),
    "a day that does not exist": (
        "backfill:\n  start_date: 2024-02-30",
        "config.yaml:3: backfill.start_date = 2024-02-30: expected a date from 2009 to 2100 such as 2024-01-31, "
        "or 2024-01-31T12:00 (UTC)",
    ),
    "a date before there was a market": (
        "backfill:\n  start_date: 1999-01-01",
        "config.yaml:3: backfill.start_date = 1999-01-01: expected a date from 2009 to 2100 such as 2024-01-31, "
        "or 2024-01-31T12:00 (UTC)",
    ),
    "a timeframe with the wrong unit": (
        "data:\n  derived_timeframes: [5m, 15min, 1h, 4h]",
        "config.yaml:3: data.derived_timeframes[1] = 15min: expected a timeframe from 1m to 1d such as 15m, 1h or 4h; "
        "did you mean '15m'?",
    ),
    "a timeframe as a number": (
        "timeframes: [15]",
        "config.yaml:2: timeframes[0] = 15: expected a timeframe from 1m to 1d such as 15m, 1h or 4h",
    ),
    "a week, which nobody begins on a Thursday": (
        "data:\n  derived_timeframes: [15m, 1h, 4h, 1w]",
        "config.yaml:3: data.derived_timeframes[3] = 1w: expected a timeframe from 1m to 1d such as 15m, 1h or 4h",
    ),
    "another base than a minute": (
        "data:\n  base_timeframe: 5m",
        "config.yaml:3: data.base_timeframe = 5m: expected 1m",
    ),
    "an exchange in capitals": (
        "exchange:\n  id: Bitget",
        "config.yaml:3: exchange.id = Bitget: expected a name of small letters, digits and _; did you mean 'bitget'?",
    ),
    "an address that is none": (
        "exchange:\n  base_url: localhost:8080",
        "config.yaml:3: exchange.base_url = ***: expected an address such as http://127.0.0.1:8080, "
        "without user name, password or query",
    ),
    "a password in an address": (
        "exchange:\n  base_url: http://me:hunter2@proxy:3128",
        "config.yaml:3: exchange.base_url = ***: expected an address such as http://127.0.0.1:8080, "
        "without user name, password or query",
    ),
    "a word for a section": (
        "risk: careful",
        "config.yaml:2: risk = careful: expected keys such as capital_usd, mode, risk_pct_by_mode",
    ),
    "a list for a section": (
        "risk: [1, 2]",
        "config.yaml:2: risk: expected keys such as capital_usd, mode, risk_pct_by_mode",
    ),
    "a section for a value": (
        "risk:\n  max_leverage:\n    high: 10",
        "config.yaml:3: risk.max_leverage: expected a number from 1 to 125",
    ),
    "a key with nothing behind it": (
        "risk:\n  max_leverage:",
        "config.yaml:3: risk.max_leverage: expected a number from 1 to 125; nothing is written here",
    ),
    "a setup that is not a name": (
        "signals:\n  setups: {fibo-avwap: {}}",
        "config.yaml:3: signals.setups.fibo-avwap: expected a name of small letters, digits and _; "
        "did you mean 'fibo_avwap'?",
    ),
    "no setup": (
        "signals:\n  setups: {}",
        "config.yaml:3: signals.setups: expected a table of at least one, each entry a table",
    ),
    "a regime that is none": (
        "models:\n  meta:\n    gating:\n      per_regime: {trnd: {threshold: 0.5}}",
        "config.yaml:5: models.meta.gating.per_regime.trnd: expected one of trend, range, vol_low, vol_normal, "
        "vol_high; did you mean 'trend'?",
    ),
    "a threshold for a symbol that is none": (
        "models:\n  meta:\n    gating:\n      per_pair_tf: {BTCUSDT: {15m: {threshold: 0.5}}}",
        "config.yaml:5: models.meta.gating.per_pair_tf.BTCUSDT: expected a symbol such as BTC/USDT:USDT (perpetual) "
        "or BTC/USDT (spot); did you mean 'BTC/USDT:USDT' or 'BTC/USDT'?",
    ),
    "a threshold for a timeframe that is none": (
        "models:\n  meta:\n    gating:\n      per_pair_tf:\n        BTC/USDT:USDT: {15x: {threshold: 0.5}}",
        "config.yaml:6: models.meta.gating.per_pair_tf.BTC/USDT:USDT.15x: expected a timeframe from 1m to 1d "
        "such as 15m, 1h or 4h; did you mean '15m'?",
    ),
    "a database in memory": (
        'app:\n  db_path: ":memory:"',
        "config.yaml:3: app.db_path = :memory:: expected a file on a local disk that ends in .db, .sqlite or "
        ".sqlite3, such as data/ohlcv.db",
    ),
    "a database among the devices": (
        "app:\n  db_path: /dev/shm/x.db",
        "config.yaml:3: app.db_path = /dev/shm/x.db: expected a file on a local disk that ends in .db, .sqlite or "
        ".sqlite3, such as data/ohlcv.db",
    ),
    "a path of nothing": (
        'app:\n  data_dir: ""',
        "config.yaml:3: app.data_dir = '': expected a path, relative to the folder of the configuration file or "
        "absolute",
    ),
    "a pickled model": (
        "models:\n  meta:\n    model_path: models/meta_xgb.pkl",
        "config.yaml:4: models.meta.model_path = models/meta_xgb.pkl: expected a folder of model versions such as "
        "models/meta; pickled models are never loaded",
    ),
    "an account of nobody": (
        "notify:\n  telegram:\n    allowed_user_ids: [0]",
        "config.yaml:4: notify.telegram.allowed_user_ids[0] = 0: expected a whole number above 0",
    ),
    "a user name for a user id": (
        "notify:\n  telegram:\n    allowed_user_ids: [somebody]",
        "config.yaml:4: notify.telegram.allowed_user_ids[0] = somebody: expected a whole number above 0",
    ),
    "a token where the chat belongs": (
        f"notify:\n  telegram:\n    chat_id: {TOKEN}",
        "config.yaml:4: notify.telegram.chat_id = ***: expected a chat's number such as 123456789 or "
        "-1001234567890, or @channel",
    ),
    "a token where a word belongs": (
        f"execution:\n  fill: {TOKEN}",
        "config.yaml:3: execution.fill = ***: expected one of touch, through",
    ),
}

DISAGREEMENTS = {
    "a timeframe that is not stored": (
        "timeframes: [15m, 2h]",
        "config.yaml:2: timeframes = 2h: expected one that is stored (1m, 5m, 15m, 1h, 4h); "
        "add it to data.derived_timeframes",
    ),
    "a derived timeframe that is the base": (
        "data: {derived_timeframes: [1m, 15m, 1h, 4h]}",
        "config.yaml:2: data.derived_timeframes = 1m: expected longer than 1m",
    ),
    "a look-back shorter than a candle": (
        "data:\n  derived_timeframes: [15m, 1h, 4h, 1d]",
        "config.yaml:2: data.resample.lookback_minutes = 720: expected at least 1440, the longest derived timeframe",
    ),
    "two periods of one ATR": (
        "execution:\n  trail: {atr_period: 21}",
        "config.yaml:3: execution.trail.atr_period = 21: expected 14, signals.atr_period: the signal's own ATR is used",
    ),
    "a setup with an ATR of its own": (
        "signals:\n  setups:\n    fibo_avwap: {atr_period: 10}",
        "config.yaml:4: signals.setups.fibo_avwap.atr_period = 10: expected 14, signals.atr_period: "
        "stop and trail use one ATR",
    ),
    "targets the wrong way round": (
        "signals:\n  fibo: {tp1_ext: 1.7}",
        "config.yaml:3: signals.fibo.tp2_ext = 1.618: expected more than tp1_ext, 1.7",
    ),
    "an entry beyond its stop": (
        "signals:\n  fibo: {stop_at: level, entry_level: 0.8}",
        "config.yaml:3: signals.fibo.entry_level = 0.8: expected less than 0.786, where stop_at: level puts the stop",
    ),
    "a pivot wider than the past": (
        "signals:\n  lookback_candles: 20\n  fibo: {piv_window: 10}",
        "config.yaml:4: signals.fibo.piv_window = 10: expected less than half of signals.lookback_candles, 20",
    ),
    "a mode without a row": (
        "risk:\n  mode: agressive",
        "config.yaml:3: risk.mode = agressive: expected one of aggressive, conservative, normal; "
        "did you mean 'aggressive'?",
    ),
    "a threshold below its floor": (
        "models:\n  meta:\n    gating: {threshold: 0.3}",
        "config.yaml:4: models.meta.gating.threshold = 0.3: expected at least floors.threshold, 0.4",
    ),
    "two costs modes": (
        "execution: {costs_mode: taker}\nmodels:\n  meta:\n    gating: {costs_mode: maker}",
        "config.yaml:5: models.meta.gating.costs_mode = maker: expected taker, execution.costs_mode; "
        "keep one of the two",
    ),
    "a pair without a threshold": (
        "models:\n  meta:\n    gating:\n      per_pair_tf: {BTC/USDT:USDT: {15m: {expires: 2026-01-01}}}",
        "config.yaml:5: models.meta.gating.per_pair_tf.BTC/USDT:USDT.15m: expected min_ev_pct, threshold or both",
    ),
    "a replay of nothing": (
        "exchange: {id: replay}",
        "config.yaml:2: exchange.replay.path: missing; exchange.id is replay: expected candles to play",
    ),
    "a replay that lacks a symbol": (
        "exchange:\n  id: replay\n  replay: {files: {ETH/USDT:USDT: eth.csv}}",
        "config.yaml:4: exchange.replay.files: expected an entry for BTC/USDT:USDT, or exchange.replay.path",
    ),
    "a replay that ends before it begins": (
        "exchange:\n  replay: {start: 2023-02-01, end: 2023-01-01}",
        "config.yaml:3: exchange.replay.end = 2023-01-01: expected later than start, 2023-02-01",
    ),
    "Telegram without a token": (
        "notify:\n  telegram: {enabled: true, chat_id: 1}",
        "config.yaml:3: notify.telegram.bot_token: missing; Telegram is enabled: put TELEGRAM_BOT_TOKEN into .env",
    ),
    "Telegram with a placeholder for a token": (
        "notify:\n  telegram: {enabled: true, bot_token: YOUR_BOT_TOKEN, chat_id: 1}",
        "config.yaml:3: notify.telegram.bot_token = ***: expected a token such as 123456:ABC-def from @BotFather",
    ),
    "Telegram without a chat": (
        f"notify:\n  telegram: {{enabled: true, bot_token: {TOKEN}}}",
        "config.yaml:3: notify.telegram.chat_id: missing; Telegram is enabled: put TELEGRAM_CHAT_ID into .env",
    ),
    "a token in clear text over the network": (
        "notify:\n  telegram: {base_url: http://example.org}",
        "config.yaml:3: notify.telegram.base_url = ***: expected https, or http on 127.0.0.1",
    ),
}

WRONG_YAML = {
    "a sequence that steers the terminal": (
        'risk:\n  mode: "\\e[31mred"',
        "config.yaml:3: risk.mode = ?[31mred: expected one of aggressive, conservative, normal",
    ),
    "a key written twice": (
        "risk:\n  mode: normal\n  max_leverage: 3\n  mode: aggressive",
        "config.yaml:5: risk.mode: written twice, first in line 3; keep one",
    ),
    "an alias": (
        "timeframes: &tf [15m]\ndata:\n  derived_timeframes: *tf",
        "config.yaml:4: data.derived_timeframes: an alias (*name) is not read here; write the value out",
    ),
    "a bomb of aliases": (
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
        "config.yaml:3: b: an alias (*name) is not read here; write the value out",
    ),
    "a tag that builds objects": (
        'risk: !!python/object/apply:os.system ["true"]',
        "config.yaml:2: risk: a tag (!) is not read here; write the plain value",
    ),
    "a list for a key": (
        "risk:\n  ? [a, b]\n  : 1",
        "config.yaml:3: risk: a list or mapping stands where a key should; expected a name",
    ),
    "a tab": (
        "risk:\n\tmode: normal",
        "config.yaml:3: not valid YAML: a tab; indent with spaces",
    ),
    "an unclosed bracket": (
        "timeframes: [15m, 1h",
        "config.yaml:2: not valid YAML: did not find expected ',' or ']'; check indentation, quotes and colons here",
    ),
    "a value that begins with @": (
        "notify:\n  telegram:\n    chat_id: @channel",
        "config.yaml:4: not valid YAML: found character that cannot start any token; "
        "check indentation, quotes and colons here",
    ),
    "two documents": (
        "---\nrisk: {}",
        "config.yaml:2: a second document (---); expected one",
    ),
    "too deep": (
        "signals: " + "[" * 40 + "]" * 40,
        "config.yaml:2: more than 20 levels; expected a configuration file",
    ),
    "a control character": (
        "app: {timezone: \x01}",
        "config.yaml: not valid YAML: it holds control characters",
    ),
}

CASES = {**WRONG_KEYS, **WRONG_VALUES, **DISAGREEMENTS, **WRONG_YAML}


def refusal(path: Path, environ: dict[str, str] | None = None, overlays: tuple[Path, ...] = ()) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ or {}, overlays)
    assert caught.value.exit_code == 2
    message = str(caught.value)
    assert "\n" not in message
    assert "canary" not in message
    assert "hunter2" not in message
    return message


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_answered_with_one_line_that_says_where_what_and_how_to_mend_it(tmp_path: Path, case: str) -> None:
    text, expected = CASES[case]
    path = tmp_path / "config.yaml"
    path.write_text(SYMBOLS + text + "\n", encoding="utf-8")
    assert refusal(path) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("symbols: []", "config.yaml:1: symbols: expected a list of at least one, each entry a symbol such as "
         "BTC/USDT:USDT (perpetual) or BTC/USDT (spot)"),
        ("risk: {}", "config.yaml: symbols: missing; expected a list of at least one, each entry a symbol such as "
         "BTC/USDT:USDT (perpetual) or BTC/USDT (spot)"),
        ("symbols: BTC/USDT", "config.yaml:1: symbols = BTC/USDT: expected a list of at least one, each entry a symbol "
         "such as BTC/USDT:USDT (perpetual) or BTC/USDT (spot)"),
        ("symbols:\n  - BTC/USDT:USDT\n  - btc/usdt:usdt", "config.yaml:3: symbols[1] = btc/usdt:usdt: expected a "
         "symbol such as BTC/USDT:USDT (perpetual) or BTC/USDT (spot); did you mean 'BTC/USDT:USDT'?"),
        ("symbols: [BTC-USDT]", "config.yaml:1: symbols[0] = BTC-USDT: expected a symbol such as BTC/USDT:USDT "
         "(perpetual) or BTC/USDT (spot); did you mean 'BTC/USDT:USDT' or 'BTC/USDT'?"),
        ("symbols: [BTC/USDT:USDT-250328]", "config.yaml:1: symbols[0] = BTC/USDT:USDT-250328: expected a symbol such "
         "as BTC/USDT:USDT (perpetual) or BTC/USDT (spot)"),
        ("symbols: [ETH/USDT, BTC/USDT, ETH/USDT]", "config.yaml:1: symbols: expected each entry once; 'ETH/USDT' is "
         "written twice"),
        ("- BTC/USDT", "config.yaml:1: expected keys such as symbols: [BTC/USDT:USDT], found a list or a word"),
        ("just words", "config.yaml:1: expected keys such as symbols: [BTC/USDT:USDT], found a list or a word"),
        ("", "config.yaml: the file is empty; expected keys such as symbols: [BTC/USDT:USDT]"),
        ("# only a comment\n", "config.yaml: the file is empty; expected keys such as symbols: [BTC/USDT:USDT]"),
    ],
)  # fmt: skip
def test_symbols_must_be_there_and_be_symbols(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    assert refusal(path) == expected


def test_the_first_mistake_in_the_file_is_told_and_the_others_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(SYMBOLS + "compute:\n  job: 2\nrisk:\n  max_leverage: 0\napp:\n  timezone: Mars\n")
    assert refusal(path) == "config.yaml:3: compute.job: unknown key; did you mean 'jobs'? (+2 more)"


def test_rules_between_keys_are_counted_too(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(SYMBOLS + "risk:\n  mode: calm\nexecution:\n  trail: {atr_period: 3}\n")
    assert refusal(path) == (
        "config.yaml:3: risk.mode = calm: expected one of aggressive, conservative, normal (+1 more)"
    )


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"TRADER__RISK__MAX_LEVERAGE": "0"},
         "environment: TRADER__RISK__MAX_LEVERAGE: risk.max_leverage = 0: expected a number from 1 to 125"),
        ({"TRADER__RISK__MAX_LEVERGE": "3"},
         "environment: TRADER__RISK__MAX_LEVERGE: risk.max_leverge: unknown key; did you mean 'max_leverage'?"),
        ({"TRADER__RISK": "high"},
         "environment: TRADER__RISK: risk = high: expected keys such as capital_usd, mode, risk_pct_by_mode"),
        ({"TRADER__": "1"},
         "environment: TRADER__: expected TRADER__SECTION__KEY, such as TRADER__RISK__MAX_LEVERAGE"),
        ({"TRADER__RISK__": "1"},
         "environment: TRADER__RISK__: expected TRADER__SECTION__KEY, such as TRADER__RISK__MAX_LEVERAGE"),
        ({"TRADER__NOTIFY__TELEGRAM": "canary"},
         "environment: TRADER__NOTIFY__TELEGRAM: notify.telegram = ***: expected keys such as enabled, "
         "bot_token, chat_id"),
        ({"TRADER_RISK__MODE": "aggressive"},
         "environment: TRADER_RISK__MODE: not a setting; did you mean TRADER__RISK__MODE?"),
        ({"trader_models__meta__enabled": "false"},
         "environment: trader_models__meta__enabled: not a setting; did you mean TRADER__MODELS__META__ENABLED?"),
        ({"TRADER__SYMBOLS": "[BTC/USDT"},
         "environment: TRADER__SYMBOLS: not valid YAML: did not find expected ',' or ']'; "
         "check indentation, quotes and colons here"),
        ({"TRADER__NOTIFY__TELEGRAM__ENABLED": "true"},
         "environment: TRADER__NOTIFY__TELEGRAM__ENABLED: notify.telegram.bot_token: missing; Telegram is enabled: "
         "put TELEGRAM_BOT_TOKEN into .env (+1 more)"),
        ({"TRADER__NOTIFY__TELEGRAM__ENABLED": "true", "TELEGRAM_BOT_TOKEN": "canary", "TELEGRAM_CHAT_ID": "7"},
         "environment: TELEGRAM_BOT_TOKEN: notify.telegram.bot_token = ***: expected a token such as 123456:ABC-def "
         "from @BotFather"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_environment_names_the_variable(
    tmp_path: Path, environ: dict[str, str], expected: str
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(SYMBOLS)
    assert refusal(path, environ) == expected


def test_a_mistake_in_the_env_file_names_its_line_and_variable(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(SYMBOLS)
    (tmp_path / ".env").write_text("# a comment\n\nexport TRADER__COMPUTE__JOBS=0\n")
    assert refusal(path) == (".env:3: TRADER__COMPUTE__JOBS: compute.jobs = 0: expected a whole number from 1 to 1024")


def test_a_line_of_the_env_file_that_is_no_variable_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(SYMBOLS)
    (tmp_path / ".env").write_text("FINE=1\n'broken\n")
    assert refusal(path) == ".env:2: not a variable; expected NAME=value"


def test_a_mistake_in_an_overlay_names_the_overlay(tmp_path: Path) -> None:
    path, overlay = tmp_path / "config.yaml", tmp_path / "config.calm.yaml"
    path.write_text(SYMBOLS + "risk:\n  max_leverage: 2\n")
    overlay.write_text("risk:\n  max_leverage: 0\n")
    assert refusal(path, overlays=(overlay,)) == (
        "config.calm.yaml:2: risk.max_leverage = 0: expected a number from 1 to 125"
    )


def test_a_file_that_is_missing_or_a_folder_is_named_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    assert refusal(path) == f"{path}: no such file; expected the configuration here"
    path.mkdir()
    assert refusal(path) == f"{path}: a folder; expected a configuration file"


def test_another_encoding_is_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(SYMBOLS.encode() + "app:\n  data_dir: Börse\n".encode("latin-1"))
    assert refusal(path) == "config.yaml:3: not UTF-8 text; save the file as UTF-8"
    path.write_bytes(SYMBOLS.encode("utf-16"))
    assert refusal(path) == "config.yaml:1: not UTF-8 text; save the file as UTF-8"


def test_a_file_too_large_or_with_too_many_values_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"#" * 1_000_001)
    assert refusal(path) == "config.yaml: larger than 1000 kB; expected a configuration file"
    path.write_text("symbols: [" + "x," * 60_000 + "]")
    assert refusal(path) == "config.yaml:1: more than 50000 values; expected a configuration file"


def test_a_database_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(SYMBOLS + "app:\n  db_path: folder.db\n")
    (tmp_path / "folder.db").mkdir()
    assert refusal(path) == "config.yaml:3: app.db_path = folder.db: expected a file; this is a folder"


def test_a_token_in_the_wrong_place_is_hidden_even_where_no_secret_is_expected(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    for text in (
        f"notify: {{telegram: '{TOKEN}'}}",
        f"{TOKEN}: 1",
        f"symbols: ['{TOKEN}']",
        f"risk: {{mode: '{TOKEN}'}}",
    ):
        path.write_text(("" if "symbols" in text else SYMBOLS) + text + "\n")
        assert "***" in refusal(path)
