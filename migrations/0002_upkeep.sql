-- Transactions of ours that are about no order (they make tickets or fill a gap in our sequences), one row
-- each: few, so that an index by hash costs nothing.
CREATE TABLE upkeep (
    id            INTEGER PRIMARY KEY,
    session_id    INTEGER NOT NULL REFERENCES sessions (session_id),
    tick          INTEGER NOT NULL,
    tx_hash       BLOB NOT NULL UNIQUE CHECK (length(tx_hash) = 32),
    account_sequence INTEGER NOT NULL,
    last_ledger_sequence INTEGER NOT NULL,
    fee_drops     INTEGER NOT NULL,
    tickets       INTEGER NOT NULL,
    blob          TEXT,
    result        TEXT,
    ledger_index  INTEGER,
    transaction_index INTEGER,
    result_session INTEGER REFERENCES sessions (session_id)
) STRICT;

-- The session that learned the result and so pays the fee; NULL: the row's own.
ALTER TABLE submissions ADD COLUMN result_session INTEGER REFERENCES sessions (session_id);

DROP VIEW v_submissions;
CREATE VIEW v_submissions AS
SELECT u.id, u.session_id, u.tick, u.order_id, u.kind,
       CASE WHEN u.tx_hash IS NULL THEN o.submit_tx_hash ELSE hex(u.tx_hash) END AS tx_hash,
       u.account_sequence, u.last_ledger_sequence, u.fee_drops, u.blob, u.outcome,
       CASE u.preliminary WHEN 'tes' THEN 'tesSUCCESS' ELSE u.preliminary END AS preliminary,
       CASE u.result WHEN 'tes' THEN 'tesSUCCESS' ELSE u.result END AS result,
       u.ledger_index, u.transaction_index, u.result_session
FROM submissions u JOIN orders o ON o.id = u.order_id;

CREATE VIEW v_upkeep AS
SELECT id, session_id, tick, hex(tx_hash) AS tx_hash, account_sequence, last_ledger_sequence, fee_drops,
       tickets, blob, CASE result WHEN 'tes' THEN 'tesSUCCESS' ELSE result END AS result,
       ledger_index, transaction_index, result_session
FROM upkeep;
