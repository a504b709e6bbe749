"""What the code of one transaction type is given, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from neo_engine.simulator.model.state import View
from neo_engine.simulator.model.tx import Tx


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for all transactions of one ledger that is being built.

    ledger_index: of that ledger. parent_close_time: of the one before, seconds since 2000-01-01.
    parent_hash: its hash. base_fee, base_reserve, owner_reserve: drops. network_id: 0 for the main network.
    """

    ledger_index: int
    parent_close_time: int
    parent_hash: str
    base_fee: int
    base_reserve: int
    owner_reserve: int
    network_id: int = 0

    def reserve(self, owner_count: int) -> int:
        """Return the drops an account must keep with so many owned entries."""
        return self.base_reserve + owner_count * self.owner_reserve


@dataclass(slots=True)
class Context:
    """One transaction being applied. prior_balance: the sender's drops before the fee was taken.

    lasting_removals: offers found stale that stay deleted even when the transaction is killed.
    delivered: what a Payment delivered, for metadata's delivered_amount, wire form.
    """

    view: View
    tx: Tx
    rules: Rules
    prior_balance: int
    lasting_removals: list[str] = field(default_factory=list)
    delivered: Any = None


class Handler(msgspec.Struct, frozen=True, kw_only=True):
    """The code of one transaction type; each function returns a result code.

    flags: those it may carry, besides the universal ones. preflight: by the transaction alone (tem...).
    preclaim: by the state before it, nothing changed yet. apply: makes the changes in `context.view`.
    fee_units: how many base fees it costs; None for the owner reserve (AMMCreate).
    """

    flags: int
    preflight: Callable[[Tx, Rules], str]
    preclaim: Callable[[View, Tx, Rules], str]
    apply: Callable[[Context], str]
    fee_units: int | None = 1
