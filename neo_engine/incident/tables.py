"""The tables of a bundle as CSV: which rows, and how a value is written.

Columns are those of the database (docs/schema.md). NULL is an empty cell, a blob is hex, everything else its
own text; secrets are taken out. Left out are the signed blobs of transactions and the depth of snapshots.
"""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Sequence

import msgspec

from neo_engine.incident.case import Case
from neo_engine.incident.scrub import scrubbed
from neo_engine.report.why_rows import first_id, oldest_order
from neo_engine.state.rows import READING_BITS, TICK_BITS

TICKS = 500  # the last ones up to the moment: half an hour of ledgers
MOST_ROWS = 5_000  # of any other table, the newest
_ORDER_SHIFT = 16  # submissions.id = order << 16, counted up
_SHORTEST_SECRET = 25  # letters of a seed; an endpoint is known by its slashes

_SNAPSHOT_COLUMNS = (
    "id, session_id, tick, best_bid, best_ask, mid, pool_xrp_drops, pool_rlusd, pool_fee, our_bid, our_ask, "
    "distance_to_bid_touch_bps, distance_to_ask_touch_bps, trades, traded_xrp_drops"
)
_SUBMISSION_COLUMNS = (
    "id, session_id, tick, order_id, kind, tx_hash, account_sequence, last_ledger_sequence, fee_drops, "
    "outcome, preliminary, result, ledger_index, transaction_index, result_session"
)


class Extract(msgspec.Struct, frozen=True, kw_only=True):
    """One file: name without its ending, and the question that gives its rows."""

    name: str
    columns: str
    table: str
    where: str
    values: tuple[int, ...]

    @property
    def query(self) -> str:
        """The question: the newest rows, in the order of their keys."""
        newest = f"SELECT {self.columns} FROM {self.table} WHERE {self.where} ORDER BY id DESC"
        return f"SELECT * FROM ({newest} LIMIT {MOST_ROWS}) ORDER BY id"


def extracts(case: Case) -> tuple[Extract, ...]:
    """Return the files of a case with the rows that belong into each."""
    session, connection = case.session, case.connection
    number = session.session_id
    shown = case.ticks[-TICKS:]
    first, last = (shown[0].tick, shown[-1].tick) if shown else (1, 0)
    ticks = (number << TICK_BITS | first, number << TICK_BITS | last)

    def ids(table: str, since: int) -> tuple[int, ...]:
        return tuple(first_id(connection, table, number, one) for one in (since, last + 1))

    orders = (_oldest_order(case), ids("orders", first)[1]) if shown else (0, 0)
    return tuple(
        Extract(name=name, columns=columns, table=table, where=where, values=values)
        for name, columns, table, where, values in (
            ("ticks", "*", "ticks", "id BETWEEN ? AND ?", ticks),
            ("market_snapshots", _SNAPSHOT_COLUMNS, "market_snapshots", "id BETWEEN ? AND ?", ticks),
            ("orders", "*", "orders", "id >= ? AND id < ?", orders),
            (
                "submissions",
                _SUBMISSION_COLUMNS,
                "submissions",
                "id >= ? AND id < ?",
                tuple(one << _ORDER_SHIFT for one in orders),
            ),
            ("fills", "*", "fills", "id >= ? AND id < ?", ids("fills", first)),
            (
                "monitor_readings",
                "*",
                "monitor_readings",
                "id >= ? AND id < ?",
                (number << TICK_BITS << READING_BITS, (number << TICK_BITS | last) + 1 << READING_BITS),
            ),
            ("feed_faults", "*", "feed_faults", "id >= ? AND id < ?", ids("feed_faults", 0)),
            ("reconciliations", "*", "reconciliations", "id >= ? AND id < ?", ids("reconciliations", 0)),
            ("capital_events", "*", "capital_events", "session_id = ? OR session_id IS NULL", (number,)),
        )
    )


def _oldest_order(case: Case) -> int:
    """Return the id of the oldest order that can have stood at the first tick of the bundle."""
    first = case.ticks[-TICKS:][0]
    low = first_id(case.connection, "orders", case.session.session_id, first.tick)
    return oldest_order(case.connection, case.session, low, first.close_time, MOST_ROWS)


def rows_of(connection: sqlite3.Connection, extract: Extract) -> tuple[tuple[str, ...], list[sqlite3.Row]]:
    """Return the names of the columns and the rows of one file."""
    cursor = connection.execute(extract.query, extract.values)
    return tuple(column[0] for column in cursor.description), cursor.fetchall()


def cell(value: object) -> str:
    """Return a value as its cell."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.hex().upper()
    text = str(value)
    return scrubbed(text) if len(text) >= _SHORTEST_SECRET or "://" in text else text


def csv_text(columns: Sequence[str], rows: Sequence[sqlite3.Row]) -> str:
    """Return rows as CSV with a header."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([cell(value) for value in row] for row in rows)
    return out.getvalue()
