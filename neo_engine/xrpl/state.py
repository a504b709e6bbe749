"""Whole states, pure: a recording's header, a ledger line, and the server's own lists, decoded.

`state_of` turns the ledger entries of one ledger into the tracker's `LedgerState`; `update_of` turns
one line (or what a live feed gathered for one ledger) into a `LedgerUpdate`; `snapshot_of` decodes
the check data when somebody asks.

Time priority inside one rate is the order of `Indexes` in the book's directory, page after page
(rippled `dirAppend` keeps it).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from neo_engine.domain.amm import Pool
from neo_engine.domain.assets import IssuedAsset, Pair, Side
from neo_engine.domain.book import AccountState, BookOffer, LedgerState, LineState
from neo_engine.domain.errors import BadNumber
from neo_engine.domain.ledger import (
    BookSnapshot,
    CheckData,
    LedgerTransaction,
    LedgerUpdate,
    NodeAction,
    SnapshotOffer,
)
from neo_engine.domain.number import ZERO, parse_drops
from neo_engine.xrpl.codec import (
    Codec,
    MissingField,
    drops_of,
    issued_of,
    line_frozen,
    page_number,
    pool_change,
    rate_of_directory,
)
from neo_engine.xrpl.wire import (
    AmmInfo,
    BookLine,
    HeaderLine,
    LedgerClosed,
    LedgerLine,
    StartLedger,
    StateEntry,
    Token,
    WatchedAccount,
    accounts_decoder,
    amm_decoder,
    book_decoder,
)

BOOK_OFFERS_LIMIT = 60  # the server's default `limit`: a list this long may have been cut
RIPPLE_EPOCH_UNIX = 946_684_800  # 2000-01-01T00:00:00Z in Unix seconds
MAX_FEE_BASE_DROPS = 1_000_000  # 1 XRP: a hundred thousand times today's fee is a broken message
MAX_RESERVE_DROPS = 1_000_000_000  # 1,000 XRP: the reserve has never been above 200
MAX_CLOSE_TIME = 2**32 - 1  # the ledger's own field is 32 bits wide


def pair_of(header: HeaderLine) -> Pair:
    """Return the header's pair. Raises MissingField unless it is XRP against a token."""
    base, quote = header.pair.base, header.pair.quote
    if base.currency != "XRP" or base.issuer is not None or quote.issuer is None:
        raise MissingField("header.pair: the base must be XRP and the quote a token with an issuer")
    return Pair(quote=IssuedAsset(currency=quote.currency, issuer=quote.issuer))


def state_of(pair: Pair, start: StartLedger, entries: Sequence[StateEntry], complete: bool) -> LedgerState:
    """Return the tracker's start from the ledger entries of one ledger.

    Raises MissingField without FeeSettings, BadNumber for an impossible number in an entry.
    """
    codec = Codec(pair=pair)
    accounts: list[AccountState] = []
    account_index: list[tuple[str, str]] = []
    lines: list[LineState] = []
    chain: list[tuple[str, str]] = []
    offers: dict[str, BookOffer] = {}
    pages: dict[str, list[StateEntry]] = {}
    pool_entry: StateEntry | None = None
    fees: StateEntry | None = None
    for entry in entries:
        kind = entry.LedgerEntryType
        last_txn = entry.PreviousTxnID or ""
        if kind == "AccountRoot":
            state = _account_state(entry)
            accounts.append(state)
            account_index.append((entry.index, state.account))
            chain.append((entry.index, last_txn))
        elif kind == "RippleState":
            held = codec.line_side(entry)
            if held is not None:
                holder, low = held
                balance = codec.line_balance(entry.Balance, low, f"RippleState {entry.index}")
                lines.append(LineState(holder=holder, balance=balance, frozen=line_frozen(entry.Flags, low)))
                chain.append((entry.index, last_txn))
        elif kind == "Offer":
            offer = _book_offer(codec, entry)
            if offer is not None:
                offers[offer.index] = offer
                chain.append((entry.index, last_txn))
        elif kind == "DirectoryNode" and entry.RootIndex is not None:
            pages.setdefault(entry.RootIndex, []).append(entry)
        elif kind == "AMM" and codec.is_our_pool(entry):
            pool_entry = entry
            chain.append((entry.index, last_txn))
        elif kind == "FeeSettings":
            fees = entry
    if fees is None:
        raise MissingField("state: no FeeSettings entry, so fees and reserves are unknown")
    return LedgerState(
        pair=pair,
        ledger_index=start.ledger_index,
        ledger_hash=start.ledger_hash,
        close_time=_close_time(start.close_time),
        fee_base_drops=parse_drops(fees.BaseFeeDrops, "FeeSettings BaseFeeDrops"),
        base_reserve_drops=parse_drops(fees.ReserveBaseDrops, "FeeSettings ReserveBaseDrops"),
        owner_reserve_drops=parse_drops(fees.ReserveIncrementDrops, "FeeSettings ReserveIncrementDrops"),
        offers=_in_priority(offers, pages),
        accounts=tuple(accounts),
        account_index=tuple(account_index),
        lines=tuple(lines),
        pool=None if pool_entry is None else _pool(pool_entry, accounts, lines),
        chain=tuple(chain),
        complete=complete,
    )


