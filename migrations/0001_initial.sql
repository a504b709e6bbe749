-- The first schema. XRP is INTEGER drops or TEXT plain decimal XRP where a column is named *_xrp;
-- issued amounts and prices (RLUSD per XRP) are TEXT plain decimal; times are UTC ISO-8601 TEXT.
-- CHECKs list their words with OR: for IN with more than two, SQLite builds a temporary index at every row,
-- which made a tick's rows cost half as much again.

CREATE TABLE sessions (
    session_id    INTEGER PRIMARY KEY,
    mode          TEXT NOT NULL CHECK (mode = 'paper' OR mode = 'live' OR mode = 'replay'),
    feed          TEXT NOT NULL,
    pair          TEXT NOT NULL DEFAULT '',
    account       TEXT NOT NULL DEFAULT '',
    recording     TEXT,
    speed         TEXT,
    seed          INTEGER,
    started_at    TEXT NOT NULL,
    ended_at      TEXT,
    halt_reason   TEXT,
    halt_detail   TEXT,
    config_json   TEXT NOT NULL DEFAULT '{}',
    config_hash   TEXT NOT NULL DEFAULT '',
    engine_version TEXT NOT NULL,
    pid           INTEGER,
    first_ledger  INTEGER,
    last_ledger   INTEGER,
    market_start  TEXT,
    market_end    TEXT,
    ticks         INTEGER NOT NULL DEFAULT 0,
    fingerprint   TEXT,
    summary_json  TEXT
) STRICT;

-- Wide rows in tables with a rowid: without one, SQLite keeps only about 1,000 bytes of a row in its page
-- and gives the rest of each row an overflow page of its own.
CREATE TABLE ticks (
    session_id    INTEGER NOT NULL REFERENCES sessions (session_id),
    tick          INTEGER NOT NULL,
    kind          TEXT NOT NULL CHECK (
                    kind = 'ledger' OR kind = 'silence' OR kind = 'fault' OR kind = 'end'),
    ledger_index  INTEGER NOT NULL,
    close_time    TEXT NOT NULL,
    anchor        TEXT,
    anchor_source TEXT,
    divergence_bps TEXT,
    anchor_clamped INTEGER NOT NULL DEFAULT 0,
    volatility_bps TEXT,
    atr_bps       TEXT,
    reservation   TEXT,
    half_spread_bps TEXT,
    factors       TEXT,
    gates         TEXT,
    quotes        TEXT,
    quoting       TEXT NOT NULL CHECK (
                    quoting = 'both' OR quoting = 'bid' OR quoting = 'ask' OR quoting = 'none'),
    placed        INTEGER NOT NULL,
    canceled      INTEGER NOT NULL,
    kept          INTEGER NOT NULL,
    fills         INTEGER NOT NULL,
    inventory_xrp_drops INTEGER NOT NULL,
    inventory_rlusd TEXT NOT NULL,
    fees_drops    INTEGER NOT NULL,
    mark          TEXT,
    net_capital_rlusd TEXT NOT NULL,
    realised_rlusd TEXT NOT NULL,
    unrealised_rlusd TEXT NOT NULL,
    account_value_rlusd TEXT NOT NULL,
    fingerprint   BLOB NOT NULL,
    PRIMARY KEY (session_id, tick)
) STRICT;

CREATE TABLE market_snapshots (
    session_id    INTEGER NOT NULL REFERENCES sessions (session_id),
    tick          INTEGER NOT NULL,
    ledger_index  INTEGER NOT NULL,
    close_time    TEXT NOT NULL,
    best_bid      TEXT,
    best_ask      TEXT,
    mid           TEXT,
    pool_xrp_drops INTEGER,
    pool_rlusd    TEXT,
    pool_fee      INTEGER,
    our_bid       TEXT,
    our_ask       TEXT,
    distance_to_bid_touch_bps REAL,
    distance_to_ask_touch_bps REAL,
    within_2bps_bid INTEGER,
    within_2bps_ask INTEGER,
    bids          TEXT NOT NULL,
    asks          TEXT NOT NULL,
    PRIMARY KEY (session_id, tick)
) STRICT;

