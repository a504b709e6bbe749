"""The state of one validated ledger, asked of a server piece by piece.

Every answer must name the same ledger by its hash; one that does not, or a server that lacks the ledger
(several nodes behind one address differ by a ledger or two), begins the whole again, a few times.

Two kinds. A small network's state is taken whole (`ledger_data`): its size is estimated from the first page,
since indexes are hashes and so spread evenly. From any other come the pair's books (at most `BOOK_LIMIT`
offers a side, all that a server gives a stranger), the pool, the issuer and the fees; then what the offers'
owners can pay is what the server says beside their best offer (`owner_funds`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from neo_engine.domain.assets import IssuedAsset, Pair, Side
from neo_engine.domain.book_state import AccountState, LedgerState, LineState
from neo_engine.domain.errors import FeedError, NeoError
from neo_engine.domain.ledger import BookSnapshot, CheckData, SnapshotOffer
from neo_engine.ports import Clock
from neo_engine.xrpl.codec import Codec
from neo_engine.xrpl.server import Json, RequestLost, RequestRefused, Server
from neo_engine.xrpl.state import snapshot_of, state_of
from neo_engine.xrpl.wire import StartLedger, StateEntry

BOOK_LIMIT = 100  # offers of one book_offers answer for those who are no admins (rippled Tuning.h)
LIST_LIMIT = 400  # of account_lines and account_offers, the same
LIST_PAGES = 20  # 8,000 lines or offers of one watched account; more is not looked at
WHOLE_STATE_ENTRIES = 4_000  # 16 pages: more would cost a stranger his welcome (rippled Fees.cpp)
WHOLE_STATE_PAGES = 64  # the estimate cannot be wrong by more than this
ATTEMPTS = 5
RETRY_SECONDS = 1.0  # nodes of a cluster are at most a few seconds apart
REQUEST_SECONDS = 10.0
FEE_SETTINGS = (
    "4BC50C9B0D8515D3EAAE1E74B29A95804346C491EE1A95BF25E4AAB854A6A651"  # the one such entry's index
)
NOT_THERE = frozenset({"entryNotFound", "objectNotFound"})  # the second: servers before 2.0
NO_POOL = frozenset({"actNotFound", "ammNotFound"})  # of amm_info
LACKS_LEDGER = frozenset({"lgrNotFound", "lgrIdxInvalid", "lgrIdxsInvalid", "lgrNotValidated"})
#: The entries that `state_of` reads; fields of other kinds may have the same name and another shape.
_READ_KINDS = frozenset({"AccountRoot", "AMM", "DirectoryNode", "FeeSettings", "Offer", "RippleState"})
_BITS = 256


class OtherLedger(NeoError):
    """An answer belongs to another ledger than the one asked for, or the server lacks that one."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One ledger's state. entries: as the server tells them; complete: all there are.

    asks, bids: the answers of book_offers, None in a complete one, whose entries hold the books.
    """

    pair: Pair
    start: StartLedger
    build_version: str
    entries: tuple[Json, ...]
    complete: bool
    asks: tuple[Json, ...] | None = None
    bids: tuple[Json, ...] | None = None


class AtLedger:
    """A server asked about one validated ledger only."""

    def __init__(self, server: Server, ledger_index: int, ledger_hash: str | None = None) -> None:
        self._server = server
        self.ledger_index = ledger_index
        self.ledger_hash = ledger_hash

    def ask(self, command: str, **parameters: Any) -> Json:
        """Return the answer. Raises OtherLedger, RequestRefused or RequestLost."""
        try:
            told = self._server.request(
                command, timeout_seconds=REQUEST_SECONDS, ledger_index=self.ledger_index, **parameters
            )
        except RequestRefused as error:
            if error.token in LACKS_LEDGER:
                raise OtherLedger(f"{command}: the server lacks ledger {self.ledger_index}") from error
            raise
        if told.get("ledger_index") != self.ledger_index or (
            self.ledger_hash is not None and told.get("ledger_hash", self.ledger_hash) != self.ledger_hash
        ):
            raise OtherLedger(f"{command}: the answer is about another ledger than {self.ledger_index}")
        return told

    def book(self, pair: Pair, side: Side) -> tuple[Json, ...]:
        """Return the offers of one side, best first, at most BOOK_LIMIT."""
        token = {"currency": pair.quote.currency, "issuer": pair.quote.issuer}
        xrp = {"currency": "XRP"}
        gets, pays = (xrp, token) if side is Side.SELL else (token, xrp)
        told = self.ask("book_offers", taker_gets=gets, taker_pays=pays, limit=BOOK_LIMIT)
        return tuple(told["offers"])

    def pool(self, pair: Pair) -> Json | None:
        """Return the pair's pool as amm_info tells it, None without one."""
        token = {"currency": pair.quote.currency, "issuer": pair.quote.issuer}
        try:
            told = self.ask("amm_info", asset={"currency": "XRP"}, asset2=token)
        except RequestRefused as error:
            if error.token in NO_POOL:
                return None
            raise
        return dict(told["amm"])

    def entry(self, **named: Any) -> Json | None:
        """Return one ledger entry, None if there is none."""
        try:
            told = self.ask("ledger_entry", **named)
        except RequestRefused as error:
            if error.token in NOT_THERE:
                return None
            raise
        return {**told["node"], "index": told["index"]}

    def check(self, pair: Pair) -> CheckData:
        """Return both books and the pool as a recording's line has them."""
        asks, bids, pool = self.book(pair, Side.SELL), self.book(pair, Side.BUY), self.pool(pair)
        return CheckData(
            asks=msgspec.json.encode(asks),
            bids=msgspec.json.encode(bids),
            pool=None if pool is None else msgspec.json.encode(pool),
            accounts=None,
        )

    def watched(self, addresses: Iterable[str]) -> Json:
        """Return root, lines and offers of accounts by address; one that does not exist is left out."""
        found: Json = {}
        for address in addresses:
            try:
                root = self.ask("account_info", account=address)["account_data"]
            except RequestRefused as error:
                if error.token == "actNotFound":
                    continue
                raise
            found[address] = {
                "account_data": root,
                "lines": self._listed("account_lines", "lines", address),
                "offers": self._listed("account_offers", "offers", address),
            }
        return found

    def _listed(self, command: str, name: str, address: str) -> list[Json]:
        rows: list[Json] = []
        more: Json = {}
        for _page in range(LIST_PAGES):
            told = self.ask(command, account=address, limit=LIST_LIMIT, **more)
            rows.extend(told[name])
            if "marker" not in told:
                break
            more = {"marker": told["marker"]}
        return rows

    def whole_state(self) -> tuple[Json, ...] | None:
        """Return every entry, None where they are more than WHOLE_STATE_ENTRIES."""
        entries: list[Json] = []
        more: Json = {}
        for _page in range(WHOLE_STATE_PAGES):
            told = self.ask("ledger_data", **more)
            entries.extend(told["state"])
            marker = told.get("marker")
            if marker is None:
                return tuple(entries)
            if _estimate(len(entries), marker) > WHOLE_STATE_ENTRIES:
                return None
            more = {"marker": marker}
        return None