def _account_state(entry: StateEntry) -> AccountState:
    if entry.Account is None:
        raise MissingField(f"state: AccountRoot {entry.index} has no Account")
    return AccountState(
        account=entry.Account,
        balance_drops=drops_of(entry.Balance, f"AccountRoot {entry.Account}"),
        sequence=entry.Sequence,
        owner_count=entry.OwnerCount,
        flags=entry.Flags,
        tick_size=entry.TickSize,
        transfer_rate=entry.TransferRate,
        is_pool=entry.AMMID is not None,
    )


def _book_offer(codec: Codec, entry: StateEntry) -> BookOffer | None:
    gives, gets = entry.TakerGets, entry.TakerPays
    side = codec.side_of(gives, gets)
    if side is None or gives is None or gets is None:
        return None
    base_drops, quote = codec.amounts_of(side, gives, gets, f"Offer {entry.index}")
    return BookOffer(
        index=entry.index,
        side=side,
        owner=entry.Account or "",
        sequence=entry.Sequence,
        base_drops=base_drops,
        quote=quote,
        rate=rate_of_directory(entry.BookDirectory),
        book_directory=entry.BookDirectory,
        book_node=page_number(entry.BookNode),
        owner_node=page_number(entry.OwnerNode),
        flags=entry.Flags,
        expiration=entry.Expiration,
        previous_txn_id=entry.PreviousTxnID or "",
        previous_txn_ledger=entry.PreviousTxnLgrSeq,
        arrival=0,
    )


def _page_key(entry: StateEntry, root: str, position: dict[str, int]) -> int:
    return 0 if entry.index == root else position.get(entry.index, len(position))


def _pages_in_order(root: str, pages: list[StateEntry]) -> list[str]:
    """Return the offers' indexes of one directory, oldest first, over all its pages.

    The root names the first further page in IndexNext, each page the next; numbers only grow, and an
    offer's own BookNode names the page, so the pages are ordered by the number their neighbours use.
    """
    number = {root: 0}
    by_next = {page.index: int(page.IndexNext or "0", 16) for page in pages}
    by_previous = {page.index: int(page.IndexPrevious or "0", 16) for page in pages}
    todo, last = [page for page in pages if page.index != root], root
    ordered = [page for page in pages if page.index == root]
    while todo:
        wanted = by_next[last]
        follower = next((one for one in todo if by_previous[one.index] == number[last]), todo[0])
        number[follower.index] = wanted
        ordered.append(follower)
        todo.remove(follower)
        last = follower.index
    return [index for page in ordered for index in page.Indexes or []]


def _in_priority(offers: dict[str, BookOffer], pages: dict[str, list[StateEntry]]) -> tuple[BookOffer, ...]:
    ordered: list[BookOffer] = []
    for directory in sorted({offer.book_directory for offer in offers.values()}):
        listed = [i for i in _pages_in_order(directory, pages.get(directory, [])) if i in offers]
        # A partial state may lack directories: then the account sequence is the best guess at age.
        missing = sorted(
            (o for o in offers.values() if o.book_directory == directory and o.index not in set(listed)),
            key=lambda offer: (offer.previous_txn_ledger, offer.sequence),
        )
        for offer in [offers[index] for index in listed] + missing:
            ordered.append(replace(offer, arrival=len(ordered)))
    return tuple(ordered)


def _pool(entry: StateEntry, accounts: Iterable[AccountState], lines: Iterable[LineState]) -> Pool:
    change = pool_change(NodeAction.CREATED, entry.index, entry, "")
    root = next((one for one in accounts if one.account == change.account), None)
    line = next((one for one in lines if one.holder == change.account), None)
    return Pool(
        account=change.account,
        base_drops=0 if root is None else root.balance_drops,
        quote=ZERO if line is None else line.balance,
        trading_fee=change.trading_fee,
        discounted_fee=change.discounted_fee,
        auction_accounts=change.auction_accounts,
        auction_expiration=change.auction_expiration,
    )


def _close_time(value: int) -> int:
    if not 0 < value <= MAX_CLOSE_TIME:
        raise BadNumber(f"ledger_time: {value} is no time since 2000-01-01 in seconds")
    return value


def _within(value: int, limit: int, what: str) -> int:
    if not 0 < value <= limit:
        raise BadNumber(f"{what}: {value} drops lie outside 1..{limit}")
    return value


def _bytes(raw: msgspec.Raw) -> bytes | None:
    data = bytes(raw)
    return None if data in (b"", b"null") else data


