"""A small ledger with a pool: an issuer, three people with XRP and a token, and the pool transactions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from neo_engine.domain.assets import XRP, Asset
from neo_engine.simulator.model import keys, lines, pools
from neo_engine.simulator.model.amounts import Token, to_wire
from neo_engine.simulator.model.context import Rules
from neo_engine.simulator.model.fields import Entry
from neo_engine.simulator.model.pools import Holdings
from neo_engine.simulator.model.state import State, View
from neo_engine.simulator.model.transactor import Applied, apply
from neo_engine.simulator.model.tx import Tx

D = Decimal

ISSUER, MAKER, OTHER, THIRD = (keys.address_of(bytes([number] * 20)) for number in (9, 40, 80, 120))
USD = Asset("USD", ISSUER)
PAIR: dict[str, Any] = {"Asset": {"currency": "XRP"}, "Asset2": {"currency": "USD", "issuer": ISSUER}}
POOL = keys.amm(XRP, USD)
PEOPLE = (MAKER, OTHER, THIRD)
RULES = Rules(
    ledger_index=500,
    parent_close_time=800_000_000,
    parent_hash="AB" * 32,
    base_fee=10,
    base_reserve=1_000_000,
    owner_reserve=200_000,
)


def opened(
    *,
    issuer_flags: int = lines.DEFAULT_RIPPLE,
    xrp: int = 10**12,
    usd: int = 10**6,
    people: Iterable[str] = PEOPLE,
) -> State:
    """A ledger where everybody of `people` has `xrp` drops and `usd` of the token."""
    state = State()
    view = View(state)
    for address in (ISSUER, *people):
        root: Entry = {"LedgerEntryType": "AccountRoot", "Account": address, "Balance": xrp}
        root |= {"Flags": issuer_flags if address == ISSUER else 0, "OwnerCount": 0, "Sequence": 1}
        view.insert(keys.account_root(address), root)
    for address in people:
        lines.create_line(view, address, ISSUER, "USD", no_ripple=True, limit=D(10**9), held=D(usd), flags=0)
    state.absorb(view)
    return state


def run(state: State, kind: str, sender: str, rules: Rules = RULES, **fields: Any) -> Applied:
    """Apply a transaction of `sender`, with the next sequence and any hash."""
    sequence = state.entries[keys.account_root(sender)]["Sequence"]
    sent = {"TransactionType": kind, "Account": sender, "Fee": "10", "Sequence": sequence, **fields}
    return apply(state, Tx(sent, keys.half(json.dumps(sent).encode()).hex().upper()), rules)


def usd(value: str) -> dict[str, str]:
    """Return an amount of the token as JSON has it."""
    return {"currency": "USD", "issuer": ISSUER, "value": value}


def create(state: State, fee: int = 500, *, amount: str = "10000000000", amount2: str = "20000") -> Applied:
    """Make the pool as MAKER."""
    return run(state, "AMMCreate", MAKER, Amount=amount, Amount2=usd(amount2), TradingFee=fee, Fee="200000")


def pooled(fee: int = 500) -> State:
    """A ledger with the pool: 10,000 XRP and 20,000 of the token."""
    state = opened()
    assert create(state, fee).result == "tesSUCCESS"
    return state


def deposit(state: State, sender: str, flags: int, **fields: Any) -> str:
    """Return what an AMMDeposit comes to."""
    return run(state, "AMMDeposit", sender, Flags=flags, **PAIR, **fields).result


def withdraw(state: State, sender: str, flags: int, **fields: Any) -> str:
    """Return what an AMMWithdraw comes to."""
    return run(state, "AMMWithdraw", sender, Flags=flags, **PAIR, **fields).result


def holdings(state: State) -> Holdings:
    """Return what the pool holds."""
    view = View(state)
    entry = view.read(POOL)
    assert entry is not None
    return pools.holdings_of(view, POOL, entry, None, entry.get("TradingFee", 0))


def shares(state: State, value: str) -> Any:
    """Return share tokens as JSON has them."""
    return to_wire(Token(D(value), *holdings(state).share))


def share_of(state: State, holder: str) -> Decimal:
    """Return the share tokens of `holder`."""
    return lines.balance(View(state), holder, holdings(state).share)


def set_flags(state: State, index: str, flags: int) -> None:
    """Add flags to an entry of the state."""
    entry = state.entries[index]
    state.put(index, {**entry, "Flags": entry["Flags"] | flags})


def drops(state: State) -> int:
    """Return all XRP there is."""
    return sum(
        entry["Balance"] for entry in state.entries.values() if entry["LedgerEntryType"] == "AccountRoot"
    )


def token_sum(state: State, asset: Asset) -> Decimal:
    """What all lines of the token hold against its issuer."""
    low_is_issuer = [
        (entry["LowLimit"].issuer == asset.issuer, entry["Balance"].value)
        for entry in state.entries.values()
        if entry["LedgerEntryType"] == "RippleState"
        and entry["Balance"].currency == asset.currency
        and asset.issuer in (entry["LowLimit"].issuer, entry["HighLimit"].issuer)
    ]
    return sum((-value if low else value for low, value in low_is_issuer), D(0))
