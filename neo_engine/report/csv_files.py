"""A report as CSV files: every list of it, and the fills with their markouts. Numbers are exact."""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec
import numpy as np

from neo_engine.domain.number import plain
from neo_engine.report.data import SessionData
from neo_engine.report.markouts import LEDGERS, marked, rounded
from neo_engine.report.measures import MarkoutGroup
from neo_engine.report.model import SessionSummary

Row = Sequence[object]
_FILLS = (
    "SELECT f.id, f.close_time, f.ledger_index, f.tick, f.order_id, f.side, f.liquidity, f.xrp_drops, "
    "f.rlusd, f.rlusd_balance_delta, f.rounding, f.price, f.mid, f.tx_hash "
    "FROM fills f WHERE f.session_id = ? ORDER BY f.tick, f.id"
)
_FILL_NAMES = (
    "fill", "close_time", "ledger_index", "tick", "order", "side", "liquidity", "xrp_drops", "rlusd",
    "rlusd_balance_delta", "rounding", "price", "mid", "tx_hash",
)  # fmt: skip


def _cell(value: object) -> object:
    if isinstance(value, Decimal):
        return plain(value)
    return "" if value is None else value


def text_of(header: Sequence[str], rows: Iterable[Row]) -> str:
    """Return a CSV file's text, with Unix line ends."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return buffer.getvalue()


def _flat(items: Sequence[msgspec.Struct], kind: type[msgspec.Struct]) -> str:
    names = [field.name for field in msgspec.structs.fields(kind)]
    return text_of(names, ([getattr(item, name) for name in names] for item in items))


def _markouts(groups: Sequence[MarkoutGroup]) -> str:
    names = ("group", "name", "fills", "half_spread_bps", "ledgers", "count", "mean_bps", "sd_bps",
             "ci_low_bps", "ci_high_bps")  # fmt: skip
    rows = (
        (group.group, group.name, group.fills, group.half_spread_bps, one.ledgers, one.count, one.mean_bps,
         one.sd_bps, one.ci_low_bps, one.ci_high_bps)
        for group in groups
        for one in group.markouts
    )  # fmt: skip
    return text_of(names, rows)


def _fills(connection: sqlite3.Connection, data: SessionData) -> str:
    later = marked(data.columns, data.fills).later_bps
    rows = (
        (*row, *(None if np.isnan(values[place]) else rounded(float(values[place])) for values in later))
        for place, row in enumerate(map(tuple, connection.execute(_FILLS, (data.columns.session_id,))))
    )
    return text_of((*_FILL_NAMES, *(f"markout_{n}_bps" for n in LEDGERS)), rows)


def csv_files(connection: sqlite3.Connection, summary: SessionSummary, data: SessionData) -> dict[str, str]:
    """Return the text of each CSV file by its name."""
    from neo_engine.report import measures, model

    execution, risk = summary.execution, summary.risk
    parts = summary.attribution
    named = [] if parts is None else [(name, getattr(parts, name)) for name in parts.__struct_fields__]
    return {
        "attribution.csv": text_of(("figure", "value"), named),
        "pnl.csv": text_of(
            ("figure", "value"),
            [(name, getattr(summary.pnl, name)) for name in summary.pnl.__struct_fields__],
        ),
        "markouts.csv": _markouts(execution.markouts),
        "closures.csv": _flat(execution.closures, measures.Closure),
        "orders.csv": _flat(summary.orders.outcomes, model.OrderOutcome),
        "transactions.csv": _flat(summary.orders.transactions, model.TransactionGroup),
        "exposure.csv": _flat(risk.exposure, measures.ExposurePath),
        "worst_minutes.csv": _flat(risk.worst_minutes, measures.Minute),
        "gate_spans.csv": _flat(risk.spans, measures.Span),
        "events.csv": _flat(risk.events, measures.Event),
        "fills.csv": _fills(connection, data),
    }
