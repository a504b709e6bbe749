"""What a live session must know before its first tick: may it trade, and what did the last one leave open.

Nothing here signs or sends. Whatever cannot be found out ends the start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from neo_engine.config_sections import LiveConfig
from neo_engine.domain.account_snapshot import OpenOffer
from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookTracker
from neo_engine.domain.errors import StartupFailure
from neo_engine.domain.fills import Fill
from neo_engine.domain.ledger import FeedStart
from neo_engine.domain.number import EXACT, MILLION
from neo_engine.domain.orders import Order, OrderStatus, Quote
from neo_engine.event_log import say
from neo_engine.execution.diff import new_order
from neo_engine.execution.live import News
from neo_engine.execution.live_account import LiveAccount
from neo_engine.execution.live_events import KnownOrder
from neo_engine.execution.recovery import Recovery, ServerBehind, recover
from neo_engine.execution.tracking import Orders
from neo_engine.live_left import LeftBehind
from neo_engine.ops.preflight_checks import Finding, Status, authority, network
from neo_engine.ports import Clock
from neo_engine.session import Adopted, Opening
from neo_engine.xrpl.account_reader import AccountReader
from neo_engine.xrpl.history import HistoryError
from neo_engine.xrpl.metadata import account_events
from neo_engine.xrpl.server import RequestLost, RequestRefused, Server

ATTEMPTS = 5  # a server that lags or is busy is ordinary; one that stays so for 12 s is not
PAUSE_SECONDS = 3.0
T = TypeVar("T")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What the start found out of the account: see `found_out`."""

    recovery: Recovery
    account: LiveAccount
    adopted: Adopted
    opening: Opening
    news: News
    dead: tuple[str, ...]
    reader: AccountReader


def found_out(behind: LeftBehind, reader: AccountReader, start: FeedStart, *, adopt_offers: bool) -> Found:
    """Find out what became of everything left open. Raises StartupFailure for offers that nobody knows."""
    left = behind.left
    if not left.last_ledger:
        left = replace(left, last_ledger=start.ledger_index)
    book = BookTracker(start.state)
    recovery, account = recover(reader, left, account_events, transfer_rate=book.transfer_rate)
    settled = {one.tx_hash for one in recovery.transactions} | {one.prepared.tx_hash for one in recovery.open}
    fills = _unstored(recovery.fills, behind.orders)
    adopted = _adopted(behind, recovery, account, adopt_offers=adopt_offers)
    if left.in_flight or left.orders or fills:
        say.warning(
            "recovery",
            "left open: {orders} orders, {transactions} transactions; found: {fills} fills, "
            "{results} results, {open} still open",
            orders=len(left.orders),
            transactions=len(left.in_flight),
            fills=len(fills),
            results=len(recovery.transactions),
            open=len(recovery.open),
        )
    for what in recovery.findings:
        say.warning(
            "recovery_finding",
            "while no session ran: {} in ledger {ledger_index}: {}",
            what.kind.value,
            what.detail,
            ledger_index=what.ledger_index,
        )
    for order_id in recovery.vanished:
        say.warning(
            "order_vanished",
            "order {order_id} does not stand, and the ledgers read do not say why",
            order_id=order_id,
        )
    news = News(
        updates=list(recovery.order_updates), fills=list(fills), transactions=list(recovery.transactions)
    )
    fees = sum(one.fee_drops for one in recovery.transactions)
    return Found(
        recovery=recovery,
        account=account,
        adopted=adopted,
        opening=_opening(recovery, fills, fees),
        news=news,
        reader=reader,
        dead=tuple(sorted({one.prepared.tx_hash for one in left.in_flight} - settled)),
    )


def _unstored(fills: tuple[Fill, ...], orders: Orders) -> tuple[Fill, ...]:
    """Return the fills that no earlier session has stored: the others are in what it booked."""
    stored = {(order_id, key[0], key[1]) for order_id, seen in orders.seen.items() for key in seen.fill_keys}
    return tuple(
        one for one in fills if (one.order_id, one.ledger_index, one.transaction_index) not in stored
    )


