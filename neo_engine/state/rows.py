"""Records into rows: pure functions from what a tick left behind to tuples for SQLite.

1. Money is exact: drops INTEGER, issued amounts and P&L plain decimal TEXT with every digit.
2. Anchor, reservation and fill prices are rounded NEAREST to the 16 digits a ledger price can have,
   prices of depth and statistics (spreads, volatility, factors) to 8: one part in ten million is a
   thousandth of a bps, and half the bytes. The exact ones come back by a replay.
3. `Batch` holds rows by statement, in the order in which foreign keys allow them to be written, so the
   rows of many ticks can go out together and end as if written one by one.
4. Global order ids are arithmetic (`first + order_no`), so no map grows with the session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache

import msgspec

from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.clock import utc_text
from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.fills import Fill
from neo_engine.domain.market import Level, MarketSnapshot
from neo_engine.domain.number import NEAREST, issued, plain, xrp_from_drops
from neo_engine.domain.orders import Order, PreparedTransaction, Quote, TransactionOutcome
from neo_engine.domain.records import CapitalRecord, IntentRecord, OutcomeRecord, Touch
from neo_engine.state.statements import (
    CAPITAL,
    FAULTS,
    FILLS,
    FINDINGS,
    INVENTORY,
    OPENINGS,
    ORDER_UPDATES,
    ORDERS,
    PRELIMINARIES,
    RESULTS,
    SNAPSHOTS,
    STATE,
    STATEMENTS,
    SUBMISSIONS,
    TICKS,
)

XRP = "XRP"
_DEPTH = Context(prec=8, rounding=NEAREST)
_STATISTIC = Context(prec=8, rounding=NEAREST)
TOUCH_DIGITS = 4  # decimals of the REAL distance columns: 0.0001 bps is below any price step
WITHIN_BPS = Decimal(-2)  # "within 2 bps of the touch": not further behind it than this
OPERATOR_SCOPE = 0  # scope of capital requests that count once in the whole database

Row = tuple[object, ...]
_encode = msgspec.json.Encoder().encode


#: Rows of one record, each with its place in STATEMENTS.
Batch = list[tuple[int, Row]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbering:
    """How a session's own numbers become the database's.

    first_order: highest orders.id before the session. adopted: session order id -> orders.id of the
    orders taken over from an earlier session. replayed: its capital requests count for it alone.
    """

    session_id: int
    first_order: int
    quote_symbol: str
    replayed: bool
    depth_levels: int
    adopted: Mapping[int, int]

    def order(self, order_id: int) -> int:
        """Return orders.id of the session's order `order_id`. Raises InvariantViolation below 1."""
        if order_id < 1:
            raise InvariantViolation(f"order {order_id}: orders of a session are counted from 1")
        if self.adopted:
            return self.adopted.get(order_id, self.first_order + order_id)
        return self.first_order + order_id


def exact(value: Decimal) -> str:
    """Return `plain(value)`, by a shorter way where Decimal's own text is plain already.

    >>> exact(Decimal("2.19")), exact(Decimal("2.190")), exact(Decimal("1E+2"))
    ('2.19', '2.19', '100')
    """
    if not value:
        return "0"
    text = str(value)
    return plain(value) if "E" in text or (text[-1] == "0" and "." in text) else text


def _text(value: Decimal | None) -> str | None:
    return None if value is None else exact(value)


def _price(value: Decimal | None) -> str | None:
    return None if value is None else exact(issued(value, NEAREST))


def _statistic(value: Decimal | None) -> str | None:
    return None if value is None else exact(_STATISTIC.plus(value))


# The same few times come again within a tick: its own, its fills', its orders'.
_utc = lru_cache(maxsize=64)(utc_text)


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else _utc(seconds)


def _json(value: object) -> str:
    return _encode(value).decode()


def _depth(levels: Sequence[Level], limit: int) -> str:
    return _json([(exact(_DEPTH.plus(level.price)), level.base_drops) for level in levels[:limit]])


def _quotes(quotes: Sequence[Quote]) -> str:
    return _json(
        [{"slot": quote.slot, "price": exact(quote.price), "xrp_drops": quote.base_drops} for quote in quotes]
    )


