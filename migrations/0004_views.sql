-- Views for questions about money and execution. `id` is that of the row beneath, so that the ticks of
-- session N are found at once by `id BETWEEN N << 32 AND (N << 32) + 0xFFFFFFFF`.
DROP VIEW v_fills;
CREATE VIEW v_fills AS
SELECT f.id, f.session_id, f.order_id, o.slot, f.tick, f.ledger_index, f.close_time, f.side, f.liquidity,
       f.xrp_drops / 1000000.0 AS xrp, CAST(f.rlusd AS REAL) AS rlusd, CAST(f.price AS REAL) AS price,
       CAST(f.mid AS REAL) AS mid, m.mid AS mid_before, f.tx_hash
FROM fills f LEFT JOIN orders o ON o.id = f.order_id
     LEFT JOIN market_snapshots m ON m.id = f.session_id << 32 | f.tick - 1;

DROP VIEW v_ticks;
CREATE VIEW v_ticks AS
SELECT t.id, t.session_id, t.tick, t.ledger_index, t.close_time, m.mid,
       CAST(t.anchor AS REAL) AS anchor, t.anchor_source, CAST(t.half_spread_bps AS REAL) AS half_spread_bps,
       CAST(t.volatility_bps AS REAL) AS volatility_bps, t.quoting, t.gates,
       t.inventory_xrp_drops / 1000000.0 AS inventory_xrp, CAST(t.inventory_rlusd AS REAL) AS inventory_rlusd,
       CAST(t.realised_rlusd AS REAL) AS realised_rlusd,
       CAST(t.unrealised_rlusd AS REAL) AS unrealised_rlusd,
       CAST(t.account_value_rlusd AS REAL) AS account_value_rlusd
FROM ticks t LEFT JOIN market_snapshots m ON m.id = t.id;

DROP VIEW v_quotes;
CREATE VIEW v_quotes AS
SELECT t.id, t.session_id, t.tick, t.close_time, q.key AS slot, q.value ->> 0 AS price,
       (q.value ->> 1) / 1000000.0 AS xrp
FROM ticks t, json_each(t.quotes) q;

DROP VIEW v_factors;
CREATE VIEW v_factors AS
SELECT t.id, t.session_id, t.tick, t.close_time,
       CASE f.key WHEN 'v' THEN 'volatility' WHEN 'r' THEN 'range' WHEN 'm' THEN 'multiplier'
                  WHEN 't' THEN 'transfer_fee_bps' WHEN 'n' THEN 'network_fee_bps' WHEN 'i' THEN 'imbalance'
                  ELSE f.key END AS name,
       CAST(f.value AS REAL) AS value
FROM ticks t, json_each(t.factors) f;

DROP VIEW v_snapshots;
CREATE VIEW v_snapshots AS
SELECT m.id, m.session_id, m.tick, t.ledger_index, t.close_time, CAST(m.best_bid AS REAL) AS best_bid,
       CAST(m.best_ask AS REAL) AS best_ask, m.mid,
       m.pool_xrp_drops / 1000000.0 AS pool_xrp, CAST(m.pool_rlusd AS REAL) AS pool_rlusd, m.pool_fee,
       CAST(m.our_bid AS REAL) AS our_bid, CAST(m.our_ask AS REAL) AS our_ask,
       m.distance_to_bid_touch_bps, m.distance_to_ask_touch_bps, m.within_2bps_bid, m.within_2bps_ask
FROM market_snapshots m JOIN ticks t ON t.id = m.id;

CREATE VIEW v_gates AS
SELECT t.id, t.session_id, t.tick, t.close_time, g.value ->> 'name' AS name, g.value ->> 'side' AS side,
       g.value ->> 'detail' AS detail
FROM ticks t, json_each(t.gates) g;

CREATE VIEW v_pnl AS
SELECT id, session_id, tick, ledger_index, close_time, CAST(mark AS REAL) AS mark,
       CAST(account_value_rlusd AS REAL) - CAST(net_capital_rlusd AS REAL) AS total_rlusd,
       CAST(realised_rlusd AS REAL) AS realised_rlusd, CAST(unrealised_rlusd AS REAL) AS unrealised_rlusd,
       fees_drops / 1000000.0 * CAST(mark AS REAL) AS fees_rlusd, fees_drops,
       CAST(account_value_rlusd AS REAL) AS account_value_rlusd,
       CAST(net_capital_rlusd AS REAL) AS net_capital_rlusd,
       inventory_xrp_drops / 1000000.0 AS inventory_xrp, CAST(inventory_rlusd AS REAL) AS inventory_rlusd
