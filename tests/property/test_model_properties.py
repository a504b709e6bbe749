"""What holds in the model ledger whatever is sent to it, in whatever order.

Random transactions of every registered type go into random ledgers. After each ledger everything is
counted again from the entries themselves: XRP, tokens, shares of pools, owners, directories.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from neo_engine.domain.assets import XRP, Asset
from neo_engine.domain.number import DOWN, issued, plain
from neo_engine.simulator.model import keys, lines
from neo_engine.simulator.model.amounts import Token, from_wire
from neo_engine.simulator.model.ledger import Chain, ClosedLedger
from neo_engine.simulator.model.owners import directory_entries
from neo_engine.simulator.model.registry import HANDLERS
from neo_engine.simulator.model.state import View
from neo_engine.simulator.model.tx import Tx
from tests.unit.model_ledger import (
    ALICE,
    BOB,
    CAROL,
    EUR,
    ISSUER,
    OTHER_ISSUER,
    USD,
    Play,
    address,
    tokens,
    tx_hash,
)

D = Decimal
HOLDERS = (ALICE, BOB, CAROL, address("dora"))
PEOPLE = (*HOLDERS, ISSUER, OTHER_ISSUER)
ASSETS = (XRP, USD, EUR)
FEE_RATE = 1_002_000_000  # EUR's; USD has none
#: Balances of up to a million tokens have 9 decimals; a ledger changes each some hundred times at most.
ROUNDING = D("1E-6")
DROPS = 1_000_000
CLOSE_SECONDS = 10


class Move(NamedTuple):
    """What somebody does, before it is known which sequence it gets. option: what its kind makes of it."""

    kind: str
    who: int
    other: int
    size: int
    price: int
    option: int


moves = st.builds(
    Move,
    kind=st.sampled_from(
        [*sorted(HANDLERS), "OfferCreate", "OfferCreate", "Payment", "Payment", "Payment", "AMMDeposit"]
    ),
    who=st.integers(0, len(PEOPLE) - 1),
    other=st.integers(0, len(PEOPLE) - 1),
    size=st.integers(1, 2_000),
    price=st.integers(900, 1_100),
    option=st.integers(0, 11),
)
histories = st.lists(st.lists(moves, min_size=1, max_size=10), min_size=1, max_size=5)


def _wire(asset: Asset, value: Decimal) -> Any:
    """Return `value` (XRP or tokens) of an asset in wire form."""
    return str(int(value * DROPS)) if asset.is_xrp else tokens(plain(issued(value, DOWN)), asset)


def _pair(move: Move) -> tuple[Asset, Asset]:
    place = move.option % 3
    return ASSETS[place], ASSETS[(place + 1 + move.option % 2) % 3]


def _payment(move: Move) -> dict[str, Any]:
    who, other = PEOPLE[move.who], PEOPLE[move.other]
    own = {ISSUER: USD, OTHER_ISSUER: EUR}.get(who)
    if own is not None:
        return {"Destination": other, "Amount": _wire(own, D(move.size) / 7)}
    gets, pays = _pair(move)
    flags = 0x00020000 if move.option % 4 else 0
    if move.option < 4 and not gets.is_xrp:
        most = _wire(gets, D(move.size) * move.price / 1000)
        return {"Destination": other, "Amount": _wire(gets, D(move.size)), "SendMax": most, "Flags": flags}
    if move.option == 5:
        return {"Destination": other, "Amount": _wire(XRP, D(move.size))}
    sent = {"Amount": _wire(gets, D(move.size) / 3), "SendMax": _wire(pays, D(move.size) * move.price / 3000)}
    if move.option in (7, 10) and not gets.is_xrp and not pays.is_xrp:
        sent["Paths"] = [[{"currency": "XRP"}]]
    return {"Destination": other, "Flags": flags, **sent}


def _offer(move: Move) -> dict[str, Any]:
    gives, wants = _pair(move)
    flags = (0, 0, 0x00080000, 0x00020000, 0x00010000, 0x00040000)[move.option % 6]
    price = D(move.price) / 1000 if gives < wants else 1000 / D(move.price)
    pays = (D(move.size) * price).quantize(D("1E-6"))
    return {"TakerGets": _wire(gives, D(move.size)), "TakerPays": _wire(wants, pays), "Flags": flags}


def _trust(move: Move) -> dict[str, Any]:
    who, other = PEOPLE[move.who], PEOPLE[move.other]
    if who in (ISSUER, OTHER_ISSUER):
        asset = USD if who == ISSUER else EUR
        flags = 0x00100000 if move.option % 3 else 0x00200000
        return {"LimitAmount": tokens(0, asset._replace(issuer=other)), "Flags": flags}
    limit = 0 if move.option == 0 else move.size * 10
    flags = (0, 0x00020000, 0x00040000)[move.option % 3]
    return {"LimitAmount": tokens(limit, (USD, EUR)[move.option % 2]), "Flags": flags}


def _account_set(move: Move) -> dict[str, Any]:
    flag = (1, 3, 7, 8, 9, 15)[move.option % 6]
    return {"SetFlag": flag} if move.option % 4 == 0 else {"ClearFlag": flag}


POOL: dict[str, Any] = {"Asset": {"currency": "XRP"}, "Asset2": {"currency": "USD", "issuer": ISSUER}}


def _pool_create(move: Move) -> dict[str, Any]:
    amounts = {"Amount": _wire(XRP, D(move.size)), "Amount2": _wire(USD, D(move.size) * move.price / 1000)}
    return {**amounts, "TradingFee": move.option * 100, "Fee": "200000"}


def _deposit(move: Move) -> dict[str, Any]:
    xrp, usd = _wire(XRP, D(move.size)), _wire(USD, D(move.size) * move.price / 1000)
    if move.option % 3 == 0:
        return {**POOL, "Amount": xrp, "Amount2": usd, "Flags": 0x00100000}
    return {**POOL, "Amount": (xrp, usd)[move.option % 2], "Flags": 0x00080000}


def _withdraw(move: Move) -> dict[str, Any]:
    if move.option % 3 == 0:
        return {**POOL, "Flags": 0x00020000}
    amount = _wire((XRP, USD)[move.option % 2], D(move.size))
    return {**POOL, "Amount": amount, "Flags": 0x00080000}


def _clawback(move: Move) -> dict[str, Any]:
    asset = USD if PEOPLE[move.who] == ISSUER else EUR
    return {"Amount": tokens(move.size, asset._replace(issuer=PEOPLE[move.other]))}


FIELDS: dict[str, Callable[[Move], dict[str, Any]]] = {
    "AMMCreate": _pool_create,
    "AMMDeposit": _deposit,
    "AMMVote": lambda move: {**POOL, "TradingFee": move.price - 900},
    "AMMWithdraw": _withdraw,
    "AccountSet": _account_set,
    "Clawback": _clawback,
    "OfferCancel": lambda move: {"OfferSequence": move.size % 60 + 1},
    "OfferCreate": _offer,
    "Payment": _payment,
    "TicketCreate": lambda move: {"TicketCount": move.option + 1},
    "TrustSet": _trust,
}


@lru_cache(maxsize=1)
def _opened() -> Chain:
    """Return a ledger with four funded holders of two tokens; never to be changed."""
    play = Play()
    play.fund(*PEOPLE, drops="5000000000")
    for issuer in (ISSUER, OTHER_ISSUER):
        play.do("AccountSet", issuer, SetFlag=16)
        play.do("AccountSet", issuer, SetFlag=8)
    play.do("AccountSet", OTHER_ISSUER, TransferRate=FEE_RATE)
    for asset in (USD, EUR):
        for holder in HOLDERS:
            play.trust(holder, asset)
            play.issue(holder, 5_000, asset)
    return play.chain


def _start() -> Chain:
    opened = _opened()
    return Chain(opened.state.copy(), msgspec.structs.replace(opened.header, total_coins=_xrp_of(opened)))


def _txs(chain: Chain, ledger: Sequence[Move]) -> list[Tx]:
    """Return the ledger's transactions, numbered on; with tickets in their turn where there are any."""
    following: Counter[str] = Counter()
    made = []
    for move in ledger:
        # Issuers do not trade, so that they issue by payments only.
        people = HOLDERS if move.kind.startswith(("AMM", "Offer")) else PEOPLE
        who = people[move.who % len(people)]
        root = chain.state.entries[keys.account_root(who)]
        sent = {"TransactionType": move.kind, "Account": who, "Fee": "10", **FIELDS[move.kind](move)}
        ticket = next(_tickets(chain, who), None) if move.option == 11 else None
        if ticket is None:
            sent["Sequence"] = root["Sequence"] + following[who]
            following[who] += 1
        else:
            sent |= {"Sequence": 0, "TicketSequence": ticket}
        made.append(Tx(sent, tx_hash(sent)))
    return made


