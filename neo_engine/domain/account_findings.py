"""What a ledger did to our account that no order of ours explains. Values only.

The reading (`execution/live_account.py`) finds, the core (`reconciliation/account.py`) answers.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

import msgspec

from neo_engine.domain.number import ZERO


class FindingKind(Enum):
    """What was found. The numbers of each are said at `AccountFinding`."""

    ORPHAN_FILL = "orphan_fill"  # a trade of an offer or a payment that is no order of ours
    ORPHAN_OFFER = "orphan_offer"  # an offer that no order of ours placed now stands
    STRANGE_TRANSACTION = "strange_transaction"  # sent by our account, not by this engine: its fee
    PAID_IN = "paid_in"
    PAID_OUT = "paid_out"
    CLAWBACK = "clawback"
    POOL = "pool"  # a deposit to or withdrawal from a pool
    DUST = "dust"  # an exchange with one side below one unit, or rounding without a fill: no trade
    TRUST_LINE = "trust_line"  # made, removed, or its settings changed
    FREEZE = "freeze"  # of our line or of the whole token, or its end
    CHAIN_BREAK = "chain_break"  # an entry was changed by a transaction that was not seen
    LEDGER_GAP = "ledger_gap"  # ledgers were not seen, or not whole
    UNEXPLAINED = "unexplained"  # a balance moved and nothing says why
    DIFFERENCE = "difference"  # a server's list of the same ledger says something else
    CANNOT_SEND = "cannot_send"  # key or network are refused, or another program sends for the account


class AccountFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding. detail: for people.

    base_drops, quote: what it moved, positive in (the fee apart). fee_drops: paid for it. first_ledger,
    last_ledger: of CHAIN_BREAK and LEDGER_GAP, the ledgers to read again. offer_sequence: the offer in
    question. active: of FREEZE, it is on now; of TRUST_LINE, the line is there now. tx_hash: "" where no
    single transaction is meant, and then transaction_index is 0.
    """

    kind: FindingKind
    ledger_index: int
    detail: str
    tx_hash: str = ""
    transaction_index: int = 0
    base_drops: int = 0
    quote: Decimal = ZERO
    fee_drops: int = 0
    first_ledger: int = 0
    last_ledger: int = 0
    offer_sequence: int | None = None
    active: bool = True
