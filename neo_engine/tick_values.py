"""What a tick is told, what it hands to the next, and what it decides: values only."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from neo_engine.config import Config
from neo_engine.domain.capital import CapitalEvent
from neo_engine.domain.fills import Fill
from neo_engine.domain.halt import Halt
from neo_engine.domain.link import CONNECTED, Link
from neo_engine.domain.market import AccountView, MarketSnapshot
from neo_engine.domain.orders import Command, Order, OrderUpdate, Quote
from neo_engine.domain.pause import Pause
from neo_engine.domain.records import (
    Accounts,
    CapitalRecord,
    FeedFaultRecord,
    Finding,
    Gate,
    InventoryEntry,
    Pricing,
    Touch,
)
from neo_engine.domain.reference import ReferencePrice
from neo_engine.domain.severity import Reading
from neo_engine.domain.today import NOTHING_YET, Today
from neo_engine.execution.tracking import Orders, orders_of
from neo_engine.inventory import Inventory, empty
from neo_engine.ports import VenueReport
from neo_engine.risk import RiskState
from neo_engine.risk import initial_state as initial_risk
from neo_engine.strategy.engine import StrategyState
from neo_engine.strategy.engine import initial_state as initial_strategy

NO_PRICING = Pricing(
    anchor=None,
    anchor_source=None,
    divergence_bps=None,
    clamped=False,
    volatility_bps=None,
    atr_bps=None,
    reservation=None,
    half_spread_bps=None,
    factors=(),
)
NO_TOUCH = Touch(our_bid=None, our_ask=None, bid_bps=None, ask_bps=None)


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one tick may know. close_time: seconds since 2000-01-01 on the feed's clock.

    report: what the ledger did (ledger ticks only). order_updates: what the end of the market did to
    our orders (end ticks only). stop: the session is to end for this reason; quotes are pulled. overtaken: a
    newer ledger is known to be there, so that nothing is decided on this one. pause: sides that the operator
    has closed. link: how the feed is connected. reference: another market's newest price at that time, None
    without one.
    """

    kind: str
    ledger_index: int
    close_time: int
    report: VenueReport | None
    order_updates: tuple[OrderUpdate, ...]
    faults: tuple[FeedFaultRecord, ...]
    capital: tuple[CapitalEvent, ...]
    stop: Halt | None
    overtaken: bool = False
    pause: Pause | None = None
    link: Link = CONNECTED
    reference: ReferencePrice | None = None


class EngineState(msgspec.Struct, frozen=True, kw_only=True):
    """All that one tick hands to the next. `stopping`: the session winds down for that reason.

    mark: the last mid, RLUSD per XRP. account: the venue's last word. waiting: capital events that
    cannot be valued before the first mark. repairs: what the reconciler has mended so far.
    """

    tick: int
    inventory: Inventory
    orders: Orders
    next_order_id: int
    strategy: StrategyState
    risk: RiskState
    mark: Decimal | None
    account: AccountView | None
    waiting: tuple[CapitalEvent, ...]
    repairs: int
    stopping: Halt | None


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """The first half of a tick: what has happened, before anything is wanted."""

    state: EngineState
    accounts: Accounts
    snapshot: MarketSnapshot | None
    fills: tuple[Fill, ...]
    inventory: tuple[InventoryEntry, ...]
    capital: tuple[CapitalRecord, ...]
    findings: tuple[Finding, ...]
    gates: tuple[Gate, ...]
    readings: tuple[Reading, ...]
    touch: Touch
    changed_orders: tuple[Order, ...]
    halt: Halt | None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What a tick decided, and why. `halt`: set by the tick that begins to end the session.

    readings: of monitors, those whose severity changed in this tick.
    """

    state: EngineState
    accounts: Accounts
    fills: tuple[Fill, ...]
    inventory: tuple[InventoryEntry, ...]
    capital: tuple[CapitalRecord, ...]
    findings: tuple[Finding, ...]
    pricing: Pricing
    gates: tuple[Gate, ...]
    quotes: tuple[Quote, ...]
    quoting: str
    touch: Touch
    commands: tuple[Command, ...]
    new_orders: tuple[Order, ...]
    changed_orders: tuple[Order, ...]
    replaces: Mapping[int, int]
    canceled: int
    kept: int
    halt: Halt | None
    readings: tuple[Reading, ...] = ()


def initial_state(
    config: Config, close_time: int, adopted: Orders | None = None, today: Today = NOTHING_YET
) -> EngineState:
    """Return the state before the first tick; close_time: of the ledger the feed starts from.

    adopted: orders of earlier sessions that still work, numbered from 1. today: what earlier sessions of the
    account did on that ledger's UTC day.
    """
    orders = adopted or orders_of(())
    return EngineState(
        tick=0,
        inventory=empty(),
        orders=orders,
        next_order_id=1 + max((order.order_id for order in orders), default=0),
        strategy=initial_strategy(config),
        risk=initial_risk(close_time, today),
        mark=None,
        account=None,
        waiting=(),
        repairs=0,
        stopping=None,
    )
