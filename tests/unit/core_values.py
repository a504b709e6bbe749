"""Values the tests of inventory, risk, orders and reconciliation start from. Prices near 2 RLUSD."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from pathlib import Path

from msgspec.structs import replace

from neo_engine.config import Config, load_config
from neo_engine.domain.assets import Side
from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.fills import Fill, LiquiditySide
from neo_engine.domain.market import AccountView, MarketSnapshot, VenueOffer
from neo_engine.domain.orders import Order, OrderStatus, OrderUpdate, Quote
from neo_engine.domain.records import Accounts

XRP = 1_000_000  # drops
BASE_RESERVE = 1 * XRP  # mainnet: 1 XRP and 0.2 XRP an object (xrpl.org, "Reserves")
OWNER_RESERVE = 200_000
NOW = 800_000_000
D = Decimal


@cache
def paper_config() -> Config:
    """The delivered paper configuration."""
    return load_config(Path(__file__).resolve().parents[2] / "config" / "paper.yaml")


def with_config(section: str, **keys: object) -> Config:
    """The paper configuration with keys of one section changed."""
    config = paper_config()
    changed = getattr(config, section).model_copy(update=keys)
    return config.model_copy(update={section: changed})


def snapshot(**changes: object) -> MarketSnapshot:
    """A sound market: 1.99 bid, 2.01 asked, mainnet's reserves, no transfer fee, no tick size."""
    base = MarketSnapshot(
        ledger_index=1000,
        ledger_hash="00" * 32,
        close_time=NOW,
        fee_base_drops=10,
        base_reserve_drops=BASE_RESERVE,
        owner_reserve_drops=OWNER_RESERVE,
        bids=(),
        asks=(),
        best_bid=D("1.99"),
        best_ask=D("2.01"),
        mid=D("2"),
        pool=None,
        tick_size=16,
        transfer_rate=1_000_000_000,
        trades=(),
        faults=(),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def account(
    drops: int, quote: str, *, owner_count: int = 0, sequence: int = 500, offers: tuple[VenueOffer, ...] = ()
) -> AccountView:
    """The venue's word about our account."""
    return AccountView(
        balance_drops=drops,
        quote_balance=D(quote),
        owner_count=owner_count,
        account_sequence=sequence,
        offers=offers,
    )


def accounts(drops: int = 0, quote: str = "0", **changes: object) -> Accounts:
    """Our own books: everything held is overlay, at a mark of 2."""
    worth = D(drops) * 2 / XRP
    base = Accounts(
        fills_base_drops=0,
        fills_quote=D(0),
        overlay_base_drops=drops,
        overlay_quote=D(quote),
        fees_drops=0,
        rounding_quote=D(0),
        cost_basis=worth,
        net_capital=worth + D(quote),
        realised=D(0),
        unrealised=D(0),
        mark=D(2),
        account_value=worth + D(quote),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def quote(slot: str, price: str, drops: int) -> Quote:
    """A quote of `drops` at `price`; the slot's name tells the side."""
    return Quote(
        slot=slot,
        side=Side.BUY if slot.startswith("bid") else Side.SELL,
        price=D(price),
        base_drops=drops,
        quote=D(price) * drops / XRP,
        expiration=None,
    )


def order(
    order_id: int,
    slot: str,
    price: str,
    drops: int,
    status: OrderStatus = OrderStatus.OPEN,
    **changes: object,
) -> Order:
    """An order with sequence 100 + its id, sent after ledger 1000 with LastLedgerSequence 1004."""
    side = Side.BUY if slot.startswith("bid") else Side.SELL
    amount = D(price) * drops / XRP
    base = Order(
        order_id=order_id,
        slot=slot,
        side=side,
        price=D(price),
        base_drops=drops,
        quote=amount,
        remaining_base_drops=drops,
        remaining_quote=amount,
        status=status,
        expiration=NOW + 600,
        offer_sequence=100 + order_id,
        tx_hash=f"HASH{order_id}",
        last_ledger_sequence=1004,
        created_ledger=1000,
        failure_reason=None,
        filled_base_drops=0,
        filled_quote=D(0),
        result_code=None,
        cancel_sent_ledger=1001 if status is OrderStatus.PENDING_CANCEL else None,
        closed_ledger=None,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def fill(of: Order, drops: int, *, ledger: int = 1002, index: int = 0, rounding: str = "0") -> Fill:
    """A maker's fill of `drops` of an order at its price."""
    amount = of.price * drops / XRP
    signed = amount if of.side is Side.SELL else -amount
    return Fill(
        order_id=of.order_id,
        ledger_index=ledger,
        close_time=NOW + 4 * (ledger - 1000),
        transaction_index=index,
        node=f"NODE{of.order_id}",
        tx_hash=f"TAKER{ledger}{index}",
        side=of.side,
        liquidity=LiquiditySide.MAKER,
        base_drops=drops,
        quote=amount,
        quote_balance_delta=signed + D(rounding),
        rounding=D(rounding),
        offer_sequence=of.offer_sequence or 0,
    )


def update(
    of: Order, status: OrderStatus, left: int, *, ledger: int = 1002, reason: str | None = None
) -> OrderUpdate:
    """What a ledger says of an order: `left` drops of it still stand."""
    return OrderUpdate(
        order_id=of.order_id,
        status=status,
        remaining_base_drops=left,
        remaining_quote=of.price * left / XRP,
        offer_sequence=of.offer_sequence,
        reason=reason,
        ledger_index=ledger,
    )


def offer(of: Order, drops: int | None = None, **changes: object) -> VenueOffer:
    """An order as the venue lists it, with `drops` left (all of it unless given)."""
    left = of.remaining_base_drops if drops is None else drops
    base = VenueOffer(
        offer_sequence=of.offer_sequence or 0,
        side=of.side,
        base_drops=left,
        quote=of.price * left / XRP,
        expiration=of.expiration,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def capital(
    kind: CapitalKind, *, drops: int = 0, rlusd: str = "0", request_id: str = "request-1"
) -> CapitalEvent:
    """A capital event."""
    return CapitalEvent(
        request_id=request_id,
        kind=kind,
        base_drops=drops,
        quote=D(rlusd),
        note="",
        created_at="2026-11-20T00:00:00Z",
    )