def _opening(recovery: Recovery, fills: tuple[Fill, ...], fees: int) -> Opening:
    """Return what the account held before what this session still has to book."""
    drops, quote = recovery.view.balance_drops + fees, recovery.view.quote_balance
    for one in fills:
        drops -= one.base_drops if one.side is Side.BUY else -one.base_drops
        quote = EXACT.subtract(quote, one.quote_balance_delta)
    return Opening(base_drops=drops, quote=quote)


def _adopted(behind: LeftBehind, recovery: Recovery, account: LiveAccount, *, adopt_offers: bool) -> Adopted:
    """Return the orders to go on with, offers that nobody placed among them if the operator wants that."""
    unknown = [one for one in recovery.unknown_offers if one.offer_sequence not in account.expired_offers]
    if unknown and not adopt_offers:
        numbers = ", ".join(str(one.offer_sequence) for one in unknown)
        raise StartupFailure(
            f"{account.address} has offers that no order of this database placed (sequences {numbers}); "
            "cancel them with `flatten`, or take them over with --adopt-offers"
        )
    number = max((one.order_id for one in behind.orders), default=0)
    new = []
    for one in unknown:
        number += 1
        order = _order_of(one, number, recovery.ledger_index)
        account.adopt(
            KnownOrder(
                order_id=number,
                offer_sequence=one.offer_sequence,
                base_drops=one.base_drops,
                quote=one.quote,
            )
        )
        new.append(order)
    orders = behind.orders
    if new:
        orders = Orders(
            working=(*orders.working, *new),
            closed=orders.closed,
            seen=orders.seen,
            replaces=orders.replaces,
        )
    return Adopted(orders=orders, stored=behind.stored, new=tuple(new))


def _order_of(offer: OpenOffer, number: int, ledger_index: int) -> Order:
    """Return an offer that nobody placed as an order that stands."""
    quote = Quote(
        slot=f"adopted-{offer.offer_sequence}",
        side=offer.side,
        price=offer.quote * MILLION / offer.base_drops,
        base_drops=offer.base_drops,
        quote=offer.quote,
        expiration=offer.expiration,
    )
    made = new_order(number, quote, ledger_index)
    return replace(made, status=OrderStatus.OPEN, offer_sequence=offer.offer_sequence)


def readable(judge: Callable[[], T]) -> T:
    """Return what judging an answer gives. Raises HistoryError for one that has not the form of the API."""
    try:
        return judge()
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise HistoryError(
            f"an answer is not of the API's form ({type(error).__name__}: {error}); use another endpoint"
        ) from error


def patiently(ask: Callable[[], T], clock: Clock) -> T:
    """Return what `ask` returns; a server's passing trouble is waited out for some ledgers.

    Raises what the last of ATTEMPTS raised.
    """
    for attempt in range(1, ATTEMPTS):
        try:
            return ask()
        except (ServerBehind, HistoryError, RequestLost, RequestRefused) as error:
            say.warning(
                "start_read_failed",
                "asked in vain ({attempt} of {attempts_max}): {}",
                error,
                attempt=attempt,
                attempts_max=ATTEMPTS,
            )
            clock.sleep(PAUSE_SECONDS)
    return ask()


def check_not_frozen(account: LiveAccount) -> None:
    """Raise StartupFailure while the issuer has frozen our trust line: no bid would be funded."""
    if account.frozen:
        raise StartupFailure(
            f"the issuer has frozen the trust line of {account.address}; ask him. `flatten` "
            "cancels offers even so"
        )


def check_network(source: Server, live: LiveConfig) -> None:
    _required(readable(lambda: network(source.request("server_info")["info"], live)))


def check_authority(source: Server, live: LiveConfig, address: str) -> None:
    """Raise StartupFailure unless the account is there and the key may sign for it."""
    try:
        answer = source.request("account_info", account=live.account, ledger_index="validated")
    except RequestRefused as error:
        if error.token != "actNotFound":
            raise
        raise StartupFailure(
            f"live.account {live.account} is not on this network; fund it, or check address and network"
        ) from error
    _required(readable(lambda: authority(answer["account_data"], address, live)))


def _required(found: Finding) -> None:
    if found.status is Status.FAIL:
        raise StartupFailure(f"{found.check}: {found.found}; {found.fix}")