FROM ticks;

-- The last tick of a session is found by its id, its fills are counted in one reading of all.
CREATE VIEW v_sessions AS
SELECT s.session_id, s.mode, s.feed, s.pair, s.recording, s.seed, s.started_at, s.ended_at, s.market_start,
       s.market_end, coalesce(t.tick, 0) AS ticks, s.halt_reason, s.halt_detail, coalesce(f.fills, 0) AS fills,
       coalesce(f.xrp, 0.0) AS traded_xrp, coalesce(f.rlusd, 0.0) AS traded_rlusd,
       CAST(t.account_value_rlusd AS REAL) - CAST(t.net_capital_rlusd AS REAL) AS total_rlusd,
       CAST(t.account_value_rlusd AS REAL) AS account_value_rlusd,
       CAST(t.net_capital_rlusd AS REAL) AS net_capital_rlusd, t.fees_drops,
       s.config_json ->> '$.strategy.model' AS model,
       CAST(s.config_json ->> '$.strategy.base_offset_bps' AS REAL) AS base_offset_bps,
       CAST(s.config_json ->> '$.order_size.base_size_rlusd' AS REAL) AS base_size_rlusd,
       s.config_json ->> '$.strategy.ladder_levels' AS ladder_levels, substr(s.config_hash, 1, 12) AS config,
       s.engine_version
FROM sessions s
     LEFT JOIN ticks t ON t.id = (
         SELECT max(id) FROM ticks
         WHERE id BETWEEN s.session_id << 32 AND (s.session_id << 32) + 0xFFFFFFFF)
     LEFT JOIN (SELECT session_id, count(*) AS fills, sum(xrp_drops) / 1000000.0 AS xrp,
                       sum(CAST(rlusd AS REAL)) AS rlusd
                FROM fills GROUP BY session_id) f ON f.session_id = s.session_id;

-- The ledger so many later mostly is as many ticks later. Where ticks without a ledger, or a gap, lie between,
-- the first tick from the fill on that has reached that ledger is looked for; it counts only if it is that one.
CREATE VIEW v_markouts AS
WITH horizons(ledgers) AS (VALUES (1), (2), (5), (15), (60)),
placed AS (
    SELECT f.id AS fill_id, f.session_id, f.close_time, f.side, f.liquidity, f.xrp_drops, f.price, h.ledgers,
           f.ledger_index + h.ledgers AS wanted, f.session_id << 32 | f.tick AS seen_id
    FROM fills f CROSS JOIN horizons h
), found AS (
    SELECT p.*, coalesce(
        (SELECT t.id FROM ticks t WHERE t.id = p.seen_id + p.ledgers AND t.ledger_index = p.wanted
                                        AND t.kind = 'ledger'),
        (SELECT t.id FROM ticks t
         WHERE t.id > p.seen_id AND t.id <= p.seen_id | 0xFFFFFFFF AND t.ledger_index >= p.wanted
               AND t.kind = 'ledger'
         ORDER BY t.id LIMIT 1)) AS later_id
    FROM placed p
)
SELECT p.fill_id, p.session_id, p.close_time, p.side, p.liquidity, p.ledgers,
       p.xrp_drops / 1000000.0 AS xrp, CAST(p.price AS REAL) AS price, m.mid AS mid_later,
       CASE p.side WHEN 'buy' THEN 1 ELSE -1 END * (m.mid / CAST(p.price AS REAL) - 1) * 10000 AS markout_bps,
       CASE p.side WHEN 'buy' THEN 1 ELSE -1 END * (m.mid - CAST(p.price AS REAL)) * p.xrp_drops / 1000000.0
           AS markout_rlusd
FROM found p
     LEFT JOIN ticks t ON t.id = p.later_id AND t.ledger_index = p.wanted
     LEFT JOIN market_snapshots m ON m.id = t.id;
