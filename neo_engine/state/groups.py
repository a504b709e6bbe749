"""Rows of many ticks as one group: written together, they end as if written one by one.

Rows go out by statement, in the order in which foreign keys allow it; what is new in the group is written as
it is at its end.
"""

from __future__ import annotations

from neo_engine.state.rows import Batch, Row
from neo_engine.state.statements import (
    ORDER_UPDATES,
    ORDERS,
    PRELIMINARIES,
    RESULTS,
    STATE,
    STATEMENTS,
    SUBMISSIONS,
)


def _folded(row: Row, update: Row) -> Row:
    """Return an order's new row as the update leaves it: columns as in STATEMENTS."""
    filled_and_status, closed_to_sequences, ending = update[:3], update[3:7], update[7:9]
    return (*row[:8], *filled_and_status, *row[11:13], *closed_to_sequences, *row[17:19], *ending)


def _fold(rows: list[list[Row]]) -> None:
    """Write what is new in this very group as it is at its end: one row, not a row and its changes."""
    _fold_answers(rows)
    last = {row[-1]: row for row in rows[ORDER_UPDATES]}
    new: list[Row] = []
    for row in rows[ORDERS]:
        update = last.pop(row[0], None)
        new.append(row if update is None else _folded(row, update))
    rows[ORDERS] = new
    rows[ORDER_UPDATES] = list(last.values())


def _fold_answers(rows: list[list[Row]]) -> None:
    own = {row[0]: row[14] for row in rows[ORDERS]}
    sent = rows[SUBMISSIONS]
    places: dict[tuple[object, object], int] = {}
    for place, row in enumerate(sent):
        places[row[0], row[4].hex().upper() if isinstance(row[4], bytes) else own.get(row[0])] = place
    for into in (PRELIMINARIES, RESULTS):
        earlier: list[Row] = []
        for answer in rows[into]:
            at = places.get((answer[0], answer[1]))
            if at is None:
                earlier.append(answer)
            elif into == PRELIMINARIES:
                sent[at] = (*sent[at][:9], *answer[2:], *sent[at][11:])
            else:
                sent[at] = (*sent[at][:7], answer[5], *sent[at][8:11], *answer[2:5])
        rows[into] = earlier


def joined(batches: list[Batch]) -> list[list[Row]]:
    """Return the rows of many batches by statement.

    An engine_state key or an order that changed more than once keeps its last row, which is whole.
    """
    rows: list[list[Row]] = [[] for _ in STATEMENTS]
    for batch in batches:
        for into, row in batch:
            rows[into].append(row)
    if len(batches) > 1 or rows[ORDERS]:
        _fold(rows)
    if len(batches) > 1:
        rows[STATE] = list({row[0]: row for row in rows[STATE]}.values())
    return rows