def _tick_row(record: IntentRecord, session: Numbering, at: str) -> Row:
    pricing, accounts = record.pricing, record.accounts
    factors = {name: _statistic(value) for name, value in pricing.factors}
    gates = [{"name": gate.name, "side": gate.side, "detail": gate.detail} for gate in record.gates]
    return (
        session.session_id,
        record.tick,
        record.kind,
        record.ledger_index,
        at,
        _price(pricing.anchor),
        pricing.anchor_source,
        _statistic(pricing.divergence_bps),
        int(pricing.clamped),
        _statistic(pricing.volatility_bps),
        _statistic(pricing.atr_bps),
        _price(pricing.reservation),
        _statistic(pricing.half_spread_bps),
        _json(factors) if factors else "{}",
        _json(gates) if gates else "[]",
        _quotes(record.quotes),
        record.quoting,
        len(record.new_orders),
        record.canceled,
        record.kept,
        len(record.fills),
        accounts.base_drops,
        exact(accounts.quote),
        accounts.fees_drops,
        _text(accounts.mark),
        exact(accounts.net_capital),
        exact(accounts.realised),
        exact(accounts.unrealised),
        exact(accounts.account_value),
        record.fingerprint,
    )


def _distance(bps: Decimal | None) -> float | None:
    # A statistic, no money: rounded NEAREST, as round() does.
    return None if bps is None else round(float(bps), TOUCH_DIGITS)


def _within(bps: Decimal | None) -> int | None:
    return None if bps is None else int(bps >= WITHIN_BPS)


def _snapshot_row(snapshot: MarketSnapshot, record: IntentRecord, session: Numbering, at: str) -> Row:
    pool = snapshot.pool
    return (
        session.session_id,
        record.tick,
        snapshot.ledger_index,
        at if snapshot.close_time == record.close_time else _utc(snapshot.close_time),
        _text(snapshot.best_bid),
        _text(snapshot.best_ask),
        _text(snapshot.mid),
        None if pool is None else pool.base_drops,
        None if pool is None else exact(pool.quote),
        None if pool is None else pool.trading_fee,
        *_touch_columns(record.touch),
        _depth(snapshot.bids, session.depth_levels),
        _depth(snapshot.asks, session.depth_levels),
    )


def _touch_columns(touch: Touch) -> Row:
    return (
        _text(touch.our_bid),
        _text(touch.our_ask),
        _distance(touch.bid_bps),
        _distance(touch.ask_bps),
        _within(touch.bid_bps),
        _within(touch.ask_bps),
    )


def _order_row(order: Order, record: IntentRecord, session: Numbering, at: str) -> Row:
    replaced = record.replaces.get(order.order_id)
    return (
        session.order(order.order_id),
        session.session_id,
        order.order_id,
        order.slot,
        order.side.value,
        exact(order.price),
        exact(xrp_from_drops(order.base_drops)),
        exact(order.quote),
        exact(xrp_from_drops(order.filled_base_drops)),
        exact(order.filled_quote),
        order.status.value,
        at,
        at,
        record.tick,
        order.created_ledger,
        order.closed_ledger,
        order.tx_hash,
        order.offer_sequence,
        order.last_ledger_sequence,
        _time(order.expiration),
        None if replaced is None else session.order(replaced),
        order.result_code,
        order.failure_reason,
    )


def _order_update(order: Order, session: Numbering, at: str) -> Row:
    return (
        exact(xrp_from_drops(order.filled_base_drops)),
        exact(order.filled_quote),
        order.status.value,
        at,
        order.closed_ledger,
        order.tx_hash,
        order.offer_sequence,
        order.last_ledger_sequence,
        order.result_code,
        order.failure_reason,
        session.order(order.order_id),
    )


def _result_row(outcome: TransactionOutcome) -> Row:
    return (
        outcome.tx_hash,
        outcome.result,
        outcome.ledger_index,
        outcome.transaction_index,
        outcome.fee_drops,
    )


def _fill_row(fill: Fill, record: IntentRecord, session: Numbering) -> Row:
    return (
        session.session_id,
        session.order(fill.order_id),
        record.tick,
        fill.ledger_index,
        fill.transaction_index,
        fill.node,
        _utc(fill.close_time),
        fill.tx_hash,
        fill.side.value,
        fill.liquidity.value,
        fill.base_drops,
        exact(fill.quote),
        exact(fill.quote_balance_delta),
        exact(fill.rounding),
        exact(issued(fill.price, NEAREST)),
        None if record.snapshot is None else _text(record.snapshot.mid),
        fill.offer_sequence,
    )


