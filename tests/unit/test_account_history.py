"""Paging through account_tx: every transaction once, and every way in which a server may be wrong."""

from __future__ import annotations

from typing import Any

import pytest

from neo_engine.xrpl.history import HistoryError, account_view, close_time, read_history, tokens_held
from neo_engine.xrpl.server import RequestRefused
from tests.unit.audit_fixture import CODEC, LAST, MAKER, TOKEN, Json, recorded_hashes, recorded_server

WHOLE = (None, None)


def pages_bent(change: Any) -> Any:
    """Return a bend that lets `change` work on the answers of account_tx only."""

    def bend(command: str, parameters: Json, result: Json) -> Json:
        return change(parameters, result) if command == "account_tx" else result

    return bend


@pytest.mark.parametrize("forward", [False, True])
@pytest.mark.parametrize("rows", [1, 2, 5, 100])
def test_pages_in_both_directions_give_each_transaction_once(rows: int, forward: bool) -> None:
    history = read_history(recorded_server(), CODEC, MAKER, WHOLE, forward=forward, page_rows=rows)
    hashes = [one.transaction.tx_hash for one in history.transactions]
    assert len(hashes) == len(set(hashes))
    assert recorded_hashes(MAKER) <= set(hashes)
    places = [(one.ledger_index, one.transaction.index) for one in history.transactions]
    assert places == sorted(places)
    assert history.pages == -(-len(hashes) // rows)
    assert history.repeated == 0
    assert (history.first_ledger, history.last_ledger) == (2, LAST)


def test_an_open_range_is_asked_for_by_name_from_the_second_page_on() -> None:
    server = recorded_server()
    read_history(server, CODEC, MAKER, WHOLE, page_rows=5)
    asked = [(one["ledger_index_min"], one["ledger_index_max"]) for _, one in server.asked]
    assert asked[0] == (-1, -1)
    assert set(asked[1:]) == {(2, LAST)}


def test_a_range_holds_its_own_ledgers_only() -> None:
    history = read_history(recorded_server(), CODEC, MAKER, (6, 8))
    assert {one.ledger_index for one in history.transactions} <= {6, 7, 8}
    assert (history.first_ledger, history.last_ledger) == (6, 8)


def test_a_range_that_the_server_does_not_have_is_its_refusal() -> None:
    with pytest.raises(RequestRefused) as caught:
        read_history(recorded_server(), CODEC, MAKER, (1, 8))
    assert caught.value.token == "lgrIdxMalformed"


def test_pages_out_of_order_inside_are_sorted() -> None:
    def turned(_parameters: Json, result: Json) -> Json:
        return {**result, "transactions": result["transactions"][::-1]}

    bent = read_history(recorded_server(pages_bent(turned)), CODEC, MAKER, WHOLE, page_rows=4)
    assert bent.transactions == read_history(recorded_server(), CODEC, MAKER, WHOLE).transactions


def test_a_row_that_comes_twice_counts_once() -> None:
    def doubled(_parameters: Json, result: Json) -> Json:
        return {**result, "transactions": [*result["transactions"], result["transactions"][-1]]}

    bent = read_history(recorded_server(pages_bent(doubled)), CODEC, MAKER, WHOLE, page_rows=5)
    assert bent.transactions == read_history(recorded_server(), CODEC, MAKER, WHOLE).transactions
    assert bent.repeated == bent.pages


def clipped(_parameters: Json, result: Json) -> Json:
    return {**result, "ledger_index_min": result["ledger_index_min"] + 1}


def clipped_later(parameters: Json, result: Json) -> Json:
    return clipped(parameters, result) if "marker" in parameters else result


def without_range(_parameters: Json, result: Json) -> Json:
    return {name: value for name, value in result.items() if name != "ledger_index_max"}


def not_validated(_parameters: Json, result: Json) -> Json:
    return {**result, "validated": False}


def open_row(_parameters: Json, result: Json) -> Json:
    return {**result, "transactions": [{**one, "validated": False} for one in result["transactions"]]}


def foreign_row(_parameters: Json, result: Json) -> Json:
    return {**result, "transactions": [{**one, "ledger_index": LAST + 1} for one in result["transactions"]]}


def same_place(_parameters: Json, result: Json) -> Json:
    first = result["transactions"][0]
    return {**result, "transactions": [first, {**first, "hash": "0" * 64}]}


def same_marker(_parameters: Json, result: Json) -> Json:
    return {**result, "marker": {"ledger": 9, "seq": 0}}


def unreadable(_parameters: Json, result: Json) -> Json:
    return {**result, "transactions": [{"validated": True}]}


def no_list(_parameters: Json, result: Json) -> Json:
    return {**result, "transactions": None}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (clipped, "asked for ledgers 3 to 12, the server searched 4 to 12"),
        (clipped_later, "asked for ledgers 3 to 12, the server searched 4 to 12"),
        (without_range, "without its range"),
        (not_validated, "not validated"),
        (open_row, "is not validated"),
        (foreign_row, "lies outside 3 to 12"),
        (same_place, "two transactions claim place"),
        (same_marker, "twice"),
        (unreadable, "a row cannot be read"),
        (no_list, "no such list"),
    ],
)
def test_a_page_that_cannot_be_believed_ends_the_reading(change: Any, told: str) -> None:
    with pytest.raises(HistoryError, match=told):
        read_history(recorded_server(pages_bent(change)), CODEC, MAKER, (3, LAST), page_rows=4)


def test_an_accounts_view_is_what_the_server_lists_of_it() -> None:
    server = recorded_server()
    view = account_view(server, CODEC, MAKER, LAST)
    assert view is not None
    root = server.request("account_info", account=MAKER, ledger_index=LAST)["account_data"]
    [line] = server.request("account_lines", account=MAKER, ledger_index=LAST)["lines"]
    offers = server.request("account_offers", account=MAKER, ledger_index=LAST)["offers"]
    assert (str(view.balance_drops), str(view.quote)) == (root["Balance"], line["balance"])
    assert view.links[view.root] == root["PreviousTxnID"]
    assert {one.sequence for one in view.offers.values()} == {one["seq"] for one in offers}
    assert view.offers.keys() < view.links.keys()


def test_an_account_that_is_not_there_yet_owns_nothing() -> None:
    view = account_view(recorded_server(), CODEC, MAKER, 2)
    assert view is not None
    assert (view.exists, view.balance_drops, view.links) == (False, 0, {})


def test_a_ledger_whose_entries_are_gone_gives_no_view() -> None:
    assert account_view(recorded_server(), CODEC, MAKER, 1) is None


def test_a_view_takes_every_page_of_what_an_account_owns() -> None:
    def short(command: str, parameters: Json, result: Json) -> Json:
        if command == "account_objects" and parameters["limit"] > 1:
            return server.request(command, **{**parameters, "limit": 1})
        return result

    server = recorded_server(short)
    assert account_view(server, CODEC, MAKER, 9) == account_view(recorded_server(), CODEC, MAKER, 9)


def test_tokens_held_and_close_times_are_the_servers() -> None:
    server = recorded_server()
    assert tokens_held(server, MAKER, TOKEN.currency) == (TOKEN,)
    assert tokens_held(server, MAKER, "USD") == ()
    header = server.network.chain.header
    assert close_time(server, LAST) == header.close_time
