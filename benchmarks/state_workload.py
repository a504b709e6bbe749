"""A believable stream of ticks for the state manager: the same numbers in its benchmark and its tests.

Tick t (from 1): every 5th tick replaces the bid and the ask (two orders, two transactions, sent and
answered), the tick after it shows their results, and every 7th tick from the 10th on the newest bid is
filled in part. All amounts follow from t alone, so what a database must hold after n ticks is arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from msgspec.structs import replace

from neo_engine.domain.amm import Pool
from neo_engine.domain.assets import Side
from neo_engine.domain.fills import Fill, LiquiditySide
from neo_engine.domain.market import Level, MarketSnapshot
from neo_engine.domain.number import NEAREST, issued
from neo_engine.domain.orders import (
    Order,
    OrderStatus,
    PreparedTransaction,
    Quote,
    SubmitClass,
    SubmitOutcome,
    TransactionKind,
    TransactionOutcome,
)
from neo_engine.domain.records import (
    Accounts,
    Gate,
    IntentRecord,
    InventoryEntry,
    OutcomeRecord,
    Pricing,
    SessionEnd,
    SessionStart,
    Touch,
)

REQUOTE_TICKS = 5
FIRST_FILL, FILL_TICKS = 10, 7
FIRST_LEDGER = 1000
FIRST_CLOSE = 848_522_220  # 2026-11-20T20:37:00Z
MID = Decimal("2.1947035")
FILL_DROPS, FILL_QUOTE = 1_000_000, Decimal("2.193606148250000")


def session_start(mode: str = "paper", pid: int = 4711) -> SessionStart:
    """Return the beginning of a session of one `mode`, by process `pid`."""
    return SessionStart(
        mode=mode,
        feed="recorded",
        pair="XRP/RLUSD",
        account="rHoSnGKTij3VS5LbxMQfae79pob6A8UaC3",
        recording="calm.jsonl.gz",
        speed="max",
        seed=7,
        started_at="2026-11-20T20:36:00Z",
        config_json="{}",
        config_hash="0" * 64,
        engine_version="0.1.0",
        pid=pid,
    )


def session_end(ticks: int) -> SessionEnd:
    """Return the planned end of a session after `ticks` ticks."""
    return SessionEnd(
        ended_at="2026-11-20T21:36:00Z",
        halt_reason="duration_elapsed",
        halt_detail=f"{ticks} ticks",
        ticks=ticks,
        first_ledger=FIRST_LEDGER + 1,
        last_ledger=FIRST_LEDGER + ticks,
        market_start=None,
        market_end=None,
        fingerprint="ab" * 32,
        summary_json="{}",
        state={},
    )


def _levels(side: Side, tick: int, depth: int) -> tuple[Level, ...]:
    sign = -1 if side is Side.BUY else 1
    levels = []
    for step in range(1, depth + 1):
        price = issued(MID * (1 + sign * Decimal(step * 3 + tick % 3) / 10_000), NEAREST)
        drops = 40_000_000 + step * 31_415_927 + tick % 17
        levels.append(Level(price=price, base_drops=drops, quote=issued(price * drops / 10**6, NEAREST)))
    return tuple(levels)


def snapshot(tick: int, depth: int) -> MarketSnapshot:
    """Return the market after the ledger of a tick, `depth` levels on each side."""
    bids, asks = _levels(Side.BUY, tick, depth), _levels(Side.SELL, tick, depth)
    return MarketSnapshot(
        ledger_index=FIRST_LEDGER + tick,
        ledger_hash="F" * 64,
        close_time=FIRST_CLOSE + 4 * tick,
        fee_base_drops=10,
        base_reserve_drops=1_000_000,
        owner_reserve_drops=200_000,
        bids=bids,
        asks=asks,
        best_bid=bids[0].price,
        best_ask=asks[0].price,
        mid=(bids[0].price + asks[0].price) / 2,
        pool=Pool(
            account="rPool",
            base_drops=912_345_678_901 + tick,
            quote=Decimal("2002301.123456789"),
            trading_fee=300,
            discounted_fee=30,
            auction_accounts=(),
            auction_expiration=0,
        ),
        tick_size=16,
        transfer_rate=1_000_000_000,
        trades=(),
        faults=(),
    )


def is_requote(tick: int) -> bool:
    """Return whether both sides are replaced in the tick."""
    return tick % REQUOTE_TICKS == 0


def has_fill(tick: int) -> bool:
    """Return whether the newest bid is filled in part in the tick."""
    return tick >= FIRST_FILL and tick % FILL_TICKS == FIRST_FILL % FILL_TICKS


def expected_rows(ticks: int) -> dict[str, int]:
    """Return how many rows each table must hold after `ticks` whole ticks of one session."""
    requotes = sum(is_requote(tick) for tick in range(1, ticks + 1))
    fills = sum(has_fill(tick) for tick in range(1, ticks + 1))
    return {
        "ticks": ticks,
        "market_snapshots": ticks,
        "orders": 2 * requotes,
        "submissions": 2 * requotes,
        "fills": fills,
        "inventory_ledger": 2 * fills,
    }


def _quote(side: Side, tick: int) -> Quote:
    price = issued(MID * (1 - Decimal("0.0005") if side is Side.BUY else 1 + Decimal("0.0005")), NEAREST)
    drops = 6_834_600 + tick % 7
    return Quote(
        slot="bid-1" if side is Side.BUY else "ask-1",
        side=side,
        price=price,
        base_drops=drops,
        quote=issued(price * drops / 10**6, NEAREST),
        expiration=FIRST_CLOSE + 4 * tick + 600,
    )


def tx_hash(order_id: int) -> str:
    """Return the hash of the transaction that creates the order."""
    return f"{order_id:064X}"


def _order(order_id: int, tick: int, status: OrderStatus) -> Order:
    quote = _quote(Side.BUY if order_id % 2 else Side.SELL, tick)
    return Order(
        order_id=order_id,
        slot=quote.slot,
        side=quote.side,
        price=quote.price,
        base_drops=quote.base_drops,
        quote=quote.quote,
        remaining_base_drops=quote.base_drops,
        remaining_quote=quote.quote,
        status=status,
        expiration=quote.expiration,
        offer_sequence=100 + order_id,
        tx_hash=tx_hash(order_id),
        last_ledger_sequence=FIRST_LEDGER + tick + 4,
        created_ledger=FIRST_LEDGER + tick,
        failure_reason=None,
        filled_base_drops=0,
        filled_quote=Decimal(0),
        result_code=None,
        cancel_sent_ledger=None,
        closed_ledger=None,
    )


def _orders_of(tick: int, status: OrderStatus) -> tuple[Order, ...]:
    """Return bid and ask that requote tick `tick` made; odd numbers are bids."""
    first = 2 * (tick // REQUOTE_TICKS) - 1
    return tuple(_order(number, tick, status) for number in (first, first + 1))


def _prepared(order: Order) -> PreparedTransaction:
    return PreparedTransaction(
        kind=TransactionKind.REPLACE if order.order_id > 2 else TransactionKind.CREATE,
        order_id=order.order_id,
        replaces=order.order_id - 2 if order.order_id > 2 else None,
        tx_hash=tx_hash(order.order_id),
        account_sequence=100 + order.order_id,
        last_ledger_sequence=order.last_ledger_sequence or 0,
        fee_drops=12,
        blob=None,
    )


def _fill(tick: int) -> tuple[Fill, Order]:
    made = tick - tick % REQUOTE_TICKS
    order = _orders_of(made, OrderStatus.PARTIALLY_FILLED)[0]
    fill = Fill(
        order_id=order.order_id,
        ledger_index=FIRST_LEDGER + tick,
        close_time=FIRST_CLOSE + 4 * tick,
        transaction_index=3,
        node=f"{order.order_id:064x}",
        tx_hash=f"{tick:064x}",
        side=Side.BUY,
        liquidity=LiquiditySide.MAKER,
        base_drops=FILL_DROPS,
        quote=FILL_QUOTE,
        quote_balance_delta=-FILL_QUOTE,
        rounding=Decimal(0),
        offer_sequence=order.offer_sequence or 0,
    )
    return fill, replace(order, filled_base_drops=FILL_DROPS, filled_quote=FILL_QUOTE)


def _results(tick: int) -> tuple[tuple[TransactionOutcome, ...], tuple[Order, ...]]:
    made = tick - 1
    outcomes = tuple(
        TransactionOutcome(
            tx_hash=tx_hash(order.order_id),
            order_id=order.order_id,
            kind=_prepared(order).kind,
            result="tesSUCCESS",
            ledger_index=FIRST_LEDGER + tick,
            transaction_index=order.order_id % 2,
            fee_drops=12,
        )
        for order in _orders_of(made, OrderStatus.OPEN)
    )
    closed: tuple[Order, ...] = ()
    if made > REQUOTE_TICKS:
        closed = tuple(
            replace(old, failure_reason="replaced", closed_ledger=FIRST_LEDGER + tick)
            for old in _orders_of(made - REQUOTE_TICKS, OrderStatus.CANCELED)
        )
    return outcomes, (*_orders_of(made, OrderStatus.OPEN), *closed)


def intent(tick: int, depth: int = 10) -> IntentRecord:
    """Return what tick `tick` leaves behind."""
    market = snapshot(tick, depth)
    new = _orders_of(tick, OrderStatus.PENDING_SUBMIT) if is_requote(tick) else ()
    transactions: tuple[TransactionOutcome, ...] = ()
    changed: tuple[Order, ...] = ()
    if tick > REQUOTE_TICKS and is_requote(tick - 1):
        transactions, changed = _results(tick)
    fills: tuple[Fill, ...] = ()
    inventory: tuple[InventoryEntry, ...] = ()
    count = sum(has_fill(one) for one in range(1, tick + 1)) if has_fill(tick) else 0
    if count:
        fill, order = _fill(tick)
        fills, changed = (fill,), (*changed, order)
        inventory = (
            InventoryEntry(fill_key=fill.key, asset="XRP", change=Decimal(1), new_balance=Decimal(count)),
            InventoryEntry(
                fill_key=fill.key, asset="RLUSD", change=-FILL_QUOTE, new_balance=-FILL_QUOTE * count
            ),
        )
    return IntentRecord(
        tick=tick,
        kind="ledger",
        ledger_index=market.ledger_index,
        close_time=market.close_time,
        snapshot=market,
        transactions=transactions,
        fills=fills,
        inventory=inventory,
        capital=(),
        faults=(),
        findings=(),
        pricing=_pricing(tick),
        gates=(Gate(name="Warmup", side="both", detail=f"{tick} of 10 mids"),) if tick <= 10 else (),
        quotes=(_quote(Side.BUY, tick), _quote(Side.SELL, tick)),
        quoting="both" if tick > 10 else "none",
        touch=Touch(
            our_bid=_quote(Side.BUY, tick).price,
            our_ask=_quote(Side.SELL, tick).price,
            bid_bps=Decimal("-1.99995"),
            ask_bps=Decimal("-2.00005"),
        ),
        accounts=_accounts(tick),
        new_orders=new,
        changed_orders=changed,
        replaces={order.order_id: order.order_id - 2 for order in new if order.order_id > 2},
        prepared=tuple(_prepared(order) for order in new),
        canceled=0,
        kept=0 if new else 2,
        state={
            "last_ledger": str(market.ledger_index),
            "last_close_time": str(market.close_time),
            "account_value": str(313 + tick),
            "quoting": "both" if tick > 10 else "none",
        },
        fingerprint=tick.to_bytes(32, "big"),
    )


def _pricing(tick: int) -> Pricing:
    return Pricing(
        anchor=MID,
        anchor_source="mid",
        divergence_bps=Decimal("18.4471") + tick % 5,
        clamped=False,
        volatility_bps=Decimal(tick % 11) / 7,
        atr_bps=Decimal(tick % 13) / 3,
        reservation=MID - Decimal(tick % 9) / 100_000,
        half_spread_bps=Decimal(5) + Decimal(tick % 7) / 9,
        factors=(("base", Decimal(5)), ("volatility", Decimal(1) + Decimal(tick % 7) / 9)),
    )


def _accounts(tick: int) -> Accounts:
    return Accounts(
        fills_base_drops=1_000_000,
        fills_quote=-FILL_QUOTE,
        overlay_base_drops=100_000_000,
        overlay_quote=Decimal(220),
        fees_drops=12 * tick,
        rounding_quote=Decimal(0),
        cost_basis=Decimal("221.7"),
        net_capital=Decimal("439.47035"),
        realised=Decimal("0.011") * (tick % 19),
        unrealised=Decimal("-0.002") * tick,
        mark=MID,
        account_value=Decimal("439.4714473517500") - Decimal(tick) / 100_000,
    )


def outcome(tick: int) -> OutcomeRecord | None:
    """Return what the submits of the tick answered, None where it sent nothing."""
    if not is_requote(tick):
        return None
    orders = _orders_of(tick, OrderStatus.SUBMITTED)
    return OutcomeRecord(
        tick=tick,
        close_time=FIRST_CLOSE + 4 * tick,
        outcomes=tuple(
            SubmitOutcome(
                tx_hash=tx_hash(order.order_id),
                order_id=order.order_id,
                outcome=SubmitClass.ACCEPTED,
                code="tesSUCCESS",
            )
            for order in orders
        ),
        changed_orders=orders,
    )


def stream(ticks: int, depth: int = 10) -> Iterator[tuple[IntentRecord, OutcomeRecord | None]]:
    """Yield the records of ticks 1 to `ticks`."""
    for tick in range(1, ticks + 1):
        yield intent(tick, depth), outcome(tick)