def _tickets(chain: Chain, who: str) -> Iterator[int]:
    entries = chain.state.entries.values()
    return (e["TicketSequence"] for e in entries if e["LedgerEntryType"] == "Ticket" and e["Account"] == who)


def _play(chain: Chain, history: Sequence[Sequence[Move]]) -> Iterator[ClosedLedger]:
    for ledger in history:
        yield chain.close(_txs(chain, ledger), chain.header.close_time + CLOSE_SECONDS)


def _of_type(chain: Chain, kind: str) -> dict[str, dict[str, Any]]:
    return {index: entry for index, entry in chain.state.entries.items() if entry["LedgerEntryType"] == kind}


def _xrp_of(chain: Chain) -> int:
    return sum(root["Balance"] for root in _of_type(chain, "AccountRoot").values())


def _held_of(chain: Chain, issuer: str) -> dict[str, Decimal]:
    """Return what each holder has of an issuer's tokens."""
    held: dict[str, Decimal] = {}
    for line in _of_type(chain, "RippleState").values():
        low, high = line["LowLimit"].issuer, line["HighLimit"].issuer
        if issuer == low:
            held[high] = -line["Balance"].value
        elif issuer == high:
            held[low] = line["Balance"].value
    return held


def _issued(closed: ClosedLedger, asset: Asset) -> tuple[Decimal, Decimal]:
    """Return the least and the most by which a ledger's transactions add to the tokens that are out."""
    least = most = D(0)
    for item in closed.transactions:
        if item.result != "tesSUCCESS":
            continue
        if item.tx.kind == "Clawback" and item.tx.account == asset.issuer:
            least -= item.tx.fields["Amount"].value
        if item.tx.kind != "Payment":
            continue
        got = from_wire(item.meta["delivered_amount"], "delivered_amount")
        if not isinstance(got, Token) or got.asset != asset:
            continue
        change = (item.tx.account == asset.issuer) - (item.tx.fields["Destination"] == asset.issuer)
        least, most = least + change * got.value, most + change * got.value
    return least, most