CREATE TABLE orders (
    id            INTEGER PRIMARY KEY,
    session_id    INTEGER NOT NULL REFERENCES sessions (session_id),
    order_no      INTEGER NOT NULL DEFAULT 0,
    slot          TEXT NOT NULL DEFAULT '',
    side          TEXT NOT NULL CHECK (side = 'buy' OR side = 'sell'),
    price         TEXT NOT NULL,
    size_xrp      TEXT NOT NULL,
    size_rlusd    TEXT NOT NULL DEFAULT '0',
    filled_xrp    TEXT NOT NULL DEFAULT '0',
    filled_rlusd  TEXT NOT NULL DEFAULT '0',
    status        TEXT NOT NULL CHECK (
                    status = 'PENDING_SUBMIT' OR status = 'SUBMITTED' OR status = 'OPEN'
                    OR status = 'PARTIALLY_FILLED' OR status = 'FILLED'
                    OR status = 'PENDING_CANCEL' OR status = 'CANCELED' OR status = 'EXPIRED'
                    OR status = 'DENIED' OR status = 'REJECTED' OR status = 'UNKNOWN'),
    created_at    TEXT NOT NULL,
    updated_at    TEXT,
    created_tick  INTEGER,
    created_ledger INTEGER,
    closed_ledger INTEGER,
    submit_tx_hash TEXT,
    offer_sequence INTEGER,
    last_ledger_sequence INTEGER,
    expiration    TEXT,
    replaces_order INTEGER,
    result_code   TEXT,
    failure_reason TEXT
) STRICT;
CREATE INDEX orders_by_session ON orders (session_id, order_no);

CREATE TABLE submissions (
    id            INTEGER PRIMARY KEY,
    session_id    INTEGER NOT NULL REFERENCES sessions (session_id),
    tick          INTEGER NOT NULL,
    order_id      INTEGER NOT NULL REFERENCES orders (id),
    kind          TEXT NOT NULL CHECK (kind = 'create' OR kind = 'replace' OR kind = 'cancel'),
    tx_hash       TEXT NOT NULL,
    account_sequence INTEGER NOT NULL,
    last_ledger_sequence INTEGER NOT NULL,
    fee_drops     INTEGER NOT NULL,
    blob          TEXT,
    outcome       TEXT CHECK (outcome = 'accepted' OR outcome = 'rejected' OR outcome = 'unknown'),
    preliminary   TEXT,
    result        TEXT,
    ledger_index  INTEGER,
    transaction_index INTEGER,
    UNIQUE (tx_hash, session_id)
) STRICT;

CREATE TABLE fills (
    id            INTEGER PRIMARY KEY,
    session_id    INTEGER NOT NULL REFERENCES sessions (session_id),
    order_id      INTEGER NOT NULL REFERENCES orders (id),
    tick          INTEGER NOT NULL,
    ledger_index  INTEGER NOT NULL,
    transaction_index INTEGER NOT NULL,
    node          TEXT NOT NULL,
    close_time    TEXT NOT NULL,
    tx_hash       TEXT NOT NULL,
    side          TEXT NOT NULL CHECK (side = 'buy' OR side = 'sell'),
    liquidity     TEXT NOT NULL CHECK (liquidity = 'maker' OR liquidity = 'taker'),
    xrp_drops     INTEGER NOT NULL,
    rlusd         TEXT NOT NULL,
    rlusd_balance_delta TEXT NOT NULL,
    rounding      TEXT NOT NULL,
    price         TEXT NOT NULL,
    mid           TEXT,
    offer_sequence INTEGER NOT NULL,
    UNIQUE (session_id, ledger_index, transaction_index, node),
    -- An order outlives its session when a later one adopts it: its fill must not count twice then.
    UNIQUE (order_id, ledger_index, transaction_index)
) STRICT;

