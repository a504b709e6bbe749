"""account_lines, account_offers and account_objects: an account's directory, page by page.

Theory (rippled AccountLines.cpp, AccountOffers.cpp, AccountObjects.cpp). A page counts every entry it
walks over, whether it is of the type asked for or not, so pages can be short or empty and still have a
marker. The marker of lines and offers names the last entry walked over and its page's number; that of
objects the page and the next entry. Without a further entry there is no marker.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from neo_engine.simulator.model import keys
from neo_engine.simulator.model.amounts import to_wire, value_text
from neo_engine.simulator.model.fields import Entry
from neo_engine.simulator.server.call import Call
from neo_engine.simulator.server.commands.accounts import SeenLine, owned, seen_line
from neo_engine.simulator.server.commands.arguments import (
    ACCOUNT_PAGES,
    address,
    is_address,
    is_hash,
    limit_of,
    text_of,
)
from neo_engine.simulator.server.commands.entry_types import DELETION_BLOCKERS, NOT_OWNED, entry_type
from neo_engine.simulator.server.commands.selection import Ledger, known_account, select
from neo_engine.simulator.server.errors import RpcError, expected_field, invalid_field
from neo_engine.simulator.server.formats import Json, entry_json

Owned = tuple[str, Entry]


def account_lines(call: Call) -> Json:
    """Return a page of an account's trust lines, as it sees them. Raises RpcError."""
    text = address(call)
    ledger = select(call)
    account = known_account(ledger, text)
    peer = text_of(call.params.get("peer"))
    if peer and not is_address(peer):
        raise RpcError("actMalformed", fields=ledger.where())
    limit = limit_of(call, ACCOUNT_PAGES)
    page, paging = _page(call, ledger, account, limit)
    told = []
    for _, entry in page:
        if entry["LedgerEntryType"] != "RippleState":
            continue
        line = seen_line(account, entry)
        default = bool(call.params.get("ignore_default")) and not line.flags & line.mine.reserve
        if not default and peer in ("", line.peer):
            told.append(_line_json(line))
    return {**ledger.where(), **paging, "account": account, "lines": told}


def _line_json(line: SeenLine) -> Json:
    told: Json = {
        "account": line.peer,
        "balance": value_text(line.balance),
        "currency": line.currency,
        "limit": value_text(line.limit),
        "limit_peer": value_text(line.limit_peer),
        "quality_in": line.entry.get(line.mine.quality_in, 0),
        "quality_out": line.entry.get(line.mine.quality_out, 0),
    }
    marks = {
        "authorized": line.mine.authorized,
        "peer_authorized": line.theirs.authorized,
        "no_ripple": line.mine.no_ripple,
        "no_ripple_peer": line.theirs.no_ripple,
        "freeze": line.mine.freeze,
        "freeze_peer": line.theirs.freeze,
        "deep_freeze": line.mine.deep_freeze,
        "deep_freeze_peer": line.theirs.deep_freeze,
    }
    return told | {name: True for name, flag in marks.items() if line.flags & flag}


def account_offers(call: Call) -> Json:
    """Return a page of an account's offers. Raises RpcError."""
    text = address(call)
    ledger = select(call)
    account = known_account(ledger, text)
    limit = limit_of(call, ACCOUNT_PAGES)
    page, paging = _page(call, ledger, account, limit)
    offers = [_offer_json(entry) for _, entry in page if entry["LedgerEntryType"] == "Offer"]
    return {**ledger.where(), **paging, "account": account, "offers": offers}


def _offer_json(entry: Entry) -> Json:
    told: Json = {
        "flags": entry["Flags"],
        "quality": value_text(keys.rate_of_directory(entry["BookDirectory"])),
        "seq": entry["Sequence"],
        "taker_gets": to_wire(entry["TakerGets"]),
        "taker_pays": to_wire(entry["TakerPays"]),
    }
    if "Expiration" in entry:
        told["expiration"] = entry["Expiration"]
    return told


def _page(call: Call, ledger: Ledger, account: str, limit: int) -> tuple[list[Owned], Json]:
    """Return the entries of a page, and limit and marker where more follow. Raises RpcError."""
    entries = owned(ledger, account)
    if "marker" in call.params:
        _skip_to(entries, _marker(call))
    page = list(islice(entries, limit))
    if next(entries, None) is None:
        return page, {}
    index, entry = page[-1]
    return page, {"limit": limit, "marker": f"{index},{_page_number(account, entry)}"}


def _page_number(account: str, entry: Entry) -> int:
    field = "OwnerNode"
    if entry["LedgerEntryType"] == "RippleState":
        field = "LowNode" if entry["LowLimit"].issuer == account else "HighNode"
    return int(entry.get(field, "0"), 16)


def _marker(call: Call) -> str:
    """Return the index in a marker of lines or offers. Raises RpcError for one that is malformed."""
    value = call.params["marker"]
    if not isinstance(value, str):
        raise expected_field("marker", "string")
    index, comma, number = value.partition(",")
    if not comma or not is_hash(index) or not (number.isascii() and number.isdigit()):
        # account_lines has no text of its own for this
        raise (
            RpcError("invalidParams")
            if call.params.get("command") == "account_lines"
            else invalid_field("marker")
        )
    return index.upper()


def _skip_to(entries: Iterator[Owned], index: str) -> None:
    """Advance just behind an entry. Raises RpcError if the account does not own it."""
    if not any(at == index for at, _ in entries):
        raise RpcError("invalidParams")


def account_objects(call: Call) -> Json:
    """Return a page of what an account owns. Raises RpcError."""
    text = address(call)
    ledger = select(call)
    account = known_account(ledger, text)
    wanted = _wanted_types(call)
    limit = limit_of(call, ACCOUNT_PAGES)
    walk = _pages(ledger, account)
    if "marker" in call.params:
        walk = iter(_from_marker(call, list(walk)))
    page = list(islice(walk, limit))
    following = next(walk, None)
    entries = ledger.state.entries
    told = [
        entry_json(index, entries[index])
        for _, index in page
        if wanted is None or entries[index]["LedgerEntryType"] in wanted
    ]
    result: Json = {**ledger.where(), "account": account, "account_objects": told}
    if following is not None:
        result |= {"limit": limit, "marker": ",".join(following)}
    return result


def _wanted_types(call: Call) -> frozenset[str] | None:
    """Return the types asked for, None for all. Raises RpcError for an unknown one."""
    if call.params.get("deletion_blockers_only"):
        kind = call.params.get("type")
        return frozenset(name for rpc, name in DELETION_BLOCKERS.items() if kind in (None, rpc))
    name = entry_type(call)
    if name in NOT_OWNED:
        raise invalid_field("type")
    return None if name is None else frozenset((name,))


def _pages(ledger: Ledger, account: str) -> Iterator[tuple[str, str]]:
    """Yield (page's index, entry's index) of an account's directory."""
    root = keys.owner_directory(account)
    number = 0
    while True:
        key = keys.page(root, number)
        page = ledger.state.entries.get(key)
        if page is None:
            return
        for index in page["Indexes"]:
            yield key, index
        number = int(page.get("IndexNext", "0"), 16)
        if not number:
            return


def _from_marker(call: Call, walk: list[tuple[str, str]]) -> list[tuple[str, str]]:
    value = call.params["marker"]
    if not isinstance(value, str):
        raise expected_field("marker", "string")
    page, _, index = value.upper().partition(",")
    if (page, index) not in walk:
        raise invalid_field("marker")
    return walk[walk.index((page, index)) :]
