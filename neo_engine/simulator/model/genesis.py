"""The first state of a ledger: all XRP in one account, the fees, the amendments; or a state as recorded.

Theory (rippled Ledger.cpp, `create_genesis`; Application.cpp, `startGenesisLedger`). The very first ledger
gives everything to the account whose key comes from the pass phrase "masterpassphrase". A server that
starts with it closes ledger 2 at once, and that is where a model ledger begins, so that accounts made in
the next one start with sequence 3, as on a stand-alone server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from neo_engine.simulator.model import keys
from neo_engine.simulator.model.amendments import AMENDMENTS
from neo_engine.simulator.model.fields import Entry, entry_from_wire, fields_to_wire
from neo_engine.simulator.model.ledger import Header
from neo_engine.simulator.model.state import State

GENESIS_ACCOUNT = "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh"
AMENDMENTS_INDEX = "7DB0788C020F02780A673DC74757F23823FA3014C1866E72CC4CD8B226CD6EF4"
FIRST_CLOSED_LEDGER = 2
_encoder = msgspec.json.Encoder(order="sorted")


def genesis(
    *,
    close_time: int,
    total_coins: int = 10**17,
    base_fee: int = 10,
    base_reserve: int = 1_000_000,
    owner_reserve: int = 200_000,
) -> tuple[State, Header]:
    """Return the state and header of a ledger in which the genesis account holds all.

    close_time: seconds since 2000-01-01. All amounts in drops; the reserves are the main network's.
    """
    state = State(
        {
            keys.account_root(GENESIS_ACCOUNT): {
                "LedgerEntryType": "AccountRoot",
                "Account": GENESIS_ACCOUNT,
                "Balance": total_coins,
                "Flags": 0,
                "OwnerCount": 0,
                "Sequence": 1,
            },
            keys.FEE_SETTINGS: {
                "LedgerEntryType": "FeeSettings",
                "Flags": 0,
                "BaseFeeDrops": str(base_fee),
                "ReserveBaseDrops": str(base_reserve),
                "ReserveIncrementDrops": str(owner_reserve),
            },
            AMENDMENTS_INDEX: {
                "LedgerEntryType": "Amendments",
                "Flags": 0,
                "Amendments": list(AMENDMENTS),
            },
        }
    )
    return state, header_of(state, FIRST_CLOSED_LEDGER, close_time, total_coins)


def header_of(state: State, ledger_index: int, close_time: int, total_coins: int) -> Header:
    """Return the header of a ledger that begins a chain. Its hashes are the model's own, of all entries."""
    told = {index: fields_to_wire(entry) for index, entry in state.entries.items()}
    account_hash = keys.half(_encoder.encode(told)).hex().upper()
    covered = f"{ledger_index} {close_time} {total_coins} {account_hash}".encode("ascii")
    return Header(
        ledger_index=ledger_index,
        ledger_hash=keys.half(covered).hex().upper(),
        parent_hash="0" * 64,
        parent_close_time=0,
        close_time=close_time,
        total_coins=total_coins,
        transaction_hash="0" * 64,
        account_hash=account_hash,
    )


def state_from_wire(entries: Iterable[Mapping[str, Any]]) -> State:
    """Return the state that `ledger_data` objects describe (a recording's header has them).

    Raises KeyError for an object without `index`, BadNumber for an amount that no ledger can hold.
    """
    held: dict[str, Entry] = {str(entry["index"]): entry_from_wire(entry) for entry in entries}
    return State(held)