CREATE TABLE inventory_ledger (
    id            INTEGER PRIMARY KEY,
    session_id    INTEGER NOT NULL REFERENCES sessions (session_id),
    fill_id       INTEGER NOT NULL REFERENCES fills (id),
    tick          INTEGER NOT NULL,
    asset         TEXT NOT NULL,
    change        TEXT NOT NULL,
    new_balance   TEXT NOT NULL,
    created_at    TEXT NOT NULL,
    UNIQUE (fill_id, asset)
) STRICT;

CREATE TABLE capital_events (
    id            INTEGER PRIMARY KEY,
    session_id    INTEGER REFERENCES sessions (session_id),
    -- 0: the operator's request, unique in the whole database. A session's id: an opening balance or
    -- a replayed event, which every session has anew.
    scope         INTEGER NOT NULL,
    request_id    TEXT NOT NULL,
    kind          TEXT NOT NULL CHECK (kind = 'opening' OR kind = 'deposit' OR kind = 'withdrawal'),
    asset         TEXT NOT NULL,
    amount        TEXT NOT NULL,
    mark          TEXT,
    status        TEXT NOT NULL CHECK (status = 'waiting' OR status = 'applied' OR status = 'refused'),
    reason        TEXT,
    note          TEXT NOT NULL DEFAULT '',
    created_at    TEXT NOT NULL,
    effective_at  TEXT,
    tick          INTEGER,
    UNIQUE (scope, request_id)
) STRICT;

CREATE TABLE feed_faults (
    id            INTEGER PRIMARY KEY,
    session_id    INTEGER NOT NULL REFERENCES sessions (session_id),
    tick          INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    line          INTEGER,
    detail        TEXT NOT NULL
) STRICT;

CREATE TABLE reconciliations (
    id            INTEGER PRIMARY KEY,
    session_id    INTEGER NOT NULL REFERENCES sessions (session_id),
    tick          INTEGER NOT NULL,
    finding       TEXT NOT NULL,
    order_id      INTEGER REFERENCES orders (id),
    severity      TEXT NOT NULL CHECK (severity = 'repaired' OR severity = 'halt'),
    detail        TEXT NOT NULL
) STRICT;

CREATE TABLE engine_state (
    key           TEXT PRIMARY KEY,
    value         TEXT NOT NULL,
    updated_at    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE VIEW v_orders AS
SELECT id, session_id, slot, side, CAST(price AS REAL) AS price, CAST(size_xrp AS REAL) AS size_xrp,
       CAST(filled_xrp AS REAL) AS filled_xrp, CAST(size_rlusd AS REAL) AS size_rlusd,
       CAST(filled_rlusd AS REAL) AS filled_rlusd, status, result_code, failure_reason,
       created_at, created_ledger, closed_ledger
FROM orders;

CREATE VIEW v_fills AS
SELECT id, session_id, order_id, ledger_index, close_time, side, liquidity, xrp_drops / 1000000.0 AS xrp,
       CAST(rlusd AS REAL) AS rlusd, CAST(price AS REAL) AS price, CAST(mid AS REAL) AS mid, tx_hash
FROM fills;

CREATE VIEW v_ticks AS
SELECT t.session_id, t.tick, t.ledger_index, t.close_time, CAST(m.mid AS REAL) AS mid,
       CAST(t.anchor AS REAL) AS anchor, t.anchor_source, CAST(t.half_spread_bps AS REAL) AS half_spread_bps,
       t.quoting, t.gates, t.inventory_xrp_drops / 1000000.0 AS inventory_xrp,
       CAST(t.inventory_rlusd AS REAL) AS inventory_rlusd,
       CAST(t.realised_rlusd AS REAL) AS realised_rlusd,
       CAST(t.unrealised_rlusd AS REAL) AS unrealised_rlusd,
       CAST(t.account_value_rlusd AS REAL) AS account_value_rlusd
FROM ticks t LEFT JOIN market_snapshots m ON m.session_id = t.session_id AND m.tick = t.tick;
