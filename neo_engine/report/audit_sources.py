"""What an audit reads: a recording from its first ledger on, or what a server remembers of an account.

Errors: UsageError for an account or a range that the source does not have; FeedError for a file that
cannot be used; HistoryError, RequestRefused and RequestLost of a server pass through.
"""

from __future__ import annotations

from contextlib import closing
from decimal import Decimal
from pathlib import Path

import msgspec

from neo_engine.config_sections import is_account_address
from neo_engine.domain.assets import IssuedAsset, Pair, currency_code
from neo_engine.domain.book import BookTracker
from neo_engine.domain.errors import FeedError, UsageError
from neo_engine.domain.ledger import (
    AccountChange,
    CheckData,
    FeedEnd,
    FeedStart,
    LedgerFault,
    LedgerFaultKind,
    LedgerTransaction,
    LedgerUpdate,
    NodeAction,
    OfferChange,
)
from neo_engine.domain.number import ZERO
from neo_engine.feed.faults import DECODE_ERRORS
from neo_engine.feed.lines import LineReader
from neo_engine.feed.pace import MAX_SPEED, PaceClock
from neo_engine.feed.recorded import RecordedFeed
from neo_engine.report.audit import NOTHING, Audit, Auditor, Finding, FindingKind, Money
from neo_engine.xrpl.codec import Codec, drops_of, issued_of
from neo_engine.xrpl.history import (
    NO_LEDGER,
    AccountHistory,
    AccountView,
    RestingOffer,
    account_view,
    close_time,
    offers_elsewhere,
    read_history,
    tokens_held,
    transfer_rate,
)
from neo_engine.xrpl.server import RequestRefused, Server
from neo_engine.xrpl.wire import AccountData, WatchedAccount, line_decoder

OTHER_RULES = "is the token's issuer or a pool, whose balances have other rules: audit a holder"
SILENCE_SECONDS = 3_600  # silences are not asked about; any length does
#: Faults that do not mean that a transaction is missing.
HARMLESS = {
    LedgerFaultKind.DUPLICATE_LEDGER,
    LedgerFaultKind.OUT_OF_ORDER_LEDGER,
    LedgerFaultKind.TRANSACTION_ORDER,
    LedgerFaultKind.CLOSE_TIME,
    LedgerFaultKind.CROSSED_PRICES,
}
#: How servers refuse a range (version 2 and, for the second, version 1 of the API).
REFUSED_RANGES = ("lgrIdxMalformed", "lgrIdxsInvalid", "invalidLgrRange", "lgrNotFound")


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """An audit and what it was made of. notes: what could not be checked, in sentences."""

    account: str
    name: str
    pair: Pair
    source: str
    audit: Audit
    notes: tuple[str, ...]


class _LinkedRoot(AccountData):
    """The recorded AccountRoot with its link; "" in a recording that has none."""

    PreviousTxnID: str = ""
    index: str = ""


class _LinkedAccount(WatchedAccount):
    """A watched account with its AccountRoot's link."""

    account_data: _LinkedRoot


_accounts = msgspec.json.Decoder(dict[str, _LinkedAccount])


# -- a recording ------------------------------------------------------------------------------


def audit_recording(
    path: Path, who: str, ledgers: tuple[int | None, int | None], clock: PaceClock
) -> Audited:
    """Audit an account (address or name) of a recording. Raises UsageError or FeedError."""
    feed = RecordedFeed(path, speed=MAX_SPEED, clock=clock, silence_after_seconds=SILENCE_SECONDS)
    with closing(feed):
        start = feed.start()
        account = _address(start, who)
        first = start.ledger_index + 1 if ledgers[0] is None else ledgers[0]
        if first <= start.ledger_index:
            raise UsageError(f"--from {first}: {path} begins with ledger {start.ledger_index + 1}")
        auditor, last, end, faults = _follow(feed, start, account, first, ledgers[1])
    if last < first or (ledgers[1] is not None and last < ledgers[1]):
        raise UsageError(
            f"{path} holds ledgers {start.ledger_index + 1} to {last}: choose --from and --to among them"
        )
    audit = auditor.result((first, last), end, [_fault(one) for one in faults])
    notes = []
    if not start.state.complete:
        notes.append("the recording's header does not hold every entry, so first links are not compared")
    if end is None:
        notes.append("the recording does not tell the account's closing state: it is derived from metadata")
    if end is not None and faults:
        notes.append(
            f"faults of the recording: {len(faults)}; the chain shows what they took from the account"
        )
    name = next((name for name, address in start.accounts.items() if address == account), "")
    return Audited(
        account=account, name=name, pair=start.pair, source=str(path), audit=audit, notes=tuple(notes)
    )


