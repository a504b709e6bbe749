-- What monitors said, one row each time the severity of one changed: a quiet session has none. Five bits of
-- the id count the readings of a tick, so that those of a session are found by it, in order.
CREATE TABLE monitor_readings (
    id            INTEGER PRIMARY KEY CHECK (id >> 5 = session_id << 32 | tick),
    session_id    INTEGER NOT NULL REFERENCES sessions (session_id),
    tick          INTEGER NOT NULL,
    monitor       TEXT NOT NULL,
    severity      TEXT NOT NULL CHECK (
                    severity = 'NORMAL' OR severity = 'WARN' OR severity = 'REDUCE_ONLY'
                    OR severity = 'PULL_QUOTES' OR severity = 'KILL'),
    detail        TEXT NOT NULL
) STRICT;
