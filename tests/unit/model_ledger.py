"""A small model ledger to play on: accounts, two issuers, and one line to send a transaction."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from neo_engine.domain.assets import Asset
from neo_engine.simulator.model import keys, lines
from neo_engine.simulator.model.context import Rules
from neo_engine.simulator.model.genesis import GENESIS_ACCOUNT, genesis
from neo_engine.simulator.model.ledger import Chain
from neo_engine.simulator.model.state import View
from neo_engine.simulator.model.transactor import Applied, apply
from neo_engine.simulator.model.tx import Tx


def address(name: str) -> str:
    """Return an address made of a name."""
    return keys.address_of(keys.half(name.encode("ascii"))[:20])


ALICE, BOB, CAROL = (address(name) for name in ("alice", "bob", "carol"))
ISSUER, OTHER_ISSUER = address("issuer"), address("other issuer")
USD = Asset("USD", ISSUER)
EUR = Asset("EUR", OTHER_ISSUER)
XRP_100 = "100000000"


def tokens(value: str | int, asset: Asset = USD) -> dict[str, str]:
    """Return a token amount in wire form."""
    return {"currency": asset.currency, "issuer": asset.issuer, "value": str(value)}


def tx_hash(fields: dict[str, Any]) -> str:
    """Return a hash of a transaction's fields; any that differs with them will do."""
    return keys.half(json.dumps(fields, sort_keys=True).encode("ascii")).hex().upper()


class Play:
    """A chain from genesis and what is sent to it, one transaction after another into the same ledger."""

    def __init__(self) -> None:
        self.chain = Chain(*genesis(close_time=848_500_000))
        self.rules: Rules = self.chain.rules()

    def send(self, kind: str, account: str, **fields: Any) -> Applied:
        """Apply a transaction, with the sequence that fits unless one is given."""
        root = self.chain.state.entries.get(keys.account_root(account), {})
        sent = {"TransactionType": kind, "Account": account, "Fee": "10", **fields}
        sent.setdefault("Sequence", 0 if "TicketSequence" in sent else root.get("Sequence", 1))
        return apply(self.chain.state, Tx(sent, tx_hash(sent)), self.rules)

    def do(self, kind: str, account: str, **fields: Any) -> dict[str, Any]:
        """Apply a transaction that must succeed; return its metadata."""
        applied = self.send(kind, account, **fields)
        if applied.result != "tesSUCCESS" or applied.meta is None:
            raise AssertionError(f"{kind} of {account}: {applied.result}")
        return applied.meta

    def fund(self, *accounts: str, drops: str = XRP_100) -> None:
        """Give each account some XRP."""
        for account in accounts:
            self.do("Payment", GENESIS_ACCOUNT, Destination=account, Amount=drops)

    def trust(self, account: str, asset: Asset = USD, limit: str | int = 1_000_000, **fields: Any) -> None:
        """Make a trust line."""
        self.do("TrustSet", account, LimitAmount=tokens(limit, asset), **fields)

    def issue(self, account: str, value: str | int, asset: Asset = USD) -> None:
        """Let the issuer pay tokens out."""
        self.do("Payment", asset.issuer, Destination=account, Amount=tokens(value, asset))

    @property
    def view(self) -> View:
        """A fresh view of the ledger as it is now."""
        return View(self.chain.state)

    def held(self, account: str, asset: Asset = USD) -> Decimal:
        """Return what an account holds: token units, or drops."""
        return lines.balance(self.view, account, asset)

    def root(self, account: str) -> dict[str, Any]:
        """Return an AccountRoot."""
        return self.chain.state.entries[keys.account_root(account)]


def market(*, transfer_rate: int | None = None, ripple: bool = True) -> Play:
    """Return a ledger with three funded accounts that trust both issuers and hold 1,000 of each token."""
    play = Play()
    play.fund(ISSUER, OTHER_ISSUER, ALICE, BOB, CAROL)
    for issuer in (ISSUER, OTHER_ISSUER):
        if ripple:
            play.do("AccountSet", issuer, SetFlag=8)
        if transfer_rate is not None:
            play.do("AccountSet", issuer, TransferRate=transfer_rate)
    for asset in (USD, EUR):
        for account in (ALICE, BOB, CAROL):
            play.trust(account, asset)
            play.issue(account, 1000, asset)
    return play
