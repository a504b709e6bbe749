"""Records into rows: pure functions from what a tick left behind to tuples for SQLite.

1. Money that moved or is held is exact: drops INTEGER, issued amounts plain decimal TEXT with every digit.
2. P&L and the mark it is valued at are exact too, so that a tick's columns add up to the last digit.
   What nothing is computed from is rounded NEAREST to what it is looked at for: prices of orders and fills
   to the 16 digits a ledger price can have, those of the market to 12, of the decision to 10, statistics
   to 5 digits (a part in ten thousand); the exact ones come back by a replay.
3. `Batch` holds rows by statement; `groups.joined` lets those of many ticks go out together.
4. Global order ids are arithmetic (`first + order_no`), so no map grows with the session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from functools import lru_cache

import msgspec

from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.clock import utc_text
from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.fills import Fill
from neo_engine.domain.market import Level, MarketSnapshot, is_price
from neo_engine.domain.number import NEAREST, issued, plain, xrp_from_drops
from neo_engine.domain.orders import Order, PreparedTransaction, Quote, TransactionKind, TransactionOutcome
from neo_engine.domain.records import MULTIPLIERS, CapitalRecord, IntentRecord, OutcomeRecord, Touch
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
    READINGS,
    RESULTS,
    SNAPSHOTS,
    SUBMISSIONS,
    TICKS,
    UPKEEP,
    UPKEEP_RESULTS,
    XRP,
)

_SHOWN = Context(prec=12, rounding=NEAREST)
_STATISTIC = Context(prec=5, rounding=NEAREST)
_DECIDED = Context(prec=10, rounding=NEAREST)
TOUCH_QUANTUM = Decimal("0.0001")  # of the distance columns, in bps: below any price step
SHORT_FACTORS = {  # v_factors has them whole
    "volatility": "v",
    "range": "r",
    "multiplier": "m",
    "network_fee_bps": "n",
    "transfer_fee_bps": "t",
    "imbalance": "i",
}
REPLACED = "replaced"  # by which order is said by orders.replaces_order of the newer one
_STEPS = 1_000_000  # depth: distances in 0.01 bps of the best price
_SIZE_DROPS = 100_000  # depth: sizes in 0.1 XRP
_FAR, _HUGE = (1 << 16) - 1, (1 << 24) - 1  # the most that two and three bytes can say
_LEVEL_BYTES = 5
SUCCESS, SHORT_SUCCESS = "tesSUCCESS", "tes"
NODE_DIGITS = 16  # of the 64 of an offer's ledger ID: tells the offers of a transaction apart
TICK_BITS = 32  # ticks.id = session << 32 | tick
READING_BITS = 5  # monitor_readings.id = ticks.id << 5 | number
OPERATOR_SCOPE = 0  # scope of capital requests that count once in the whole database

Row = tuple[object, ...]
_encode = msgspec.json.Encoder().encode


#: Rows of one record, each with its place in STATEMENTS.
Batch = list[tuple[int, Row]]


class Numbering(msgspec.Struct, frozen=True, kw_only=True):
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
    return None if value is None else exact(_SHOWN.plus(value))


def _usable(value: Decimal | None) -> str | None:
    """Return a price of the market; None for one that is no price, of which the gate BadNumber tells.

    >>> _usable(Decimal("2.19")), _usable(Decimal("NaN")), _usable(Decimal("1E+90"))
    ('2.19', None, None)
    """
    return None if value is None or not is_price(value) else _price(value)


def _decided(value: Decimal | None) -> str | None:
    return None if value is None else exact(_DECIDED.plus(value))


def _reason(reason: str | None) -> str | None:
    return REPLACED if reason is not None and reason.startswith(f"{REPLACED} by order ") else reason


def _code(code: str | None) -> str | None:
    return SHORT_SUCCESS if code == SUCCESS else code


def _statistic(value: Decimal | None) -> str | None:
    return None if value is None else exact(_STATISTIC.plus(value))


# The same few times come again within a tick: its own, its fills', its orders'.
_utc = lru_cache(maxsize=64)(utc_text)


def _json(value: object) -> str:
    return _encode(value).decode()


def _depth(levels: Sequence[Level], limit: int) -> bytes:
    """Return five bytes a level: distance behind the best (rounded NEAREST), size (rounded DOWN)."""
    if not levels:
        return b""
    scale = _STEPS / float(levels[0].price)  # depth is looked at, never accounted with
    packed = 0
    shown = levels[:limit]
    for level in shown:
        far = int(abs(float(level.price) * scale - _STEPS) + 0.5)
        size = level.base_drops // _SIZE_DROPS
        packed = packed << 40 | (far if far < _FAR else _FAR) << 24 | (size if size < _HUGE else _HUGE)
    return packed.to_bytes(_LEVEL_BYTES * len(shown), "big")


def _quotes(quotes: Sequence[Quote]) -> str | None:
    if not quotes:
        return None
    # Prices as bare JSON numbers: plain decimal text either way, two characters less.
    wanted = (f'"{quote.slot}":[{_decided(quote.price)},{quote.base_drops}]' for quote in quotes)
    return "{" + ",".join(wanted) + "}"


def _factors(factors: Sequence[tuple[str, Decimal]]) -> str | None:
    # Those that change nothing are left out: a multiplier of 1 (as True is), an added term of 0.
    told = [
        f'"{SHORT_FACTORS.get(name, name)}":{_statistic(value)}'
        for name, value in factors
        if value != (name in MULTIPLIERS)
    ]
    return "{" + ",".join(told) + "}" if told else None


def _tick_row(record: IntentRecord, session: Numbering, at: str) -> Row:
    pricing, accounts = record.pricing, record.accounts
    gates = [{"name": gate.name, "side": gate.side, "detail": gate.detail} for gate in record.gates]
    return (
        session.session_id << TICK_BITS | record.tick,
        session.session_id,
        record.tick,
        record.kind,
        record.ledger_index,
        at,
        _decided(pricing.anchor),
        pricing.anchor_source,
        _statistic(pricing.divergence_bps),
        int(pricing.clamped),
        _statistic(pricing.volatility_bps),
        _statistic(pricing.atr_bps),
        _decided(pricing.reservation),
        _statistic(pricing.half_spread_bps),
        _factors(pricing.factors),
        _json(gates) if gates else None,
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
    # A statistic, no money. The flags that SQL works out of it are those of the session's summary.
    return None if bps is None else float(bps.quantize(TOUCH_QUANTUM, NEAREST))


def _snapshot_row(snapshot: MarketSnapshot, record: IntentRecord, session: Numbering) -> Row:
    pool = snapshot.pool
    return (
        session.session_id << TICK_BITS | record.tick,
        session.session_id,
        record.tick,
        _usable(snapshot.best_bid),
        _usable(snapshot.best_ask),
        None if pool is None else pool.base_drops,
        None if pool is None else _price(pool.quote),
        None if pool is None else pool.trading_fee,
        *_touch_columns(record.touch),
        _depth(snapshot.bids, session.depth_levels),
        _depth(snapshot.asks, session.depth_levels),
        len(snapshot.trades),
        sum(one.base_drops for one in snapshot.trades),
    )


def _touch_columns(touch: Touch) -> Row:
    return (
        _price(touch.our_bid),
        _price(touch.our_ask),
        _distance(touch.bid_bps),
        _distance(touch.ask_bps),
    )


def _order_row(order: Order, record: IntentRecord, session: Numbering, at: str) -> Row:
    replaced = record.replaces.get(order.order_id)
    return (
        session.order(order.order_id),
        session.session_id,
        order.order_id,
        order.slot,
        order.side.value,
        exact(issued(order.price, NEAREST)),
        exact(xrp_from_drops(order.base_drops)),
        exact(order.quote),
        exact(xrp_from_drops(order.filled_base_drops)),
        exact(order.filled_quote),
        order.status.value,
        at,
        record.tick,
        order.closed_ledger,
        order.tx_hash,
        order.offer_sequence,
        order.last_ledger_sequence,
        None if order.expiration is None else order.expiration - record.close_time,
        None if replaced is None else session.order(replaced),
        _code(order.result_code),
        _reason(order.failure_reason),
    )


def _order_update(order: Order, session: Numbering) -> Row:
    return (
        exact(xrp_from_drops(order.filled_base_drops)),
        exact(order.filled_quote),
        order.status.value,
        order.closed_ledger,
        order.tx_hash,
        order.offer_sequence,
        order.last_ledger_sequence,
        _code(order.result_code),
        _reason(order.failure_reason),
        session.order(order.order_id),
    )


def _result_columns(outcome: TransactionOutcome, session: Numbering) -> Row:
    return (
        _code(outcome.result),
        outcome.ledger_index,
        outcome.transaction_index,
        outcome.fee_drops,
        session.session_id,
    )


def _fill_row(fill: Fill, record: IntentRecord, session: Numbering) -> Row:
    return (
        session.session_id,
        session.order(fill.order_id),
        record.tick,
        fill.ledger_index,
        fill.transaction_index,
        fill.node[-NODE_DIGITS:],
        _utc(fill.close_time),
        fill.tx_hash,
        fill.side.value,
        fill.liquidity.value,
        fill.base_drops,
        exact(fill.quote),
        exact(fill.quote_balance_delta),
        exact(fill.rounding),
        exact(issued(fill.price, NEAREST)),
        None if record.snapshot is None else _usable(record.snapshot.mid),
        fill.offer_sequence,
    )


def capital_asset(event: CapitalEvent, quote_symbol: str) -> tuple[str, str]:
    """Return the asset and the positive amount of a capital event as stored."""
    if event.base_drops:
        return XRP, exact(xrp_from_drops(event.base_drops))
    return quote_symbol, exact(event.quote)


def _capital_row(item: CapitalRecord, record: IntentRecord, session: Numbering, at: str) -> Row:
    event = item.event
    own = session.replayed or event.observed or event.kind is CapitalKind.OPENING
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


def _trades(batch: Batch, record: IntentRecord, session: Numbering) -> None:
    for outcome in record.transactions:
        result = _result_columns(outcome, session)
        if outcome.kind is TransactionKind.UPKEEP:
            batch.append((UPKEEP_RESULTS, (bytes.fromhex(outcome.tx_hash), *result)))
        else:
            batch.append((RESULTS, (session.order(outcome.order_id), outcome.tx_hash, *result)))
    for fill in record.fills:
        batch.append((FILLS, _fill_row(fill, record, session)))
    traded = {fill.key: fill for fill in record.fills}
    for entry in record.inventory:
        fill_of = traded.get(entry.fill_key)
        if fill_of is None:
            raise InvariantViolation(
                f"tick {record.tick}: inventory entry for {entry.fill_key}, not a fill of it"
            )
        which = (session.order(fill_of.order_id), fill_of.ledger_index, fill_of.transaction_index)
        amounts = (entry.asset, exact(entry.change), exact(entry.new_balance))
        batch.append((INVENTORY, (*which, session.session_id, *amounts)))


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
    key = (session.session_id << TICK_BITS | record.tick) << READING_BITS
    for number, one in enumerate(record.readings):
        batch.append((READINGS, (key | number, *where, one.monitor, one.severity.name, one.detail)))


_UNANSWERED = (None,) * 5  # outcome, preliminary code, result, ledger, place in it


def _sent_row(sent: PreparedTransaction, tick: int, session: Numbering) -> Row:
    # What makes an order has the hash that the order's own row has: once is enough.
    own = None if sent.kind is not TransactionKind.CANCEL else bytes.fromhex(sent.tx_hash)
    return (
        session.order(sent.order_id),
        session.session_id,
        tick,
        sent.kind.value,
        own,
        sent.account_sequence,
        sent.last_ledger_sequence,
        sent.fee_drops,
        sent.blob,
        *_UNANSWERED,
    )


def _upkeep_row(sent: PreparedTransaction, tick: int, session: Numbering) -> Row:
    return (
        session.session_id,
        tick,
        bytes.fromhex(sent.tx_hash),
        sent.account_sequence,
        sent.last_ledger_sequence,
        sent.fee_drops,
        sent.tickets,
        sent.blob,
    )


def intent_batch(record: IntentRecord, session: Numbering) -> Batch:
    """Return every row of a tick but its engine_state. Raises InvariantViolation on a record at odds."""
    at = _utc(record.close_time)
    batch: Batch = [(TICKS, _tick_row(record, session, at))]
    if record.snapshot is not None:
        batch.append((SNAPSHOTS, _snapshot_row(record.snapshot, record, session)))
    for order in record.new_orders:
        batch.append((ORDERS, _order_row(order, record, session, at)))
    for order in record.changed_orders:
        batch.append((ORDER_UPDATES, _order_update(order, session)))
    for sent in record.prepared:
        if sent.kind is TransactionKind.UPKEEP:
            batch.append((UPKEEP, _upkeep_row(sent, record.tick, session)))
        else:
            batch.append((SUBMISSIONS, _sent_row(sent, record.tick, session)))
    if record.fills or record.transactions or record.inventory:
        _trades(batch, record, session)
    if record.capital or record.faults or record.findings or record.readings:
        _rare(batch, record, session, at)
    return batch


def outcome_batch(record: OutcomeRecord, session: Numbering) -> Batch:
    """Return the updates that the answers to a tick's submits bring."""
    batch: Batch = [
        (
            PRELIMINARIES,
            (session.order(answer.order_id), answer.tx_hash, answer.outcome.value, _code(answer.code)),
        )
        for answer in record.outcomes
    ]
    batch.extend((ORDER_UPDATES, _order_update(order, session)) for order in record.changed_orders)
    return batch
