-- The first schema. XRP is INTEGER drops or TEXT plain decimal XRP where a column is named *_xrp;
-- issued amounts and prices (RLUSD per XRP) are TEXT plain decimal; times are UTC ISO-8601 TEXT.
-- CHECKs list their words with OR: for IN with more than two, SQLite builds a temporary index at every row,
-- which made a tick's rows cost half as much again.
-- A tick shall cost less than 1 KB: what another row says is not said twice, keys are arithmetic instead of
-- indexes, and the views put together what belongs together. 'tes' stands for tesSUCCESS, the one tes code.

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
    summary_json  TEXT,
    -- The session's orders have a higher id: so they are found without an index of their own.
    first_order   INTEGER NOT NULL DEFAULT 0
) STRICT;

-- id = session_id << 32 | tick finds a tick without an index, and those of a session in order.
CREATE TABLE ticks (
    id            INTEGER PRIMARY KEY CHECK (id = session_id << 32 | tick),
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
    fingerprint   BLOB NOT NULL
) STRICT;

-- bids, asks: five bytes a level, best first. Two: distance behind the best price in 0.01 bps of it; three:
-- size in 0.1 XRP; big-endian, 65535 and 16777215 standing for that or more. v_depth shows them as numbers.
CREATE TABLE market_snapshots (
    id            INTEGER PRIMARY KEY CHECK (id = session_id << 32 | tick),
    session_id    INTEGER NOT NULL REFERENCES sessions (session_id),
    tick          INTEGER NOT NULL,
    best_bid      TEXT,
    best_ask      TEXT,
    pool_xrp_drops INTEGER,
    pool_rlusd    TEXT,
    pool_fee      INTEGER,
    our_bid       TEXT,
    our_ask       TEXT,
    distance_to_bid_touch_bps REAL,
    distance_to_ask_touch_bps REAL,
    bids          BLOB NOT NULL,
    asks          BLOB NOT NULL,
    -- Worked out when asked for.
    mid           REAL AS ((CAST(best_bid AS REAL) + CAST(best_ask AS REAL)) / 2),
    within_2bps_bid INTEGER AS (distance_to_bid_touch_bps >= -2),
    within_2bps_ask INTEGER AS (distance_to_ask_touch_bps >= -2)
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
    created_tick  INTEGER,
    closed_ledger INTEGER,
    submit_tx_hash TEXT,
    offer_sequence INTEGER,
    last_ledger_sequence INTEGER,
    lifetime_seconds INTEGER,
    replaces_order INTEGER,
    result_code   TEXT,
    failure_reason TEXT
) STRICT;

-- id = order_id << 16, counted up from there: the order's transactions are found without an index.
-- tx_hash NULL: that of orders.submit_tx_hash.
CREATE TABLE submissions (
    id            INTEGER PRIMARY KEY CHECK (id >> 16 = order_id),
    session_id    INTEGER NOT NULL REFERENCES sessions (session_id),
    tick          INTEGER NOT NULL,
    order_id      INTEGER NOT NULL REFERENCES orders (id),
    kind          TEXT NOT NULL CHECK (kind = 'create' OR kind = 'replace' OR kind = 'cancel'),
    tx_hash       BLOB CHECK (length(tx_hash) = 32),
    account_sequence INTEGER NOT NULL,
    last_ledger_sequence INTEGER NOT NULL,
    fee_drops     INTEGER NOT NULL,
    blob          TEXT,
    outcome       TEXT CHECK (outcome = 'accepted' OR outcome = 'rejected' OR outcome = 'unknown'),
    preliminary   TEXT,
    result        TEXT,
    ledger_index  INTEGER,
    transaction_index INTEGER
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
    -- An order is one node of a transaction and outlives its session when a later one adopts it: this is
    -- what keeps a fill from counting twice, in one session or over many.
    UNIQUE (order_id, ledger_index, transaction_index)
) STRICT;

