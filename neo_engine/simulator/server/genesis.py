"""The first ledger of a fresh network: the account that owns all XRP, the fees, and a token's issuer.

Both keys are public knowledge, so that a test can act as either: the genesis account's comes from the
ledger's own well-known pass phrase ("masterpassphrase"), the issuer's is made for this model. Nothing on
any real network belongs to the issuer's.
"""

from __future__ import annotations

from neo_engine.simulator.model import keys
from neo_engine.simulator.model.genesis import FIRST_CLOSED_LEDGER, GENESIS_ACCOUNT, genesis, header_of
from neo_engine.simulator.model.ledger import Chain
from neo_engine.simulator.model.lines import ALLOW_CLAWBACK, DEFAULT_RIPPLE

GENESIS_SEED = "snoPBrXtMeMyMHUVTgbuqAfg1SUTb"
ISSUER_ACCOUNT = "rB6HPPzCm3F1YBvqPbs8ZPYHCbx7KGmEk4"
ISSUER_SEED = "ssWTXbA9Q8K9nhmFQgbbR5yxNgm6h"
RLUSD = "524C555344000000000000000000000000000000"
ISSUER_TICK_SIZE = 7  # what RLUSD's issuer has on the main network
ISSUER_DROPS = 1_000_000_000


def fresh_chain(close_time: int, *, network_id: int = 0) -> Chain:
    """Return a chain whose last closed ledger holds the two accounts and the fees.

    close_time: of that ledger, seconds since 2000-01-01.
    """
    state, header = genesis(close_time=close_time)
    giver = keys.account_root(GENESIS_ACCOUNT)
    root = state.entries[giver]
    state.put(giver, {**root, "Balance": root["Balance"] - ISSUER_DROPS})
    issuer = {
        "LedgerEntryType": "AccountRoot",
        "Account": ISSUER_ACCOUNT,
        "Balance": ISSUER_DROPS,
        "Flags": DEFAULT_RIPPLE | ALLOW_CLAWBACK,
        "OwnerCount": 0,
        "Sequence": FIRST_CLOSED_LEDGER,
        "TickSize": ISSUER_TICK_SIZE,
    }
    state.put(keys.account_root(ISSUER_ACCOUNT), issuer)
    return Chain(state, header_of(state, FIRST_CLOSED_LEDGER, close_time, header.total_coins), network_id)
