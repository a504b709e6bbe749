"""Directories and owner counts: which entries an account owns, and which offers have one rate.

Theory (rippled ApplyView.cpp `dirAdd`, `dirRemove`; View.cpp `adjustOwnerCount`). A directory is a chain of
pages of at most 32 indexes, closed to a ring by IndexPrevious of the root. Owner directories keep each
page sorted; book directories keep the order of arrival. An emptied page is removed, the root last.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from typing import Any

from neo_engine.domain.errors import InvariantViolation
from neo_engine.simulator.model import keys
from neo_engine.simulator.model.fields import Entry
from neo_engine.simulator.model.state import View

PAGE_ENTRIES = 32  # rippled Protocol.h, dirNodeMaxEntries


def directory_add(view: View, root: str, index: str, *, in_order: bool, describe: dict[str, Any]) -> str:
    """Add an entry to a directory and return its page's number (hex text, for OwnerNode or BookNode).

    in_order: arrival counts (books); otherwise the page is kept sorted. describe: fields of every page.
    """
    if view.read(root) is None:
        view.insert(
            root,
            {
                "LedgerEntryType": "DirectoryNode",
                "Flags": 0,
                "RootIndex": root,
                **describe,
                "Indexes": [index],
            },
        )
        return "0"
    first = view.read(root) or {}
    number = int(first.get("IndexPrevious", "0"), 16)
    last_key = keys.page(root, number)
    last = view.read(last_key)
    if last is None:
        raise InvariantViolation(f"directory {root}: page {number} is missing")
    if len(last["Indexes"]) < PAGE_ENTRIES:
        page = view.edit(last_key)
        indexes = [*page["Indexes"]]
        if in_order:
            indexes.append(index)
        else:
            insort(indexes, index)
        page["Indexes"] = indexes
        return f"{number:x}"
    return _new_page(view, root, number, index, describe)


def _new_page(view: View, root: str, last: int, index: str, describe: dict[str, Any]) -> str:
    number = last + 1
    view.edit(keys.page(root, last))["IndexNext"] = f"{number:x}"
    view.edit(root)["IndexPrevious"] = f"{number:x}"
    page: Entry = {
        "LedgerEntryType": "DirectoryNode",
        "Flags": 0,
        "RootIndex": root,
        **describe,
        "Indexes": [index],
    }
    if last:
        page["IndexPrevious"] = f"{last:x}"
    view.insert(keys.page(root, number), page)
    return f"{number:x}"


def directory_remove(view: View, root: str, page_number: str, index: str, *, keep_root: bool = False) -> None:
    """Remove an entry from its page, and the page when it is empty; the root goes last.

    keep_root: an emptied root stays. Raises InvariantViolation if the entry is not on that page.
    """
    number = int(page_number, 16)
    key = keys.page(root, number)
    old = view.read(key)
    if old is None or index not in old["Indexes"]:
        raise InvariantViolation(f"directory {root}: {index} is not on page {number}")
    page = view.edit(key)
    page["Indexes"] = [one for one in page["Indexes"] if one != index]
    if page["Indexes"]:
        return
    if number == 0:
        _remove_root(view, root, page, keep_root=keep_root)
        return
    following = int(page.get("IndexNext", "0"), 16)
    before = int(page.get("IndexPrevious", "0"), 16)
    _unlink(view, root, key, before, following)
    top = view.read(root)
    alone = top is not None and int(top.get("IndexNext", "0"), 16) == 0
    if top is not None and alone and not top["Indexes"] and not keep_root:
        view.erase(root)


def _set_link(page: Entry, field: str, number: int) -> None:
    page[field] = f"{number:x}"  # an explicit 0 stays in the entry, as the server leaves it


def _unlink(view: View, root: str, key: str, before: int, following: int) -> None:
    view.erase(key)
    _set_link(view.edit(keys.page(root, before)), "IndexNext", following)
    # The ring closes at the root, so the last page's number stands in the root's IndexPrevious.
    _set_link(view.edit(keys.page(root, following)), "IndexPrevious", before)


def _remove_root(view: View, root: str, page: Entry, *, keep_root: bool) -> None:
    following = int(page.get("IndexNext", "0"), 16)
    last = int(page.get("IndexPrevious", "0"), 16)
    if following and following == last:
        # An empty only other page, left by a server of long ago, goes with the root.
        other = view.read(keys.page(root, last))
        if other is not None and not other["Indexes"]:
            view.erase(keys.page(root, last))
            page["IndexNext"] = page["IndexPrevious"] = "0"
            following = 0
    if not following and not keep_root:
        view.erase(root)


def directory_entries(view: View, root: str) -> Iterator[str]:
    """Yield a directory's indexes, page after page."""
    number = 0
    while True:
        page = view.read(keys.page(root, number))
        if page is None:
            return
        yield from page["Indexes"]
        number = int(page.get("IndexNext", "0"), 16)
        if not number:
            return


def owner_add(view: View, account: str, index: str) -> str:
    """Add an entry to what an account owns; return its page's number (OwnerNode); the count stays."""
    root = keys.owner_directory(account)
    return directory_add(view, root, index, in_order=False, describe={"Owner": account})


def owner_remove(view: View, account: str, page_number: str, index: str, *, keep_root: bool = False) -> None:
    """Take an entry off what an account owns. The count is not touched. keep_root: see directory_remove."""
    directory_remove(view, keys.owner_directory(account), page_number, index, keep_root=keep_root)


def adjust_owner_count(view: View, account: str, change: int) -> None:
    """Change an account's owner count. Raises InvariantViolation if it would fall below zero."""
    root = view.edit(keys.account_root(account))
    count = root["OwnerCount"] + change
    if count < 0:
        raise InvariantViolation(f"account {account}: owner count would be {count}")
    root["OwnerCount"] = count
