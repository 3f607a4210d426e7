"""The tables of schema 1, and why each may grow.

The law: times are UTC milliseconds; a float that is not known is NULL here and NaN outside; text that is missing
is ''. ``created_ms`` and ``updated_ms`` are the machine's time of writing, for people: the engine decides nothing
on them.
"""

from __future__ import annotations

__all__ = ["SCHEMA_1"]

_CANDLES = """
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row a symbol: what the exchange says about it.
CREATE TABLE instruments (
    exchange TEXT NOT NULL,
    symbol TEXT NOT NULL,
    tick REAL,
    lot REAL,
    min_notional REAL,
    active INTEGER NOT NULL,
    PRIMARY KEY (exchange, symbol)
) STRICT, WITHOUT ROWID;

CREATE TABLE symbols_off (
    exchange TEXT NOT NULL,
    symbol TEXT NOT NULL,
    reason TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    PRIMARY KEY (exchange, symbol)
) STRICT, WITHOUT ROWID;

-- One row a symbol and timeframe. Rows are never deleted: candles refer to them by id.
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    exchange TEXT NOT NULL,
    symbol TEXT NOT NULL,
    timeframe TEXT NOT NULL,
    timeframe_ms INTEGER NOT NULL CHECK (timeframe_ms > 0),
    frontier_ms INTEGER,
    scanned_ms INTEGER,
    UNIQUE (exchange, symbol, timeframe)
) STRICT;

CREATE TABLE sync_checkpoint (
    series_id INTEGER PRIMARY KEY REFERENCES series (id),
    checkpoint_ms INTEGER NOT NULL
) STRICT;

-- The truth; grows with the market, about 0.1 GB a symbol-year of one-minute candles with its blocks. No
-- foreign key: half a million checks a symbol-year, against a table nothing is ever deleted from.
CREATE TABLE candle (
    series_id INTEGER NOT NULL,
    ts_ms INTEGER NOT NULL,
    open REAL NOT NULL,
    high REAL NOT NULL,
    low REAL NOT NULL,
    close REAL NOT NULL,
    volume REAL NOT NULL,
    taker_volume REAL,
    n_minutes INTEGER NOT NULL,
    first_seen_ms INTEGER,
    PRIMARY KEY (series_id, ts_ms)
) STRICT, WITHOUT ROWID;

CREATE VIEW ohlcv AS
    SELECT s.exchange, s.symbol, s.timeframe, c.ts_ms, c.open, c.high, c.low, c.close, c.volume
    FROM series s JOIN candle c ON c.series_id = s.id;

-- Derived from candle, see core/store/blocks.py; n stands before data so that it is read without it.
CREATE TABLE candle_block (
    id INTEGER PRIMARY KEY,
    series_id INTEGER NOT NULL,
    start_ms INTEGER NOT NULL,
    n INTEGER NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (series_id, start_ms)
) STRICT;

-- One row a minute the exchange did not have.
CREATE TABLE gaps (
    series_id INTEGER NOT NULL REFERENCES series (id),
    ts_ms INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'confirmed', 'filled')),
    first_missed_ms INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    next_try_ms INTEGER NOT NULL,
    PRIMARY KEY (series_id, ts_ms)
) STRICT, WITHOUT ROWID;

-- The newest 100 000 changes of stored candles; old values are NULL where a confirmed gap was filled.
CREATE TABLE candle_revisions (
    id INTEGER PRIMARY KEY,
    series_id INTEGER NOT NULL REFERENCES series (id),
    ts_ms INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL,
    old_open REAL, old_high REAL, old_low REAL, old_close REAL, old_volume REAL,
    old_taker_volume REAL, old_n_minutes INTEGER,
    new_open REAL NOT NULL, new_high REAL NOT NULL, new_low REAL NOT NULL, new_close REAL NOT NULL,
    new_volume REAL NOT NULL, new_taker_volume REAL, new_n_minutes INTEGER NOT NULL
) STRICT;
CREATE INDEX candle_revisions_of ON candle_revisions (series_id, ts_ms);

-- The newest 20 000 refused candles; the same one refused again is counted, not added.
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY,
    series_id INTEGER NOT NULL REFERENCES series (id),
    ts_ms INTEGER NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    first_seen_ms INTEGER NOT NULL,
    last_seen_ms INTEGER NOT NULL,
    times INTEGER NOT NULL,
    UNIQUE (series_id, ts_ms, reason)
) STRICT;

-- Three rows a day and symbol.
CREATE TABLE funding_rates (
    exchange TEXT NOT NULL,
    symbol TEXT NOT NULL,
    ts_ms INTEGER NOT NULL,
    rate REAL NOT NULL,
    PRIMARY KEY (exchange, symbol, ts_ms)
) STRICT, WITHOUT ROWID;
"""