def _address(start: FeedStart, who: str) -> str:
    account = start.accounts.get(who, who)
    if not is_account_address(account):
        names = ", ".join(start.accounts) or "none"
        raise UsageError(f"{who!r} is neither an address nor a name of the recording (names: {names})")
    state = next((one for one in start.state.accounts if one.account == account), None)
    if account == start.pair.quote.issuer or (state is not None and state.is_pool):
        raise UsageError(
            f"{who} is the token's issuer or a pool, whose balances have other rules: audit a holder"
        )
    return account


def _follow(
    feed: RecordedFeed, start: FeedStart, account: str, first: int, last: int | None
) -> tuple[Auditor, int, AccountView | None, list[LedgerFault]]:
    """Follow a recording to `last` or its end; return the last ledger and the account after it, if told."""
    tracker = BookTracker(start.state)
    auditor = Auditor(account, _view_of_start(start, account))
    codec = Codec(pair=start.pair)
    elsewhere = _elsewhere(Path(start.source), codec, account)
    ledger, end, open_range = start.ledger_index, None, False
    faults: list[LedgerFault] = []
    while not isinstance(item := feed.next(1.0), FeedEnd):
        if isinstance(item, LedgerFault) and item.kind not in HARMLESS:
            faults.append(item)
        if not isinstance(item, LedgerUpdate):
            continue
        if last is not None and item.ledger_index > last:
            break
        if not open_range and item.ledger_index >= first:
            auditor.begin()
            open_range = True
        if end is not None:
            auditor.check(end)  # the last one is compared as the closing state
        for tx in item.transactions:
            auditor.take(
                item,
                tx,
                parent_close_time=tracker.close_time,
                transfer_rate=tracker.transfer_rate,
                elsewhere=elsewhere.get(tx.tx_hash, NOTHING),
            )
        tracker.advance(item)
        ledger, end = item.ledger_index, _view_of_check(codec, item, account)
    return auditor, ledger, end, faults


def _elsewhere(path: Path, codec: Codec, account: str) -> dict[str, Money]:
    """Return what each transaction of a recording moved by the account's offers of other pairs.

    The feed tells of the pair only, so the file is read once more. Lines that cannot be read are left out:
    the feed drops them too and says so.
    """
    found: dict[str, Money] = {}
    with closing(LineReader(path)) as reader:
        reader.next_line()  # the header
        while (data := reader.next_line()) is not None:
            if account.encode() not in data:
                continue
            try:
                messages = line_decoder.decode(data).transactions
                moved = {one.hash: offers_elsewhere(codec, one, account) for one in messages}
            except DECODE_ERRORS:
                continue
            found |= {tx: Money(drops=drops, quote=quote) for tx, (drops, quote) in moved.items()}
    return found


def _view_of_start(start: FeedStart, account: str) -> AccountView | None:
    state = start.state
    root = next((one for one in state.accounts if one.account == account), None)
    if root is None and not state.complete:
        return None
    index = next((index for index, address in state.account_index if address == account), "")
    return AccountView(
        ledger_index=state.ledger_index,
        exists=root is not None,
        balance_drops=0 if root is None else root.balance_drops,
        quote=next((one.balance for one in state.lines if one.holder == account), ZERO),
        offers={
            one.index: RestingOffer(
                sequence=one.sequence, side=one.side, base_drops=one.base_drops, quote=one.quote
            )
            for one in state.offers
            if one.owner == account
        },
        root=index,
        links=dict(state.chain),  # others' entries too: the state does not say whose line is whose
        complete=state.complete,
    )


def _view_of_check(codec: Codec, update: LedgerUpdate, account: str) -> AccountView | None:
    """Return what the recording tells of the account after a ledger, None if it is not watched."""
    if update.check.accounts is None:
        return None
    try:
        watched = _accounts.decode(update.check.accounts).get(account)
    except msgspec.DecodeError as error:
        where = f"ledger {update.ledger_index}: the recorded accounts cannot be read ({error})"
        raise FeedError(f"{where}; end before it with --to") from error
    if watched is None:
        return None
    root, token = watched.account_data, codec.pair.quote
    held = [one for one in watched.lines if (one.account, one.currency) == (token.issuer, token.currency)]
    offers = {}
    for one in watched.offers:
        side = codec.side_of(one.taker_gets, one.taker_pays)
        if side is not None:
            drops, quote = codec.amounts_of(side, one.taker_gets, one.taker_pays, f"offer {one.seq}")
            offers[str(one.seq)] = RestingOffer(sequence=one.seq, side=side, base_drops=drops, quote=quote)
    return AccountView(
        ledger_index=update.ledger_index,
        exists=True,
        balance_drops=drops_of(root.Balance, f"Balance of {account}"),
        quote=issued_of(held[0].balance, f"line of {account}") if held else ZERO,
        offers=offers,
        root=root.index,
        links={root.index: root.PreviousTxnID},
    )


def _fault(fault: LedgerFault) -> Finding:
    return Finding(
        kind=FindingKind.SOURCE_FAULT,
        ledger_index=fault.ledger_index,
        tx_hash="",
        missing="",
        text=f"line {fault.line}: {fault.kind.value}: {fault.text}",
    )