def update_of(
    closed: LedgerClosed, transactions: tuple[LedgerTransaction, ...], check: CheckData, line: int
) -> LedgerUpdate:
    """Return one ledger in the domain's words. Raises BadNumber for an impossible fee, reserve or time."""
    return LedgerUpdate(
        ledger_index=closed.ledger_index,
        ledger_hash=closed.ledger_hash,
        close_time=_close_time(closed.ledger_time),
        fee_base_drops=_within(closed.fee_base, MAX_FEE_BASE_DROPS, "fee_base"),
        base_reserve_drops=_within(closed.reserve_base, MAX_RESERVE_DROPS, "reserve_base"),
        owner_reserve_drops=_within(closed.reserve_inc, MAX_RESERVE_DROPS, "reserve_inc"),
        transactions=transactions,
        check=check,
        line=line,
    )


def update_of_line(codec: Codec, line: LedgerLine, number: int) -> LedgerUpdate:
    """Return a recording's line as an update. Raises BadNumber or MissingField."""
    check = CheckData(
        asks=_bytes(line.asks), bids=_bytes(line.bids), pool=_bytes(line.amm), accounts=_bytes(line.accounts)
    )
    transactions = tuple([codec.transaction(message) for message in line.transactions])
    return update_of(line.ledger, transactions, check, number)


def book_lines(data: bytes) -> list[BookLine]:
    """Decode a `book_offers` list. Raises msgspec.DecodeError."""
    return book_decoder.decode(data)


def watched_accounts(data: bytes) -> dict[str, WatchedAccount]:
    """Decode the watched accounts of a line. Raises msgspec.DecodeError."""
    return accounts_decoder.decode(data)


def amm_pool(data: bytes) -> Pool:
    """Decode an `amm_info` answer. Raises msgspec.DecodeError or BadNumber."""
    info: AmmInfo = amm_decoder.decode(data)
    if not isinstance(info.amount2, Token):
        raise BadNumber("amm.amount2: it is not an issued amount")
    slot = info.auction_slot
    holders: list[str] = []
    if slot is not None:
        holders = [slot.account, *(one.account for one in slot.auth_accounts or [])]
    return Pool(
        account=info.account,
        base_drops=drops_of(info.amount, "amm.amount"),
        quote=issued_of(info.amount2.value, "amm.amount2"),
        trading_fee=info.trading_fee,
        discounted_fee=0 if slot is None else slot.discounted_fee,
        auction_accounts=tuple(holders),
        auction_expiration=0 if slot is None else _ripple_seconds(slot.expiration),
    )


def _ripple_seconds(text: str) -> int:
    """Return seconds since 2000-01-01 of a time like 2026-11-21T20:36:43.000000000+0000."""
    if not text:
        return 0
    try:
        moment = datetime.strptime(text[:19] + "+0000", "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        raise BadNumber(f"auction_slot.expiration: {text[:40]!r} is no time") from None
    return int(moment.timestamp()) - RIPPLE_EPOCH_UNIX


def _snapshot_offer(codec: Codec, listed: BookLine, side: Side, place: int) -> SnapshotOffer:
    if codec.side_of(listed.TakerGets, listed.TakerPays) is not side:
        raise BadNumber(f"Offer {listed.index}: it does not belong to the {side.value} book of the pair")
    base_drops, quote = codec.amounts_of(side, listed.TakerGets, listed.TakerPays, f"Offer {listed.index}")
    funds: Decimal | None = None
    if listed.owner_funds is not None:
        what = f"owner_funds of {listed.Account}"
        amount = listed.owner_funds
        funds = Decimal(parse_drops(amount, what)) if side is Side.SELL else issued_of(amount, what)
    offer = BookOffer(
        index=listed.index,
        side=side,
        owner=listed.Account,
        sequence=listed.Sequence,
        base_drops=base_drops,
        quote=quote,
        rate=rate_of_directory(listed.BookDirectory),
        book_directory=listed.BookDirectory,
        book_node=page_number(listed.BookNode),
        owner_node=page_number(listed.OwnerNode),
        flags=listed.Flags,
        expiration=listed.Expiration,
        previous_txn_id=listed.PreviousTxnID,
        previous_txn_ledger=listed.PreviousTxnLgrSeq,
        arrival=place,
    )
    return SnapshotOffer(offer=offer, owner_funds=funds)


def snapshot_of(codec: Codec, check: CheckData) -> BookSnapshot | None:
    """Return the server's view of the market, or None unless both books were recorded.

    Raises msgspec.DecodeError, BadNumber or MissingField for data that is not what it should be.
    """
    if check.asks is None or check.bids is None:
        return None
    asks = [_snapshot_offer(codec, one, Side.SELL, i) for i, one in enumerate(book_lines(check.asks))]
    bids = [_snapshot_offer(codec, one, Side.BUY, i) for i, one in enumerate(book_lines(check.bids))]
    return BookSnapshot(
        asks=tuple(asks),
        bids=tuple(bids),
        pool=None if check.pool is None else amm_pool(check.pool),
        complete=max(len(asks), len(bids)) < BOOK_OFFERS_LIMIT,
    )