_RECORD = """
-- The record: every candidate with its verdict. Kept for ever.
CREATE TABLE signals (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    ts_ms INTEGER NOT NULL,
    decided_ms INTEGER NOT NULL,
    exchange TEXT NOT NULL,
    symbol TEXT NOT NULL,
    timeframe TEXT NOT NULL,
    setup TEXT NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('long', 'short')),
    order_type TEXT NOT NULL CHECK (order_type IN ('limit', 'market', 'stop')),
    entry REAL NOT NULL,
    sl REAL NOT NULL,
    tp1 REAL NOT NULL,
    tp2 REAL,
    atr REAL,
    valid_until_ms INTEGER NOT NULL,
    leverage REAL,
    risk_pct REAL,
    position_notional REAL,
    confidence REAL,
    rationale TEXT NOT NULL,
    plan TEXT NOT NULL,
    plan_hash TEXT NOT NULL,
    regime_trend TEXT NOT NULL,
    regime_vol TEXT NOT NULL,
    ml_p_raw REAL,
    ml_p REAL,
    ev_pct REAL,
    model_version TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('PASS', 'FILTERED', 'NO_EVIDENCE', 'ABSTAIN', 'UNGATED')),
    reason TEXT NOT NULL,
    origin TEXT NOT NULL CHECK (origin IN ('live', 'retro')),
    in_sample INTEGER NOT NULL CHECK (in_sample IN (0, 1)),
    created_ms INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER))
) STRICT;
CREATE INDEX signals_of ON signals (exchange, symbol, timeframe, decided_ms);
CREATE INDEX signals_when ON signals (decided_ms);
CREATE INDEX signals_newest ON signals (exchange, decided_ms);
CREATE TRIGGER signals_live_stay BEFORE UPDATE ON signals WHEN old.origin = 'live'
BEGIN SELECT raise(ABORT, 'a live signal is never changed'); END;
CREATE TRIGGER signals_live_kept BEFORE DELETE ON signals WHEN old.origin = 'live'
BEGIN SELECT raise(ABORT, 'a live signal is never deleted'); END;

CREATE TABLE decisions (
    signal_id INTEGER NOT NULL REFERENCES signals (id),
    seq INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    reason TEXT NOT NULL,
    p_geo REAL,
    ml_p_raw REAL,
    ml_p REAL,
    ev_payoff_r REAL,
    ev_p_r REAL,
    ev_pct REAL,
    threshold REAL,
    threshold_source TEXT NOT NULL,
    model_version TEXT NOT NULL,
    PRIMARY KEY (signal_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE exit_policies (
    exit_policy TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    params TEXT NOT NULL,
    created_ms INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER))
) STRICT, WITHOUT ROWID;

CREATE TABLE trades (
    signal_id INTEGER NOT NULL REFERENCES signals (id),
    exit_policy TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('PENDING', 'OPEN', 'CLOSED', 'EXPIRED', 'CANCELLED')),
    taken INTEGER NOT NULL CHECK (taken IN (0, 1)),
    blocked_by TEXT NOT NULL,
    opened_ms INTEGER NOT NULL,
    closed_ms INTEGER NOT NULL,
    known_ms INTEGER NOT NULL,
    fill_price REAL,
    exit_price REAL,
    exit_reason TEXT NOT NULL,
    tp1_hit INTEGER NOT NULL,
    gross_pct REAL,
    fees_pct REAL,
    funding_pct REAL,
    pnl_pct REAL,
    pnl_usd REAL,
    r_multiple REAL,
    mfe_pct REAL,
    mae_pct REAL,
    ambiguous INTEGER NOT NULL,
    next_ms INTEGER NOT NULL,
    stop REAL,
    extreme REAL,
    remaining REAL,
    next_target INTEGER NOT NULL,
    funded_ms INTEGER NOT NULL,
    n_events INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER)),
    PRIMARY KEY (signal_id, exit_policy)
) STRICT, WITHOUT ROWID;
CREATE INDEX trades_by_status ON trades (status, exit_policy);
CREATE INDEX trades_by_end ON trades (known_ms) WHERE taken = 1;

CREATE TABLE trade_events (
    signal_id INTEGER NOT NULL,
    exit_policy TEXT NOT NULL,
    seq INTEGER NOT NULL,
    ts_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    price REAL,
    fraction REAL,
    fee_pct REAL,
    rate_pct REAL,
    source TEXT NOT NULL,
    PRIMARY KEY (signal_id, exit_policy, seq)
) STRICT, WITHOUT ROWID;
"""

_OPERATIONS = """
-- What is to be told, written with what it announces; a row an alert, kept: replies need the remote id.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    channel TEXT NOT NULL,
    kind TEXT NOT NULL,
    signal_id INTEGER NOT NULL DEFAULT 0,
    exit_policy TEXT NOT NULL DEFAULT '',
    payload TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued',
    tries INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL,
    next_try_ms INTEGER NOT NULL,
    marked_ms INTEGER NOT NULL DEFAULT 0,
    remote_id TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX outbox_due ON outbox (state, next_try_ms);
CREATE INDEX outbox_of ON outbox (signal_id);

-- The newest 1 000 runs of each job.
CREATE TABLE job_runs (
    id INTEGER PRIMARY KEY,
    job TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    finished_ms INTEGER NOT NULL,
    status TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX job_runs_of ON job_runs (job, id);
"""

SCHEMA_1 = _CANDLES + _RECORD + _OPERATIONS
