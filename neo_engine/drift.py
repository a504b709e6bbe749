"""The last check of a session: the inventory the engine believes in against the rows it leaves behind.

inventory = fills + capital overlay (DESIGN invariant 4). Both are exact, so the difference must be 0.
"""

from __future__ import annotations

import logging
from decimal import Decimal

import msgspec

from neo_engine.domain.errors import NeoError
from neo_engine.domain.number import plain
from neo_engine.domain.records import Accounts
from neo_engine.ports import StateStore

DRIFT_KEY = "inventory_drift_at_shutdown"

log = logging.getLogger("neo_engine")


def inventory_drift(store: StateStore, accounts: Accounts | None) -> dict[str, str]:
    """Return nothing when the rows give the engine's inventory, else DRIFT_KEY with both, logged as ERROR.

    accounts: of the last tick that was stored, None before the first. Rows that cannot be written or read
    are logged: there is nothing to compare then.
    """
    if accounts is None:
        return {}
    try:
        stored = store.stored_inventory()
    except NeoError as error:
        log.error("the last inventory could not be compared with the database: %s", error)
        return {}
    engine = (accounts.base_drops, accounts.quote)
    if engine == stored:
        return {}
    log.error(
        "inventory drift: the engine holds %s, its rows give %s; compare both with the account itself",
        _told(engine),
        _told(stored),
    )
    numbers = {
        "engine_base_drops": engine[0],
        "engine_rlusd": plain(engine[1]),
        "stored_base_drops": stored[0],
        "stored_rlusd": plain(stored[1]),
    }
    return {DRIFT_KEY: msgspec.json.encode(numbers).decode()}


def _told(inventory: tuple[int, Decimal]) -> str:
    return f"{inventory[0]} drops and {plain(inventory[1])}"
