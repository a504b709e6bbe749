"""A transaction as the model runs it: parsed once, with its hash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neo_engine.domain.errors import BadNumber
from neo_engine.simulator.model.fields import Entry, entry_from_wire
from neo_engine.simulator.model.keys import account_id

#: Flags that every transaction may carry (tfFullyCanonicalSig; rippled TxFlags.h, tfUniversal).
UNIVERSAL_FLAGS = 0x80000000


class Tx:
    """One transaction. json: as sent, in API version 2's form without `hash`. fields: with model amounts.

    sequence: 0 with a ticket. fee: drops. signed: it carries a signature that was found good, or comes
    from a party of the model itself, whose word is believed.
    """

    __slots__ = ("account", "fee", "fields", "flags", "hash", "json", "kind", "sequence", "ticket")

    def __init__(self, json: Mapping[str, Any], tx_hash: str) -> None:
        """Raises BadNumber for an impossible amount or account, KeyError without a required field."""
        fields: Entry = entry_from_wire(json)
        if "DeliverMax" in fields:
            fields["Amount"] = fields.pop("DeliverMax")  # API version 2's name of the same field
        self.json = json
        self.hash = tx_hash
        self.fields = fields
        self.kind: str = fields["TransactionType"]
        self.account: str = fields["Account"]
        account_id(self.account)
        fee = fields["Fee"]
        if not isinstance(fee, int):
            raise BadNumber("Fee: must be drops")
        self.fee: int = fee
        self.flags: int = fields.get("Flags", 0)
        self.sequence: int = fields.get("Sequence", 0)
        self.ticket: int | None = fields.get("TicketSequence")

    @property
    def order_sequence(self) -> int:
        """The sequence or ticket that names what the transaction makes (an offer's Sequence)."""
        return self.sequence if self.ticket is None else self.ticket