@given(histories)
@settings(max_examples=60)
def test_xrp_is_burnt_as_fees_and_otherwise_neither_made_nor_lost(history: list[list[Move]]) -> None:
    chain = _start()
    for closed in _play(chain, history):
        assert _xrp_of(chain) == closed.header.total_coins
        assert all(root["Balance"] >= 0 for root in _of_type(chain, "AccountRoot").values())


@given(histories)
@settings(max_examples=60)
def test_tokens_come_from_their_issuer_only_and_nobody_owes_any(history: list[list[Move]]) -> None:
    chain = _start()
    before = {asset: sum(_held_of(chain, asset.issuer).values()) for asset in (USD, EUR)}
    for closed in _play(chain, history):
        for asset in (USD, EUR):
            held = _held_of(chain, asset.issuer)
            assert all(value >= 0 for value in held.values())
            least, most = _issued(closed, asset)
            change = sum(held.values()) - before[asset]
            assert change <= most + ROUNDING
            # EUR's transfer fee takes tokens out of the world; nothing does that to USD.
            assert asset == EUR or change >= least - ROUNDING
            before[asset] = sum(held.values())
        for pool in _of_type(chain, "AMM").values():
            shares = _held_of(chain, pool["Account"])
            shares = {account: value for account, value in shares.items() if account != ISSUER}
            assert all(value >= 0 for value in shares.values())
            assert abs(sum(shares.values()) - pool["LPTokenBalance"].value) <= ROUNDING