def capital_asset(event: CapitalEvent, quote_symbol: str) -> tuple[str, str]:
    """Return the asset and the positive amount of a capital event as stored."""
    if event.base_drops:
        return XRP, exact(xrp_from_drops(event.base_drops))
    return quote_symbol, exact(event.quote)


def _capital_row(item: CapitalRecord, record: IntentRecord, session: Numbering, at: str) -> Row:
    event = item.event
    own = session.replayed or event.kind is CapitalKind.OPENING
    return (
        session.session_id,
        session.session_id if own else OPERATOR_SCOPE,
        event.request_id,
        event.kind.value,
        *capital_asset(event, session.quote_symbol),
        _text(item.mark),
        "applied" if item.applied else "refused",
        item.reason,
        event.note,
        event.created_at,
        at,
        record.tick,
    )


def _trades(batch: Batch, record: IntentRecord, session: Numbering, at: str) -> None:
    for outcome in record.transactions:
        batch.append((RESULTS, _result_row(outcome)))
    for fill in record.fills:
        batch.append((FILLS, _fill_row(fill, record, session)))
    keys = {fill.key for fill in record.fills}
    for entry in record.inventory:
        if entry.fill_key not in keys:
            raise InvariantViolation(
                f"tick {record.tick}: inventory entry for {entry.fill_key}, not a fill of it"
            )
        amounts = (entry.asset, exact(entry.change), exact(entry.new_balance))
        batch.append((INVENTORY, (session.session_id, *entry.fill_key, record.tick, *amounts, at)))


def _rare(batch: Batch, record: IntentRecord, session: Numbering, at: str) -> None:
    where = (session.session_id, record.tick)
    for item in record.capital:
        into = OPENINGS if item.event.kind is CapitalKind.OPENING else CAPITAL
        batch.append((into, _capital_row(item, record, session, at)))
    for fault in record.faults:
        batch.append((FAULTS, (*where, fault.kind, fault.line, fault.detail)))
    for finding in record.findings:
        order = None if finding.order_id is None else session.order(finding.order_id)
        severity = "halt" if finding.halts else "repaired"
        batch.append((FINDINGS, (*where, finding.name, order, severity, finding.detail)))


def _sent_row(sent: PreparedTransaction, tick: int, session: Numbering) -> Row:
    return (
        session.session_id,
        tick,
        session.order(sent.order_id),
        sent.kind.value,
        sent.tx_hash,
        sent.account_sequence,
        sent.last_ledger_sequence,
        sent.fee_drops,
        sent.blob,
    )


def intent_batch(record: IntentRecord, session: Numbering) -> Batch:
    """Return every row of a tick but its engine_state. Raises InvariantViolation on a record at odds."""
    at = _utc(record.close_time)
    batch: Batch = [(TICKS, _tick_row(record, session, at))]
    if record.snapshot is not None:
        batch.append((SNAPSHOTS, _snapshot_row(record.snapshot, record, session, at)))
    for order in record.new_orders:
        batch.append((ORDERS, _order_row(order, record, session, at)))
    for order in record.changed_orders:
        batch.append((ORDER_UPDATES, _order_update(order, session, at)))
    for sent in record.prepared:
        batch.append((SUBMISSIONS, _sent_row(sent, record.tick, session)))
    if record.fills or record.transactions or record.inventory:
        _trades(batch, record, session, at)
    if record.capital or record.faults or record.findings:
        _rare(batch, record, session, at)
    return batch


def outcome_batch(record: OutcomeRecord, session: Numbering) -> Batch:
    """Return the updates that the answers to a tick's submits bring."""
    at = _utc(record.close_time)
    batch: Batch = [
        (PRELIMINARIES, (answer.tx_hash, answer.outcome.value, answer.code)) for answer in record.outcomes
    ]
    batch.extend((ORDER_UPDATES, _order_update(order, session, at)) for order in record.changed_orders)
    return batch


def joined(batches: list[Batch]) -> list[list[Row]]:
    """Return the rows of many batches by statement.

    An engine_state key or an order that changed more than once keeps its last row, which is whole.
    """
    rows: list[list[Row]] = [[] for _ in STATEMENTS]
    for batch in batches:
        for into, row in batch:
            rows[into].append(row)
    if len(batches) > 1:
        rows[STATE] = list({row[0]: row for row in rows[STATE]}.values())
        rows[ORDER_UPDATES] = list({row[-1]: row for row in rows[ORDER_UPDATES]}.values())
    return rows
