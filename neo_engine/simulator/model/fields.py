"""Fields of ledger entries and transactions: which hold amounts, and which metadata shows.

An entry is a dictionary of its fields under the ledger's own names, `LedgerEntryType` included. Amounts
are model amounts (amounts.py); everything else has its JSON form (64-bit counts as lower-case hex).
An entry in a state is never changed in place: who changes it makes a copy (state.View).

What metadata shows of a field is told by rippled's SField table: `Indexes` never, `PreviousTxnID` and
`PreviousTxnLgrSeq` only in a deleted entry, everything else always.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neo_engine.simulator.model.amounts import Token, from_wire, to_wire

Entry = dict[str, Any]

#: Fields that hold an amount, in entries and in transactions.
AMOUNT_FIELDS = frozenset(
    {
        *("Amount", "Amount2", "Balance", "DeliverMax", "DeliverMin", "EPrice", "Fee", "HighLimit"),
        *("LPTokenBalance", "LPTokenIn", "LPTokenOut", "LimitAmount", "LowLimit", "SendMax"),
        *("TakerGets", "TakerPays"),
    }
)
HIDDEN = frozenset({"LedgerEntryType", "Indexes", "Hashes", "Amendments"})
ONLY_WHEN_DELETED = frozenset({"PreviousTxnID", "PreviousTxnLgrSeq"})
_ZERO_HASHES = frozenset({"0" * 40, "0" * 64})


def entry_from_wire(fields: Mapping[str, Any]) -> Entry:
    """Return the fields of a JSON object as the model holds them; `index` is left out.

    Raises BadNumber for an amount that no ledger can hold.
    """
    return {
        name: from_wire(value, name) if name in AMOUNT_FIELDS else value
        for name, value in fields.items()
        if name != "index"
    }


def fields_to_wire(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields as JSON has them."""
    return {name: to_wire(value) if name in AMOUNT_FIELDS else value for name, value in entry.items()}


def is_default(value: object) -> bool:
    """True for what the ledger leaves out of NewFields: zero, no text, nothing in a list, no XRP.

    A token amount of zero is no default: its currency and issuer say something. XRP as a pool's asset is one.
    """
    if isinstance(value, Token):
        return False
    if isinstance(value, (list, dict)):
        return not value or value == {"currency": "XRP"}
    return value in (0, "0", "", None) or value in _ZERO_HASHES