def _estimate(seen: int, marker: object) -> int:
    """Return how many entries there are if `seen` of them lie below `marker`, rounded down."""
    try:
        below = int(str(marker), 16)
    except ValueError:
        below = 0
    return (seen << _BITS) // below if below else WHOLE_STATE_ENTRIES + 1


def take_snapshot(
    server: Server, currency: str, issuer: str | None, clock: Clock, *, ledger_index: int | None = None
) -> Snapshot:
    """Return the state of `ledger_index`, of the last validated ledger without it.

    currency: the token's ledger code. issuer None: the one whose token has a pool against XRP, where the
    state is small enough to look. Raises FeedError naming what is wrong and the fix, RequestLost when no
    server answers, OtherLedger when a ledger asked for by its index cannot be had.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _snapshot(server, currency, issuer, ledger_index)
        except (OtherLedger, RequestLost):
            if attempt == ATTEMPTS:
                raise
        except RequestRefused as error:
            raise FeedError(f"the server refused {error}; use another --endpoint") from error
        except (KeyError, TypeError, msgspec.MsgspecError) as error:
            why = f"{type(error).__name__}: {error}"[:200]
            raise FeedError(
                f"the server's answers lack what a ledger's state needs ({why}); use another --endpoint"
            ) from error
        clock.sleep(RETRY_SECONDS)
    raise OtherLedger(f"ledger {ledger_index}: no attempt was made")


def _snapshot(server: Server, currency: str, issuer: str | None, ledger_index: int | None) -> Snapshot:
    wanted: int | str = "validated" if ledger_index is None else ledger_index
    try:
        told = server.request("ledger", timeout_seconds=REQUEST_SECONDS, ledger_index=wanted)
    except RequestRefused as error:
        if error.token in LACKS_LEDGER:
            raise OtherLedger(f"ledger {wanted}: the server lacks it") from error
        raise
    start = StartLedger(
        ledger_index=told["ledger_index"],
        ledger_hash=told["ledger_hash"],
        close_time=told["ledger"]["close_time"],
    )
    at = AtLedger(server, start.ledger_index, start.ledger_hash)
    info = server.request("server_info", timeout_seconds=REQUEST_SECONDS)["info"]
    version = str(info.get("build_version") or info.get("rippled_version") or "")
    whole = at.whole_state()
    if issuer is None:
        issuer = _issuer_of(whole, currency)
    pair = Pair(quote=IssuedAsset(currency=currency, issuer=issuer))
    if whole is not None:
        if not any(one.get("Account") == issuer and one["LedgerEntryType"] == "AccountRoot" for one in whole):
            raise _no_issuer(pair)
        return Snapshot(pair=pair, start=start, build_version=version, entries=whole, complete=True)
    return Snapshot(
        pair=pair,
        start=start,
        build_version=version,
        entries=_needed(at, pair),
        complete=False,
        asks=at.book(pair, Side.SELL),
        bids=at.book(pair, Side.BUY),
    )


def _no_issuer(pair: Pair) -> FeedError:
    quote = pair.quote
    return FeedError(
        f"no account {quote.issuer} on this network, so nobody issues {quote.symbol}; name the issuer on the "
        "network of --endpoint (pair.quote_issuer; record: --pair RLUSD.ISSUER, or --pair RLUSD to find it)"
    )


def _issuer_of(whole: tuple[Json, ...] | None, currency: str) -> str:
    """Return who issues the one token of that code that has a pool against XRP. Raises FeedError."""
    found = {
        asset["issuer"]
        for one in whole or ()
        if one["LedgerEntryType"] == "AMM"
        for asset, other in ((one["Asset"], one["Asset2"]), (one["Asset2"], one["Asset"]))
        if asset.get("currency") == currency and other.get("currency") == "XRP"
    }
    if len(found) != 1:
        why = "it is too large to look through" if whole is None else f"{len(found)} there have a pool"
        raise FeedError(f"pair.quote_issuer: no single issuer on this network ({why}); name its address")
    return str(found.pop())


def _needed(at: AtLedger, pair: Pair) -> tuple[Json, ...]:
    """Return fees, issuer and pool. Raises FeedError where the network has no such token."""
    fees, issuer = at.entry(index=FEE_SETTINGS), at.entry(account_root=pair.quote.issuer)
    if issuer is None:
        raise _no_issuer(pair)
    token = {"currency": pair.quote.currency, "issuer": pair.quote.issuer}
    pool = at.entry(amm={"asset": {"currency": "XRP"}, "asset2": token})
    found = [fees, issuer, pool]
    if pool is not None:
        found += [at.entry(account_root=pool["Account"]), line_entry(at, pair, pool["Account"])]
    return tuple(one for one in found if one is not None)


def line_entry(at: AtLedger, pair: Pair, holder: str) -> Json | None:
    """Return a holder's trust line of the pair's token, None if he has none."""
    accounts = [holder, pair.quote.issuer]
    return at.entry(ripple_state={"accounts": accounts, "currency": pair.quote.currency})


def owner_entries(server: Server, snapshot: Snapshot) -> tuple[Json, ...]:
    """Return the offers of a state that is not complete, and what their owners pay from.

    Raises OtherLedger, RequestRefused or RequestLost.
    """
    at = AtLedger(server, snapshot.start.ledger_index, snapshot.start.ledger_hash)
    asks, bids = snapshot.asks or (), snapshot.bids or ()
    issuer = snapshot.pair.quote.issuer
    known = {one["index"] for one in snapshot.entries}
    found: list[Json | None] = [*asks, *bids]
    found += [at.entry(account_root=owner) for owner in sorted({one["Account"] for one in asks})]
    owners = sorted({one["Account"] for one in bids} - {issuer})
    found += [line_entry(at, snapshot.pair, owner) for owner in owners]
    return tuple(one for one in found if one is not None and one["index"] not in known)


def ledger_state(snapshot: Snapshot) -> LedgerState:
    """Return the tracker's start. Raises BadNumber, MissingField or msgspec.ValidationError."""
    entries = [one for one in snapshot.entries if one["LedgerEntryType"] in _READ_KINDS]
    read = msgspec.convert(entries, list[StateEntry])
    state = state_of(snapshot.pair, snapshot.start, read, snapshot.complete)
    check = CheckData(
        asks=None if snapshot.asks is None else msgspec.json.encode(snapshot.asks),
        bids=None if snapshot.bids is None else msgspec.json.encode(snapshot.bids),
        pool=None,
        accounts=None,
    )
    books = snapshot_of(Codec(pair=snapshot.pair), check)
    return state if books is None else _with_books(state, books)