-- id = 2 x fill_id for XRP, one more for the token: each fill once by asset, without an index.
CREATE TABLE inventory_ledger (
    id            INTEGER PRIMARY KEY CHECK (id = 2 * fill_id + (asset <> 'XRP')),
    session_id    INTEGER NOT NULL REFERENCES sessions (session_id),
    fill_id       INTEGER NOT NULL REFERENCES fills (id),
    asset         TEXT NOT NULL,
    change        TEXT NOT NULL,
    new_balance   TEXT NOT NULL
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
SELECT o.id, o.session_id, o.slot, o.side, CAST(o.price AS REAL) AS price,
       CAST(o.size_xrp AS REAL) AS size_xrp, CAST(o.filled_xrp AS REAL) AS filled_xrp,
       CAST(o.size_rlusd AS REAL) AS size_rlusd, CAST(o.filled_rlusd AS REAL) AS filled_rlusd, o.status,
       CASE o.result_code WHEN 'tes' THEN 'tesSUCCESS' ELSE o.result_code END AS result_code,
       CASE o.failure_reason WHEN 'replaced' THEN 'replaced by order ' || (
                SELECT n.id FROM orders n WHERE n.id > o.id AND n.replaces_order = o.id ORDER BY n.id LIMIT 1)
            ELSE o.failure_reason END AS failure_reason, o.created_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', o.created_at, o.lifetime_seconds || ' seconds') AS expiration,
       t.ledger_index AS created_ledger, o.closed_ledger
FROM orders o LEFT JOIN ticks t ON t.id = o.session_id << 32 | o.created_tick;

CREATE VIEW v_submissions AS
SELECT u.id, u.session_id, u.tick, u.order_id, u.kind,
       CASE WHEN u.tx_hash IS NULL THEN o.submit_tx_hash ELSE hex(u.tx_hash) END AS tx_hash,
       u.account_sequence, u.last_ledger_sequence, u.fee_drops, u.blob, u.outcome,
       CASE u.preliminary WHEN 'tes' THEN 'tesSUCCESS' ELSE u.preliminary END AS preliminary,
       CASE u.result WHEN 'tes' THEN 'tesSUCCESS' ELSE u.result END AS result,
       u.ledger_index, u.transaction_index
FROM submissions u JOIN orders o ON o.id = u.order_id;

CREATE VIEW v_fills AS
SELECT id, session_id, order_id, ledger_index, close_time, side, liquidity, xrp_drops / 1000000.0 AS xrp,
       CAST(rlusd AS REAL) AS rlusd, CAST(price AS REAL) AS price, CAST(mid AS REAL) AS mid, tx_hash
FROM fills;

CREATE VIEW v_inventory AS
SELECT i.id, i.session_id, i.fill_id, f.tick, f.close_time, i.asset, CAST(i.change AS REAL) AS change,
       CAST(i.new_balance AS REAL) AS new_balance
FROM inventory_ledger i JOIN fills f ON f.id = i.fill_id;

CREATE VIEW v_ticks AS
SELECT t.session_id, t.tick, t.ledger_index, t.close_time, m.mid,
       CAST(t.anchor AS REAL) AS anchor, t.anchor_source, CAST(t.half_spread_bps AS REAL) AS half_spread_bps,
       t.quoting, t.gates, t.inventory_xrp_drops / 1000000.0 AS inventory_xrp,
       CAST(t.inventory_rlusd AS REAL) AS inventory_rlusd,
       CAST(t.realised_rlusd AS REAL) AS realised_rlusd,
       CAST(t.unrealised_rlusd AS REAL) AS unrealised_rlusd,
       CAST(t.account_value_rlusd AS REAL) AS account_value_rlusd
FROM ticks t LEFT JOIN market_snapshots m ON m.id = t.id;

CREATE VIEW v_quotes AS
SELECT t.session_id, t.tick, t.close_time, q.key AS slot, q.value ->> 0 AS price,
       (q.value ->> 1) / 1000000.0 AS xrp
FROM ticks t, json_each(t.quotes) q;

CREATE VIEW v_factors AS
SELECT t.session_id, t.tick, t.close_time, 
       CASE f.key WHEN 'v' THEN 'volatility' WHEN 'r' THEN 'range' WHEN 'm' THEN 'multiplier'
                  WHEN 't' THEN 'transfer_fee_bps' WHEN 'n' THEN 'network_fee_bps' WHEN 'i' THEN 'imbalance'
                  ELSE f.key END AS name,
       CAST(f.value AS REAL) AS value
FROM ticks t, json_each(t.factors) f;

CREATE VIEW v_snapshots AS
SELECT m.session_id, m.tick, t.ledger_index, t.close_time, CAST(m.best_bid AS REAL) AS best_bid,
       CAST(m.best_ask AS REAL) AS best_ask, m.mid,
       m.pool_xrp_drops / 1000000.0 AS pool_xrp, CAST(m.pool_rlusd AS REAL) AS pool_rlusd, m.pool_fee,
       CAST(m.our_bid AS REAL) AS our_bid, CAST(m.our_ask AS REAL) AS our_ask,
       m.distance_to_bid_touch_bps, m.distance_to_ask_touch_bps, m.within_2bps_bid, m.within_2bps_ask
FROM market_snapshots m JOIN ticks t ON t.id = m.id;

-- A hex digit's value is its place in d, 0 when it is not there; << and | are taken from left to right.
CREATE VIEW v_depth AS
WITH RECURSIVE places(n) AS (
    VALUES (0) UNION ALL SELECT n + 1 FROM places WHERE n < 59
), sides AS (
    SELECT id, 'bid' AS side, -1 AS sign, CAST(best_bid AS REAL) AS best, bids AS levels FROM market_snapshots
    UNION ALL
    SELECT id, 'ask', 1, CAST(best_ask AS REAL), asks FROM market_snapshots
), digits AS (
    SELECT id, side, sign, best, n + 1 AS level, hex(substr(levels, 5 * n + 1, 5)) AS h,
           '123456789ABCDEF' AS d
    FROM sides JOIN places ON 5 * n < length(levels)
), numbers AS (
    SELECT id, side, sign, best, level,
           instr(d, substr(h, 1, 1)) << 4 | instr(d, substr(h, 2, 1))
           << 4 | instr(d, substr(h, 3, 1)) << 4 | instr(d, substr(h, 4, 1)) AS distance,
           instr(d, substr(h, 5, 1)) << 4 | instr(d, substr(h, 6, 1))
           << 4 | instr(d, substr(h, 7, 1)) << 4 | instr(d, substr(h, 8, 1))
           << 4 | instr(d, substr(h, 9, 1)) << 4 | instr(d, substr(h, 10, 1)) AS size
    FROM digits
)
SELECT id >> 32 AS session_id, id & 0xFFFFFFFF AS tick, side, level,
       best * (1 + sign * distance / 1000000.0) AS price, size / 10.0 AS xrp, distance / 100.0 AS behind_bps
FROM numbers;