# -- a server ---------------------------------------------------------------------------------


def token_of(server: Server, account: str, symbol: str, issuer: str | None) -> IssuedAsset:
    """Return the token to audit: of the named issuer, else the account's only one of that code.

    Raises UsageError where there is none or more than one.
    """
    code = currency_code(symbol)
    if issuer is not None:
        return IssuedAsset(currency=code, issuer=issuer)
    try:
        held = tokens_held(server, account, code)
    except RequestRefused as refused:
        raise UsageError(
            f"{account}: {refused}; check the address, or name the token with --issuer"
        ) from refused
    if len(held) != 1:
        issuers = ", ".join(one.issuer for one in held) or "none"
        raise UsageError(
            f"{account} has no single line of {symbol} (issuers: {issuers}): name one with --issuer"
        )
    return held[0]


def audit_server(
    server: Server,
    source: str,
    account: str,
    token: IssuedAsset,
    ledgers: tuple[int | None, int | None],
) -> Audited:
    """Audit an account from what a server remembers. source: how to name the server."""
    pair = Pair(quote=token)
    codec = Codec(pair=pair)
    try:
        history = read_history(server, codec, account, ledgers)
    except RequestRefused as refused:
        if refused.token in REFUSED_RANGES:
            raise UsageError(
                f"{refused}: the server does not have these ledgers; change --from or --to"
            ) from refused
        raise
    opening = account_view(server, codec, account, history.first_ledger - 1)
    end = account_view(server, codec, account, history.last_ledger)
    if account == token.issuer or (end is not None and end.is_pool):
        raise UsageError(
            f"{account} is the token's issuer or a pool, whose balances have other rules: audit a holder"
        )
    if not history.transactions and (end is None or not end.exists):
        raise UsageError(f"{account}: {source} knows no such account in ledgers {_range(history)}")
    # The oldest ledger that a server has may be held in part, so nobody is blamed for what it lacks.
    whole_from = history.first_ledger + (ledgers[0] is None)
    rate = transfer_rate(server, token.issuer)
    audit = _run(server, account, history, (opening, end), rate=rate, whole_from=whole_from)
    notes = []
    if opening is None:
        notes.append(
            f"the server no longer has the entries of ledger {history.first_ledger - 1}: the opening balance"
            " is derived from the first transaction"
        )
    if end is None:
        notes.append(
            f"the server no longer has the entries of ledger {history.last_ledger}: the closing balance is"
            " derived from the last transaction"
        )
    if history.repeated:
        notes.append(f"{history.repeated} rows came twice and were counted once")
    return Audited(account=account, name="", pair=pair, source=source, audit=audit, notes=tuple(notes))


def _range(history: AccountHistory) -> str:
    return f"{history.first_ledger} to {history.last_ledger}"


def _run(
    server: Server,
    account: str,
    history: AccountHistory,
    ends: tuple[AccountView | None, AccountView | None],
    *,
    rate: Decimal,
    whole_from: int,
) -> Audit:
    roots = (
        change.index
        for placed in history.transactions
        for change in placed.transaction.changes
        if isinstance(change, AccountChange) and change.account == account
    )
    auditor = Auditor(account, ends[0], next(roots, ""))
    for placed in history.transactions:
        update = _update(placed.ledger_index, placed.close_time)
        parent = placed.close_time
        if _may_have_expired(placed.transaction, account):
            parent = _parent_close_time(server, placed.ledger_index, placed.close_time)
        drops, quote = placed.elsewhere
        auditor.take(
            update,
            placed.transaction,
            parent_close_time=parent,
            transfer_rate=rate,
            elsewhere=Money(drops=drops, quote=quote),
            inside=frozenset(index for index, ledger in placed.before.items() if ledger >= whole_from),
        )
    return auditor.result((history.first_ledger, history.last_ledger), ends[1])


def _may_have_expired(tx: LedgerTransaction, account: str) -> bool:
    """True if the ledger took one of the account's offers away whose time may have been over."""
    return any(
        isinstance(change, OfferChange)
        and change.owner == account
        and change.action is NodeAction.DELETED
        and change.expiration is not None
        and not change.touched
        for change in tx.changes
    )


def _parent_close_time(server: Server, ledger_index: int, own: int) -> int:
    """Return when the ledger before closed; its own time where the server does not have that one."""
    try:
        return close_time(server, ledger_index - 1)
    except RequestRefused as refused:
        if refused.token in NO_LEDGER:
            return own
        raise


def _update(ledger_index: int, closed: int) -> LedgerUpdate:
    """Return a ledger of which only index and time are asked for."""
    return LedgerUpdate(
        ledger_index=ledger_index,
        ledger_hash="",
        close_time=closed,
        fee_base_drops=0,
        base_reserve_drops=0,
        owner_reserve_drops=0,
        transactions=(),
        check=CheckData(asks=None, bids=None, pool=None, accounts=None),
        line=0,
    )