@given(histories)
@settings(max_examples=60)
def test_every_entry_is_owned_and_every_owner_count_is_the_count(history: list[list[Move]]) -> None:
    chain = _start()
    for _ in _play(chain, history):
        _check_owners(chain)
        _check_books(chain)


def _check_owners(chain: Chain) -> None:
    view = View(chain.state)
    owned: Counter[str] = Counter()
    listed: dict[str, set[str]] = {}
    for index, entry in chain.state.entries.items():
        kind = entry["LedgerEntryType"]
        if kind in ("Offer", "Ticket"):
            owned[entry["Account"]] += 1
            listed.setdefault(entry["Account"], set()).add(index)
        elif kind == "AMM":
            listed.setdefault(entry["Account"], set()).add(index)
        elif kind == "RippleState":
            for end in (lines.LOW, lines.HIGH):
                account = entry[end.limit].issuer
                owned[account] += bool(entry["Flags"] & end.reserve)
                listed.setdefault(account, set()).add(index)
    for root in _of_type(chain, "AccountRoot").values():
        account = root["Account"]
        assert root["OwnerCount"] == owned[account], account
        found = list(directory_entries(view, keys.owner_directory(account)))
        assert len(found) == len(set(found))
        assert set(found) == listed.get(account, set()), account
        tickets = sum(1 for _ in _tickets(chain, account))
        assert root.get("TicketCount", 0) == tickets


def _check_books(chain: Chain) -> None:
    view = View(chain.state)
    offers = _of_type(chain, "Offer")
    found = []
    for base in chain.state.books():
        for root in chain.state.book(base):
            found += directory_entries(view, root)
    assert sorted(found) == sorted(offers)
    for offer in offers.values():
        assert all(
            (value if isinstance(value, int) else value.value) > 0
            for value in (offer["TakerGets"], offer["TakerPays"])
        )
    for page in _of_type(chain, "DirectoryNode").values():
        # Only an owner's first page may be empty: behind a used ticket, or before further pages.
        assert (
            page["Indexes"]
            or (page.get("Owner") and not page.get("IndexPrevious", "0").strip("0"))
            or (page.get("IndexNext", "0") != "0")
        )


@given(histories)
@settings(max_examples=20)
def test_the_same_transactions_give_the_same_ledger_hashes(history: list[list[Move]]) -> None:
    first, second = ([item.header for item in _play(_start(), history)] for _ in range(2))
    assert first == second
    assert len({header.ledger_hash for header in first}) == len(history)


def test_every_registered_type_is_played_and_can_succeed() -> None:
    assert FIELDS.keys() == HANDLERS.keys()
    chain = _start()
    done = Counter[str]()
    for kind in ("Payment", "OfferCreate", "AMMCreate", *FIELDS):
        for who in range(len(PEOPLE)):
            for option in range(10):
                move = Move(kind=kind, who=who, other=(who + 2) % 4, size=50, price=1000, option=option)
                for closed in _play(chain, [[move]]):
                    done.update(item.tx.kind for item in closed.transactions if item.result == "tesSUCCESS")
    assert done.keys() == HANDLERS.keys()
    _check_owners(chain)
    _check_books(chain)
