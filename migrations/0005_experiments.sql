-- What a session was to find out, and what the operator noted of it: the experiment log.
ALTER TABLE sessions ADD COLUMN hypothesis TEXT;

CREATE TABLE session_notes (
    id            INTEGER PRIMARY KEY,
    session_id    INTEGER NOT NULL REFERENCES sessions (session_id),
    created_at    TEXT NOT NULL,
    note          TEXT NOT NULL
) STRICT;