def _with_books(state: LedgerState, books: BookSnapshot) -> LedgerState:
    """Add the listed offers, and owners who can spend exactly what the server said."""
    accounts = {one.account: one for one in state.accounts}
    lines = {one.holder: one for one in state.lines}
    listed = books.asks + books.bids
    for one in listed:
        owner, funds = one.offer.owner, one.owner_funds
        if funds is None:
            continue
        if one.offer.side is Side.SELL:
            accounts.setdefault(owner, _payer(state, one))
        elif owner != state.pair.quote.issuer:
            lines.setdefault(owner, LineState(holder=owner, balance=funds, frozen=False))
    return replace(
        state,
        offers=tuple(one.offer for one in listed),
        accounts=tuple(accounts.values()),
        lines=tuple(lines.values()),
        chain=state.chain + tuple((one.offer.index, one.offer.previous_txn_id) for one in listed),
    )


def _payer(state: LedgerState, listed: SnapshotOffer) -> AccountState:
    """Return an account that owns nothing and has the listed funds above its reserve."""
    return AccountState(
        account=listed.offer.owner,
        balance_drops=state.base_reserve_drops + int(listed.owner_funds or 0),
        sequence=0,
        owner_count=0,
        flags=0,
        tick_size=None,
        transfer_rate=None,
        is_pool=False,
    )
