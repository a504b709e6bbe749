"""From exceptions and comparisons to typed faults, and their count by kind.

The kinds are `LedgerFaultKind` (domain/ledger.py). An exception of the decoder never goes further
than this module: it becomes a `LedgerFault` with the line it happened in.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from neo_engine.domain.errors import BadNumber
from neo_engine.domain.ledger import LedgerFault, LedgerFaultKind, LedgerTransaction
from neo_engine.xrpl.codec import MissingField

TEXT_LIMIT = 400  # characters of a fault's text that are kept: a broken line may be megabytes long

#: What decoding a line can raise; RecursionError is JSON nested deeper than the decoder goes.
DECODE_ERRORS = (msgspec.DecodeError, BadNumber, MissingField, UnicodeDecodeError, RecursionError)


class FaultLog:
    """Makes faults of one source and counts them by kind."""

    def __init__(self) -> None:
        self.counts: Counter[LedgerFaultKind] = Counter()

    def make(
        self, kind: LedgerFaultKind, line: int, ledger_index: int, text: str, *, resync: bool = False
    ) -> LedgerFault:
        """Return a fault and count it. A text longer than TEXT_LIMIT is cut."""
        self.counts[kind] += 1
        kept = text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 3] + "..."
        return LedgerFault(kind=kind, line=line, ledger_index=ledger_index, text=kept, resync=resync)


def kind_of(error: BaseException) -> LedgerFaultKind:
    """Return the kind of a decoding error (one of DECODE_ERRORS)."""
    if isinstance(error, BadNumber):
        return LedgerFaultKind.BAD_NUMBER
    if isinstance(error, MissingField):
        return LedgerFaultKind.MISSING_FIELD
    if isinstance(error, msgspec.ValidationError):
        missing = "missing required field" in str(error)
        return LedgerFaultKind.MISSING_FIELD if missing else LedgerFaultKind.WRONG_TYPE
    return LedgerFaultKind.MALFORMED_JSON


def in_order(
    transactions: tuple[LedgerTransaction, ...],
) -> tuple[tuple[LedgerTransaction, ...] | None, str]:
    """Return the transactions by index and what was wrong ("" if nothing was).

    None for them means that two different ones claim one place, so no order can be believed. The
    same one twice is taken once.
    """
    previous = -1
    for tx in transactions:
        if tx.index <= previous:
            break
        previous = tx.index
    else:
        return transactions, ""
    ordered: list[LedgerTransaction] = []
    for tx in sorted(transactions, key=lambda one: one.index):
        if ordered and ordered[-1].index == tx.index:
            if ordered[-1].tx_hash != tx.tx_hash:
                return (
                    None,
                    f"transactions {ordered[-1].tx_hash} and {tx.tx_hash} both claim place {tx.index}",
                )
            continue
        ordered.append(tx)
    return tuple(ordered), "transactions did not stand in the order of their TransactionIndex"
