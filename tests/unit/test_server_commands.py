"""The commands: every recorded request gets the recorded reply; pages, selection and the rest by hand."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from xrpl.core.binarycodec import decode, encode, encode_for_signing
from xrpl.core.keypairs import is_valid_message

from neo_engine.domain.assets import Asset
from neo_engine.simulator.history import KEEP_STATES
from neo_engine.simulator.model import keys
from neo_engine.simulator.model.amendments import AMENDMENTS
from neo_engine.simulator.model.amounts import Token
from neo_engine.simulator.model.genesis import GENESIS_ACCOUNT
from neo_engine.simulator.model.ledger import ClosedLedger, LedgerTx
from neo_engine.simulator.model.state import State
from neo_engine.simulator.server.commands.books import Book, book_page, changes_of
from neo_engine.simulator.server.commands.features import ENABLED, amendment_id
from neo_engine.simulator.server.commands.selection import last_ledger, open_ledger
from neo_engine.simulator.server.dispatch import answer
from neo_engine.simulator.server.signing import blob_hash, make_tx
from tests.unit.server_fixture import DATA, RECORDED, SmallClient, SmallNetwork, recorded_network

Json = dict[str, Any]

CODE = "524C555344000000000000000000000000000000"
ISSUER = "rnoVoABTJKx8s8itTCruCBroNHywK4RM3L"
MAKER = "rJReafc8qUYmCXCPT2uSMyHLaVawLMk84B"
TAKER = "rPqTB73iaXTarVqFePUUALbYwUojb7Ju5Q"
PROVIDER = "rsfxaVwusfy8kW4BhVrbpnqScAzfBRipb1"
POOL = "rHR2ovBfdunNB78kEwhe7NCksiCUHipEdR"
TICKETS = "rpWyVY322USfgyE5virXiRA3mdrJv8VMmU"
GENESIS_SEED = "snoPBrXtMeMyMHUVTgbuqAfg1SUTb"  # of the pass phrase "masterpassphrase"
LAST_HASH = "100D329BDF1AB60BAC28674EFAD25E61CE131E51F47435926076F7B3B81C2B6C"
XRP_SIDE = {"currency": "XRP"}
TOKEN_SIDE = {"currency": CODE, "issuer": ISSUER}
XRP_ASSET, TOKEN_ASSET = Asset("XRP", ""), Asset(CODE, ISSUER)
ASKS = {"taker_gets": XRP_SIDE, "taker_pays": TOKEN_SIDE}
#: Recorded requests whose whole reply is not expected: what there is instead is told in the docs.
PATHS = [line for line in RECORDED if line.get("request", {}).get("command") == "ripple_path_find"]
REPEATED = [
    line
    for line in RECORDED
    if line not in PATHS and ("request" in line or line["reply"].get("error") is not None)
]


@pytest.fixture
def network() -> SmallNetwork:
    return recorded_network()


SHARED = recorded_network()
SUBMITS = [
    json.loads(line) for line in (DATA / "model_submits.jsonl").read_text(encoding="utf-8").splitlines()
]


def ask(command: str, network: SmallNetwork = SHARED, *, admin: bool = True, **params: Any) -> Json:
    frame = json.dumps({"command": command, **params})
    return answer(frame, network, SmallClient(admin=admin))


def result(command: str, network: SmallNetwork = SHARED, *, admin: bool = True, **params: Any) -> Json:
    reply = ask(command, network, admin=admin, **params)
    assert reply["status"] == "success", reply
    told: Json = reply["result"]
    return told


def refusal(command: str, network: SmallNetwork = SHARED, **params: Any) -> tuple[str, Any]:
    reply = ask(command, network, **params)
    assert reply["status"] == "error", reply
    return reply["error"], reply.get("error_message")


def _name(line: Json) -> str:
    request = line.get("request") or line["reply"]
    return f"{request.get('command', 'no request')}-{request.get('id', 0)}"


@pytest.mark.parametrize("line", REPEATED, ids=_name)
def test_a_recorded_request_gets_the_recorded_reply_to_the_last_letter(line: Json) -> None:
    request = line.get("request")
    frame = line["reply"].get("value", "{}") if request is None else json.dumps(request)
    assert json.loads(json.dumps(answer(frame, SHARED, SmallClient()))) == line["reply"]


def test_nearly_all_recorded_requests_are_repeated() -> None:
    assert len(REPEATED) == 140
    assert len(RECORDED) == 143


@pytest.mark.parametrize("line", PATHS, ids=_name)
def test_a_path_request_is_answered_as_recorded_but_for_the_path(line: Json) -> None:
    recorded = {**line["reply"]["result"], "alternatives": []}
    assert answer(json.dumps(line["request"]), SHARED, SmallClient())["result"] == recorded


# --- which ledger


@pytest.mark.parametrize(
    ("params", "index"),
    [
        ({}, 13),
        ({"ledger_index": "current"}, 13),
        ({"ledger_index": ""}, 13),
        ({"ledger_index": 13}, 13),
        ({"ledger_index": "validated"}, 12),
        ({"ledger_index": "closed"}, 12),
        ({"ledger_index": 11}, 11),
        ({"ledger_index": "11"}, 11),
        ({"ledger_hash": LAST_HASH}, 12),
        ({"ledger_hash": LAST_HASH.lower()}, 12),
        ({"ledger_hash": LAST_HASH, "ledger_index": 3}, 12),
        ({"ledger": LAST_HASH}, 12),
        ({"ledger": "validated"}, 12),
        ({"ledger": 11}, 11),
    ],
)
def test_a_ledger_is_chosen_by_index_name_or_hash(params: Json, index: int) -> None:
    told = result("account_currencies", account=MAKER, **params)
    assert told.get("ledger_index", told.get("ledger_current_index")) == index
    assert told["validated"] is (index != 13)


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"ledger_index": 14}, ("lgrNotFound", "ledgerNotFound")),
        ({"ledger_index": 1}, ("lgrNotFound", "ledgerNotFound")),
        ({"ledger_hash": "A" * 64}, ("lgrNotFound", "ledgerNotFound")),
        ({"ledger_index": -1}, ("invalidParams", "ledgerIndexMalformed")),
        ({"ledger_index": 1.5}, ("invalidParams", "ledgerIndexMalformed")),
        ({"ledger_index": True}, ("invalidParams", "ledgerIndexMalformed")),
        ({"ledger_index": [1]}, ("invalidParams", "ledgerIndexMalformed")),
        ({"ledger_index": "12x"}, ("invalidParams", "ledgerIndexMalformed")),
        ({"ledger_hash": 5}, ("invalidParams", "ledgerHashNotString")),
        ({"ledger_hash": "A" * 63}, ("invalidParams", "ledgerHashMalformed")),
        ({"ledger": "A" * 20}, ("invalidParams", "ledgerHashMalformed")),
    ],
)
def test_a_ledger_that_cannot_be_chosen_is_named_as_the_server_does(
    params: Json, error: tuple[str, str]
) -> None:
    for command in ("account_info", "account_lines", "account_objects", "account_offers"):
        assert refusal(command, account=MAKER, **params) == error


def close(network: SmallNetwork, *items: LedgerTx) -> None:
    """Add a ledger of these transactions, which change nothing, to the history."""
    index = network.chain.header.ledger_index + 1
    network.chain.header = msgspec.structs.replace(
        network.chain.header, ledger_index=index, ledger_hash=f"{index:064X}"
    )
    network.history.add(ClosedLedger(header=network.chain.header, transactions=items), network.chain.state)
    network.open_ledger.index = index + 1


def test_entries_too_old_to_be_kept_are_not_found_but_the_header_is(network: SmallNetwork) -> None:
    for _ in range(KEEP_STATES - 7):
        close(network)
    assert result("account_info", network, account=MAKER, ledger_index=6)["account_data"]
    for command in ("account_info", "account_lines", "account_objects", "account_offers", "ledger_data"):
        assert refusal(command, network, account=MAKER, ledger_index=5) == ("lgrNotFound", "ledgerNotFound")
    assert result("ledger", network, ledger_index=5)["ledger"]["ledger_index"] == "5"


# --- pages


def pages(command: str, field: str, admin: bool = True, **params: Any) -> list[list[Any]]:
    found, marker = [], None
    for _ in range(200):
        told = result(command, admin=admin, **params, **({} if marker is None else {"marker": marker}))
        found.append(told[field])
        marker = told.get("marker")
        if marker is None:
            return found
    raise AssertionError("no end of pages")


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
@pytest.mark.parametrize(
    ("command", "field", "account"),
    [
        ("account_lines", "lines", ISSUER),
        ("account_lines", "lines", MAKER),
        ("account_offers", "offers", MAKER),
        ("account_objects", "account_objects", MAKER),
        ("account_objects", "account_objects", TICKETS),
    ],
)
def test_pages_give_each_entry_once(command: str, field: str, account: str, limit: int) -> None:
    whole = result(command, account=account)[field]
    assert whole
    got = pages(command, field, account=account, limit=limit)
    assert [one for page in got for one in page] == whole
    assert all(len(page) <= limit for page in got)


@pytest.mark.parametrize("limit", [1, 4, 7, 1000])
@pytest.mark.parametrize("binary", [False, True])
def test_ledger_data_gives_each_entry_once_in_order(limit: int, binary: bool) -> None:
    got = pages("ledger_data", "state", ledger_index="validated", limit=limit, binary=binary)
    indexes = [one["index"] for page in got for one in page]
    assert indexes == sorted(SHARED.chain.state.entries)
    assert all(len(page) <= limit for page in got)


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
@pytest.mark.parametrize("forward", [True, False])
def test_account_tx_gives_each_transaction_once_in_both_directions(limit: int, forward: bool) -> None:
    got = pages("account_tx", "transactions", account=MAKER, limit=limit, forward=forward, api_version=2)
    places = [(one["ledger_index"], one["meta"]["TransactionIndex"]) for page in got for one in page]
    assert places == sorted(places, reverse=not forward)
    stored = SHARED.history.account_txs(MAKER, 1, 99, forward=forward)
    assert [one["hash"] for page in got for one in page] == [one.item.tx.hash for one in stored]
    own = {one["hash"] for one in SUBMITS if one["tx_json"]["Account"] == MAKER and one["ledger_index"]}
    assert own <= {one["hash"] for page in got for one in page}


@pytest.mark.parametrize(
    ("command", "marker", "error"),
    [
        ("account_lines", "x", "Invalid parameters."),
        ("account_lines", 5, "Invalid field 'marker', not string."),
        ("account_lines", f"{'0' * 64},0", "Invalid parameters."),
        ("account_offers", "x", "Invalid field 'marker'."),
        ("account_offers", f"{'0' * 64},x", "Invalid field 'marker'."),
        ("account_offers", f"{'0' * 64},0", "Invalid parameters."),
        ("account_objects", "x", "Invalid field 'marker'."),
        ("account_objects", f"{'0' * 64},{'0' * 64}", "Invalid field 'marker'."),
        ("ledger_data", "x", "Invalid field 'marker', not valid."),
    ],
)
def test_a_marker_of_another_answer_is_refused(command: str, marker: Any, error: str) -> None:
    assert refusal(command, account=MAKER, marker=marker) == ("invalidParams", error)


@pytest.mark.parametrize(
    ("limit", "error"),
    [
        (0, "Invalid field 'limit'."),
        (-1, "Invalid field 'limit', not unsigned integer."),
        (1.5, "Invalid field 'limit', not unsigned integer."),
        (True, "Invalid field 'limit', not unsigned integer."),
        ("5", "Invalid field 'limit', not unsigned integer."),
    ],
)
@pytest.mark.parametrize("command", ["account_lines", "account_objects", "account_tx", "book_offers"])
def test_a_limit_is_a_positive_count(command: str, limit: Any, error: str) -> None:
    assert refusal(command, account=MAKER, **ASKS, limit=limit) == ("invalidParams", error)


def test_only_an_admin_pages_outside_the_limits() -> None:
    assert len(result("account_tx", account=MAKER, limit=1)["transactions"]) == 1
    clamped = result("account_tx", account=MAKER, limit=1, admin=False)
    assert (clamped["limit"], len(clamped["transactions"])) == (10, 10)
    assert result("account_tx", account=MAKER, limit=1000, admin=False)["limit"] == 400


# --- accounts


def test_an_accounts_queue_is_summed_up(network: SmallNetwork) -> None:
    network.queued = [
        {"seq": 13, "fee": "10", "fee_level": "256", "max_spend_drops": "10", "auth_change": False},
        {"seq": 14, "fee": "12", "fee_level": "307", "max_spend_drops": "1000012", "auth_change": True},
        {"ticket": 7, "fee": "10", "fee_level": "256", "max_spend_drops": "10", "auth_change": False},
    ]
    told = result("account_info", network, account=MAKER, queue=True)["queue_data"]
    assert told.pop("transactions") == network.queued
    assert told == {
        "txn_count": 3,
        "sequence_count": 2,
        "ticket_count": 1,
        "lowest_sequence": 13,
        "highest_sequence": 14,
        "lowest_ticket": 7,
        "highest_ticket": 7,
        "auth_change_queued": True,
        "max_spend_drops_total": "1000032",
    }
    assert refusal("account_info", account=MAKER, queue=True, ledger_index="validated")[0] == "invalidParams"


def test_signer_lists_stand_where_each_version_has_them() -> None:
    one = result("account_info", account=MAKER, signer_lists=True, api_version=1)
    two = result("account_info", account=MAKER, signer_lists=True, api_version=2)
    assert (one["account_data"]["signer_lists"], two["signer_lists"]) == ([], [])
    assert refusal("account_info", account=MAKER, signer_lists="yes", api_version=2)[0] == "invalidParams"


def test_a_frozen_line_is_marked_at_both_ends() -> None:
    frozen = "rnfghvUtK6zwhU7ih2JWFD3GSxVSjJeyo7"
    (line,) = result("account_lines", account=frozen)["lines"]
    assert (line["freeze_peer"], line["balance"], "freeze" in line) == (True, "19995", False)
    (seen,) = result("account_lines", account=ISSUER, peer=frozen)["lines"]
    assert (seen["freeze"], seen["balance"]) == (True, "-19995")


def test_lines_in_their_default_state_can_be_left_out() -> None:
    (frozen,) = result("account_lines", account=ISSUER, ignore_default=True)["lines"]
    assert frozen["freeze"] is True
    assert len(result("account_lines", account=MAKER, ignore_default=True)["lines"]) == 1


def test_objects_are_filtered_by_type_and_by_what_blocks_a_deletion() -> None:
    kinds = {one["LedgerEntryType"] for one in result("account_objects", account=MAKER)["account_objects"]}
    assert kinds == {"Offer", "RippleState"}
    for kind, expected in (("offer", {"Offer"}), ("Offer", {"Offer"}), ("state", {"RippleState"})):
        told = result("account_objects", account=MAKER, type=kind)["account_objects"]
        assert {one["LedgerEntryType"] for one in told} == expected
    blocking = result("account_objects", account=MAKER, deletion_blockers_only=True)["account_objects"]
    assert {one["LedgerEntryType"] for one in blocking} == {"RippleState"}
    assert refusal("account_objects", account=MAKER, type="fee") == ("invalidParams", "Invalid field 'type'.")
    assert refusal("account_objects", account=MAKER, type=5)[1] == "Invalid field 'type', not string."


@pytest.mark.parametrize(
    ("version", "low", "high", "expected"),
    [
        (1, -1, -1, (2, 12)),
        (1, 1, 5000, (2, 12)),
        (1, 5, 9, (5, 9)),
        (2, 5, 9, (5, 9)),
        (2, -1, 12, (2, 12)),
        (2, 1, 12, "lgrIdxMalformed"),
        (2, 2, 13, "lgrIdxMalformed"),
        (2, 9, 5, "invalidLgrRange"),
        (1, 13, 20, "lgrIdxsInvalid"),
    ],
)
def test_a_range_is_clipped_by_version_1_and_refused_by_version_2(
    version: int, low: int, high: int, expected: tuple[int, int] | str
) -> None:
    params = {"account": MAKER, "ledger_index_min": low, "ledger_index_max": high, "api_version": version}
    if isinstance(expected, str):
        assert refusal("account_tx", **params)[0] == expected
    else:
        told = result("account_tx", **params)
        assert (told["ledger_index_min"], told["ledger_index_max"]) == expected


def test_account_tx_takes_one_ledger_instead_of_a_range() -> None:
    told = result("account_tx", account=MAKER, ledger_index=9)
    assert {one["tx"]["ledger_index"] for one in told["transactions"]} == {9}
    assert result("account_tx", account=MAKER, ledger_hash=LAST_HASH)["ledger_index_min"] == 12
    assert refusal("account_tx", account=MAKER, ledger_index="current")[0] == "lgrNotValidated"
    both = {"account": MAKER, "ledger_index": 9, "ledger_index_min": 9}
    assert refusal("account_tx", **both, api_version=2)[0] == "invalidParams"
    assert result("account_tx", **both, api_version=1)["ledger_index_max"] == 12


def test_a_marker_of_account_tx_needs_ledger_and_seq() -> None:
    for marker in (5, "x", {}, {"ledger": 9}, {"ledger": "x", "seq": 1}):
        assert refusal("account_tx", account=MAKER, marker=marker)[1].startswith("invalid marker.")


# --- ledgers and transactions


def test_a_ledger_lists_its_transactions_by_hash_whole_or_in_binary() -> None:
    hashes = result("ledger", ledger_index=9, transactions=True)["ledger"]["transactions"]
    stored = SHARED.history.ledger(9)
    assert stored is not None
    assert hashes == sorted(item.tx.hash for item in stored.transactions)
    binary = {"ledger_index": 9, "transactions": True, "expand": True, "binary": True}
    told = result("ledger", **binary, api_version=2)["ledger"]
    assert [one["hash"] for one in told["transactions"]] == hashes
    assert [blob_hash(one["tx_blob"]) for one in told["transactions"]] == hashes
    assert set(told) == {"closed", "ledger_data", "transactions"}
    assert set(result("ledger", **binary, api_version=1)["ledger"]["transactions"][0]) == {"tx_blob", "meta"}


def test_a_ledgers_entries_are_for_admins() -> None:
    told = result("ledger", ledger_index="validated", accounts=True)["ledger"]["accountState"]
    assert told == sorted(SHARED.chain.state.entries)
    full = result("ledger", ledger_index="validated", full=True)["ledger"]
    assert len(full["accountState"]) == len(told)
    assert full["transactions"][0]["hash"]
    assert ask("ledger", ledger_index="validated", full=True, admin=False)["error"] == "noPermission"


def test_owner_funds_stand_beside_an_offer(network: SmallNetwork) -> None:
    stored = network.history.ledger(12)
    assert stored is not None
    close(network, msgspec.structs.replace(stored.transactions[0], owner_funds="50001156686"))
    params = {"ledger_index": 13, "transactions": True, "expand": True, "owner_funds": True}
    for version in (1, 2):
        (told,) = result("ledger", network, **params, api_version=version)["ledger"]["transactions"]
        assert told["owner_funds"] == "50001156686"


def test_without_a_choice_both_the_closed_and_the_open_ledger_are_told() -> None:
    told = result("ledger")
    assert told["closed"]["ledger"]["ledger_hash"] == LAST_HASH
    assert told["open"]["ledger"] == {"closed": False, "ledger_index": "13", "parent_hash": LAST_HASH}
    assert refusal("ledger", ledger_index="validated", queue=True)[0] == "invalidParams"
    assert "warnings" in result("ledger", type="offer")


def in_open_ledger(network: SmallNetwork) -> LedgerTx:
    """Put a transaction into the open ledger and return it."""
    json_ = {
        "Account": MAKER,
        "Amount": "1000000",
        "Destination": TAKER,
        "Fee": "10",
        "Sequence": 13,
        "SigningPubKey": "",
        "TransactionType": "Payment",
    }
    item = LedgerTx(tx=make_tx(json_, blob_hash(encode(json_))), result="tesSUCCESS", meta={}, index=0)
    network.open_ledger.transactions.append(item)
    return item


def test_a_waiting_transaction_is_found_and_told_as_not_validated(network: SmallNetwork) -> None:
    item = in_open_ledger(network)
    two = result("tx", network, transaction=item.tx.hash, api_version=2)
    assert two["validated"] is False
    assert set(two) == {"hash", "tx_json", "validated"}
    one = result("tx", network, transaction=item.tx.hash)
    assert (one["hash"], one["Amount"], one["validated"]) == (item.tx.hash, "1000000", False)
    (told,) = result("ledger", network, ledger_index="current", transactions=True, expand=True)["ledger"][
        "transactions"
    ]
    assert told["hash"] == item.tx.hash
    assert "metaData" not in told


def test_a_transaction_is_found_by_its_compact_id_on_its_network_only() -> None:
    told = result("tx", ctid="C000000A00050000")
    assert told["hash"] == "CC9D2C6CB0F48B6E5279BBBBBC5FE0125D0450E4681A4F8267F3D47CFB8070E7"
    assert refusal("tx", ctid="C000000A00050001")[0] == "wrongNetwork"
    assert refusal("tx", ctid="C000000A00FF0000")[0] == "txnNotFound"
    assert refusal("tx", ctid="x")[0] == "invalidParams"
    assert refusal("tx", ctid="C000000A00050000", transaction="A" * 64)[0] == "invalidParams"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (2, 12, ("txnNotFound", True)),
        (1, 12, ("txnNotFound", False)),
        (2, 13, ("txnNotFound", False)),
        (12, 2, ("invalidLgrRange", None)),
        (-1, 12, ("invalidLgrRange", None)),
        ("x", 12, ("invalidLgrRange", None)),
        (1, 1001, ("txnNotFound", False)),
        (1, 1002, ("excessiveLgrRange", None)),
    ],
)
def test_an_absent_transaction_is_surely_absent_only_where_all_ledgers_are_kept(
    low: Any, high: Any, expected: tuple[str, bool | None]
) -> None:
    reply = ask("tx", transaction="A" * 64, min_ledger=low, max_ledger=high)
    assert (reply["error"], reply.get("searched_all")) == expected


@pytest.mark.parametrize(
    ("params", "kind"),
    [
        ({"directory": {"owner": MAKER}}, "DirectoryNode"),
        ({"directory": {"dir_root": keys.owner_directory(MAKER), "sub_index": 0}}, "DirectoryNode"),
        ({"ticket": {"account": TICKETS, "ticket_seq": 7}}, "Ticket"),
        ({"fee": True}, "FeeSettings"),
        ({"fee": keys.FEE_SETTINGS}, "FeeSettings"),
        ({"amendments": True}, "Amendments"),
        ({"index": keys.account_root(MAKER).lower()}, "AccountRoot"),
        ({"offer": keys.offer(MAKER, 5)}, "Offer"),
    ],
)
def test_an_entry_is_found_by_what_names_it(params: Json, kind: str) -> None:
    told = result("ledger_entry", ledger_index="validated", **params)
    assert told["node"]["LedgerEntryType"] == kind
    assert told["index"] == told["node"]["index"]
    again = decode(result("ledger_entry", binary=True, **params)["node_binary"])
    assert again["LedgerEntryType"] == kind


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"index": "A" * 64}, ("entryNotFound", "Entry not found.")),
        ({"index": "0" * 64}, ("entryNotFound", "Entry not found.")),
        ({"offer": keys.account_root(MAKER)}, ("unexpectedLedgerType", "Unexpected ledger type.")),
        ({"account_root": 5}, ("malformedAddress", "Invalid field 'account_root', not AccountID.")),
        ({"offer": {"seq": 5}}, ("malformedRequest", "Missing field 'account'.")),
        ({"offer": {"account": MAKER}}, ("malformedRequest", "Missing field 'seq'.")),
        ({"offer": {"account": MAKER, "seq": -1}}, ("malformedRequest", "Invalid field 'seq', not number.")),
        (
            {"offer": {"account": "x", "seq": 1}},
            ("malformedAddress", "Invalid field 'account', not AccountID."),
        ),
        (
            {"ripple_state": {"accounts": [MAKER, MAKER], "currency": "USD"}},
            ("malformedRequest", "Cannot have a trustline to self."),
        ),
        (
            {"ripple_state": {"accounts": [MAKER, ISSUER], "currency": "USDX"}},
            ("malformedCurrency", "Invalid field 'currency', not Currency."),
        ),
        ({"index": "A" * 64, "offer": "x"}, ("invalidParams", "Too many fields provided.")),
    ],
)
def test_an_entry_that_cannot_be_named_or_found_is_refused(params: Json, error: tuple[str, str]) -> None:
    assert refusal("ledger_entry", **params) == error


# --- books and pools


def with_offers(state: State, *offers: Json) -> State:
    """Return a state with one book, from TOKEN to XRP owners, of these offers at one rate each."""
    twin = state.copy()
    base = keys.book_base(XRP_ASSET, TOKEN_ASSET)
    for root in [*twin.book(base)]:
        twin.drop(root)
    for number, given in enumerate(offers, 1):
        owner = given["owner"]
        root = keys.book_directory(base, Decimal(1000 + number))
        index = keys.offer(owner, 100 + number)
        twin.put(
            index,
            {
                "LedgerEntryType": "Offer",
                "Account": owner,
                "BookDirectory": root,
                "BookNode": "0",
                "Flags": 0,
                "OwnerNode": "0",
                "Sequence": 100 + number,
                "TakerGets": Token(Decimal(given["gets"]), CODE, ISSUER),
                "TakerPays": int(Decimal(given["gets"]) * (1000 + number)),
                **given.get("more", {}),
            },
        )
        twin.put(
            root,
            {
                "LedgerEntryType": "DirectoryNode",
                "ExchangeRate": root[48:].lower(),
                "Flags": 0,
                "Indexes": [index],
                "RootIndex": root,
            },
        )
    return twin


def page_of(network: SmallNetwork, *offers: Json, taker: str = "", limit: int = 60) -> list[Json]:
    network.open_ledger.state = with_offers(network.open_ledger.state, *offers)
    book = Book(XRP_ASSET, TOKEN_ASSET)
    return book_page(open_ledger(network), network, book, taker, limit=limit)


def test_an_owners_money_is_counted_down_over_his_offers(network: SmallNetwork) -> None:
    # The taker of the recording holds 20066.9... tokens; he offers 20000 and 100: 33.1... are missing.
    (line,) = result("account_lines", network, account=TAKER)["lines"]
    held = Decimal(line["balance"])
    rest = held - 20000
    first, second, third = page_of(
        network,
        {"owner": TAKER, "gets": "20000"},
        {"owner": TAKER, "gets": "100"},
        {"owner": TAKER, "gets": "1"},
    )
    assert first["owner_funds"] == line["balance"]
    assert "taker_gets_funded" not in first
    assert "owner_funds" not in second
    assert Decimal(second["taker_gets_funded"]["value"]) == rest < 100
    assert second["taker_pays_funded"] == str(round(rest * 1002))
    assert third["taker_gets_funded"]["value"] == "0"
    assert third["taker_pays_funded"] == "0"


def test_unfunded_expired_and_issuers_offers_are_listed_like_all_others(network: SmallNetwork) -> None:
    unfunded, expired, issuers = page_of(
        network,
        {"owner": GENESIS_ACCOUNT, "gets": "5"},
        {"owner": MAKER, "gets": "5", "more": {"Expiration": 1}},
        {"owner": ISSUER, "gets": "1000000"},
    )
    assert (unfunded["owner_funds"], unfunded["taker_gets_funded"]["value"]) == ("0", "0")
    assert expired["Expiration"] == 1
    assert (issuers["owner_funds"], "taker_gets_funded" in issuers) == ("1000000", False)


def test_a_transfer_fee_lowers_what_an_owner_can_sell_except_to_the_issuer(network: SmallNetwork) -> None:
    state = network.open_ledger.state
    root = keys.account_root(ISSUER)
    state.put(root, {**state.entries[root], "TransferRate": 1_250_000_000})
    line = keys.line(TAKER, ISSUER, CODE)
    held = state.entries[line]["Balance"]
    state.put(
        line, {**state.entries[line], "Balance": held._replace(value=Decimal(100).copy_sign(held.value))}
    )
    offer = {"owner": TAKER, "gets": "90"}
    (told,) = page_of(network, offer)
    assert told["taker_gets_funded"]["value"] == "80"
    assert told["owner_funds"] == "100"
    (free,) = page_of(network, offer, taker=ISSUER)
    assert "taker_gets_funded" not in free


def test_a_page_of_a_book_has_at_most_its_limit(network: SmallNetwork) -> None:
    offers = [{"owner": MAKER, "gets": "1"}] * 5
    assert len(page_of(network, *offers, limit=3)) == 3
    assert len(result("book_offers", **ASKS, limit=2)["offers"]) == 2


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"taker_gets": 5}, ("invalidParams", "Invalid field 'taker_gets', not object.")),
        ({"taker_gets": {}}, ("invalidParams", "Missing field 'taker_gets.currency'.")),
        (
            {"taker_gets": {"currency": 5}},
            ("invalidParams", "Invalid field 'taker_gets.currency', not string."),
        ),
        (
            {"taker_gets": {"currency": "US"}},
            ("dstAmtMalformed", "Invalid field 'taker_gets.currency', bad currency."),
        ),
        (
            {"taker_gets": {"currency": "XRP", "issuer": MAKER}},
            ("dstIsrMalformed", "Unneeded field 'taker_gets.issuer' for XRP currency specification."),
        ),
        (
            {"taker_gets": {"currency": "USD", "issuer": "x"}},
            ("dstIsrMalformed", "Invalid field 'taker_gets.issuer', bad issuer."),
        ),
        (
            {"taker_gets": {"currency": "USD", "issuer": keys.NEUTRAL_ISSUER}},
            ("dstIsrMalformed", "Invalid field 'taker_gets.issuer', bad issuer account one."),
        ),
        ({"taker": 5}, ("invalidParams", "Invalid field 'taker', not string.")),
        ({"taker": "x"}, ("invalidParams", "Invalid field 'taker'.")),
        ({"domain": "x"}, ("domainMalformed", "Unable to parse domain.")),
    ],
)
def test_a_book_that_cannot_be_named_is_refused(params: Json, error: tuple[str, str]) -> None:
    assert refusal("book_offers", **{**ASKS, **params}) == error


def test_what_a_ledger_changed_in_the_books_is_as_the_server_told_it() -> None:
    stored = SHARED.history.ledger(9)
    assert stored is not None
    # From the stream of the same server: two offers taken in ledger 9.
    assert changes_of(stored.header, stored.transactions)["changes"] == [
        {
            "close": "456621.1000000005",
            "currency_a": "XRP_drops",
            "currency_b": f"{ISSUER}/{CODE}",
            "high": "456621.1000000005",
            "low": "452488.6877828055",
            "open": "452488.6877828055",
            "volume_a": "43262034",
            "volume_b": "95.1908973695559",
        }
    ]
    assert result("book_changes", ledger_index=9)["changes"][0]["volume_a"] == "43262034"
    assert result("book_changes")["validated"] is False


def test_a_pool_is_found_by_its_account_and_a_share_told_of_its_holder() -> None:
    by_account = result("amm_info", amm_account=POOL)["amm"]
    by_assets = result("amm_info", asset=XRP_SIDE, asset2=TOKEN_SIDE)["amm"]
    assert by_account == by_assets
    assert (
        result("amm_info", amm_account=POOL, account=PROVIDER)["amm"]["lp_token"]["value"]
        == "7416198.48709566"
    )
    assert result("amm_info", amm_account=POOL, account=MAKER)["amm"]["lp_token"]["value"] == "0"
    assert refusal("amm_info", amm_account=MAKER)[0] == "actNotFound"
    assert refusal("amm_info", amm_account="x")[0] == "actMalformed"
    assert refusal("amm_info", amm_account=POOL, account="x")[0] == "actMalformed"
    assert (
        refusal("amm_info", asset={"currency": "XRP", "issuer": MAKER}, asset2=TOKEN_SIDE)[0]
        == "issueMalformed"
    )


# --- submit, simulate, subscribe


def signed_line() -> str:
    return str(
        result(
            "tx", transaction="5948035C9803DC0E5ACFA7C7F5F33FA868CFC2E86DB451575DA0D74FF692C5C8", binary=True
        )["tx"]
    )


def test_a_signed_blob_reaches_the_network_as_it_was_sent(network: SmallNetwork) -> None:
    blob = signed_line()
    told = result("submit", network, tx_blob=blob.lower(), fail_hard=True)
    ((json_, sent, hard),) = network.submitted
    assert (sent, hard, json_) == (blob, True, decode(blob))
    assert told["tx_blob"] == blob
    assert told["tx_json"]["hash"] == "5948035C9803DC0E5ACFA7C7F5F33FA868CFC2E86DB451575DA0D74FF692C5C8"


@pytest.mark.parametrize("blob", ["", "zz", "ABC", "12 00", 5, None])
def test_a_blob_that_is_no_hex_is_refused(network: SmallNetwork, blob: Any) -> None:
    expected = "invalidTransaction" if blob == 5 else "invalidParams"
    assert refusal("submit", network, tx_blob="05" if blob == 5 else blob)[0] == expected
    assert network.submitted == []


def test_a_blob_that_is_no_transaction_never_reaches_the_network(network: SmallNetwork) -> None:
    blob = signed_line()
    missing = encode({name: value for name, value in decode(blob).items() if name != "TakerGets"})
    for wrong in (blob[:-2], blob + "00", "12" + blob, "FF" * 40, missing, blob[:100]):
        reply = ask("submit", network, tx_blob=wrong)
        assert reply["error"] == "invalidTransaction"
        assert reply["error_exception"]
        assert "error_code" not in reply
    assert ask("submit", network, tx_blob=missing)["error_exception"] == (
        "Field 'TakerGets' is required but missing."
    )
    assert network.submitted == []


@pytest.mark.parametrize(
    ("secret", "version"),
    [
        ({"secret": GENESIS_SEED}, 2),
        ({"secret": "masterpassphrase"}, 2),
        ({"passphrase": "masterpassphrase", "key_type": "secp256k1"}, 1),
        ({"seed": GENESIS_SEED, "key_type": "secp256k1"}, 1),
        ({"seed_hex": "DEDCE9CE67B451D852FD4E846FCDE31C"}, 2),
    ],
)
def test_the_server_signs_for_an_admin_who_gives_a_secret(
    network: SmallNetwork, secret: Json, version: int
) -> None:
    tx = {"TransactionType": "Payment", "Account": GENESIS_ACCOUNT, "Destination": MAKER, "Amount": "1000000"}
    told = result("submit", network, tx_json=tx, **secret, api_version=version)
    ((sent, blob, _),) = network.submitted
    assert (sent["Sequence"], sent["Fee"]) == (8, "10")
    message = bytes.fromhex(encode_for_signing(sent))
    assert is_valid_message(message, bytes.fromhex(sent["TxnSignature"]), sent["SigningPubKey"])
    expected = {"deprecated", "engine_result", "engine_result_code", "engine_result_message"}
    assert set(told) == expected | {"tx_blob", "tx_json"} | ({"hash"} if version == 2 else set())
    named = told["hash"] if version == 2 else told["tx_json"]["hash"]
    assert named == blob_hash(blob)
    assert ("Amount" in told["tx_json"]) is (version == 1)


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({}, "invalidParams"),
        ({"secret": "a", "seed": "b"}, "invalidParams"),
        ({"secret": 5}, "invalidParams"),
        ({"secret": "x", "key_type": "ed25519"}, "invalidParams"),
        ({"seed": "x", "key_type": "rsa"}, "badKeyType"),
        ({"seed": "x"}, "badSeed"),
        (
            {"secret": GENESIS_SEED, "tx_json": {"TransactionType": "AccountSet", "Account": MAKER}},
            "badSecret",
        ),
        ({"secret": GENESIS_SEED, "tx_json": {"TransactionType": "AccountSet"}}, "invalidParams"),
        (
            {"secret": GENESIS_SEED, "tx_json": {"TransactionType": "AccountSet", "Account": "x"}},
            "srcActMalformed",
        ),
        (
            {
                "secret": GENESIS_SEED,
                "tx_json": {"TransactionType": "AccountSet", "Account": keys.NEUTRAL_ISSUER},
            },
            "srcActNotFound",
        ),
    ],
)
def test_signing_is_refused_with_its_reason_and_always_called_deprecated(
    network: SmallNetwork, params: Json, error: str
) -> None:
    reply = ask("submit", network, **params)
    assert reply["error"] == error
    assert reply["deprecated"].startswith("Signing support")
    assert network.submitted == []
    assert ask("submit", network, admin=False, **params)["error"] == "notSupported"


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"tx_json": {}, "tx_blob": "00"}, "Can only include one of `tx_blob` and `tx_json`."),
        ({"tx_json": 5}, "Invalid field 'tx_json', not object."),
        ({"tx_json": {"Account": MAKER}}, "Missing field 'tx.TransactionType'."),
        ({"tx_json": {"TransactionType": "AccountSet"}}, "Missing field 'tx.Account'."),
        ({"tx_json": {}, "secret": "x"}, "Invalid field 'secret'."),
        ({"tx_json": {}, "binary": "yes"}, "Invalid field 'binary'."),
        ({"tx_blob": "zz"}, "Invalid field 'tx_blob'."),
        ({"tx_blob": "DEADBEEF"}, "Invalid field 'tx_blob'."),
    ],
)
def test_what_cannot_be_simulated_is_refused(params: Json, error: str) -> None:
    assert refusal("simulate", **params) == ("invalidParams", error)


def test_a_signed_transaction_is_not_simulated() -> None:
    assert refusal("simulate", tx_blob=signed_line()) == (
        "transactionSigned",
        "Transaction should not be signed.",
    )


def test_a_simulation_fills_in_the_next_sequence_and_what_the_type_costs(network: SmallNetwork) -> None:
    network.queued = [{"seq": 13}, {"seq": 14}]
    told = result("simulate", network, tx_json={"TransactionType": "AccountSet", "Account": MAKER})
    assert (told["tx_json"]["Sequence"], told["tx_json"]["Fee"]) == (15, "10")
    create = {
        "TransactionType": "AMMCreate",
        "Account": MAKER,
        "Amount": "1",
        "Amount2": {**TOKEN_SIDE, "value": "1"},
    }
    assert result("simulate", network, tx_json={**create, "TradingFee": 1})["tx_json"]["Fee"] == "200000"


def test_a_simulation_in_binary_tells_the_same(network: SmallNetwork) -> None:
    tx = {"TransactionType": "AccountSet", "Account": MAKER}
    plain = result("simulate", network, tx_json=tx)
    binary = result("simulate", network, tx_json=tx, binary=True)
    assert decode(binary["tx_blob"]) == {k: v for k, v in plain["tx_json"].items() if k != "hash"}
    assert decode(binary["meta_blob"])["TransactionResult"] == "tesSUCCESS"
    assert {"meta", "tx_json"}.isdisjoint(binary)


def test_a_subscription_reaches_the_network_and_a_snapshot_tells_the_books_of_the_last_ledger(
    network: SmallNetwork,
) -> None:
    book = {"taker_pays": TOKEN_SIDE, "taker_gets": XRP_SIDE, "snapshot": True, "both": True}
    told = result("subscribe", network, streams=["ledger"], accounts=[MAKER], books=[book])
    assert network.subscribed[0]["accounts"] == [MAKER]
    ledger = last_ledger(network)
    pays, gets = TOKEN_ASSET, XRP_ASSET
    assert told["bids"] == book_page(ledger, network, Book(pays, gets), "", limit=60)
    assert told["asks"] == book_page(ledger, network, Book(gets, pays), "", limit=60)
    assert told["bids"] == result("book_offers", **ASKS, ledger_index="validated")["offers"] != []
    one_side = result("subscribe", network, books=[{**book, "both": False}])
    assert one_side == {"offers": told["bids"]}


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"streams": ["ledger", "nonsense"]}, "malformedStream"),
        ({"streams": [5]}, "malformedStream"),
        ({"streams": "ledger"}, "invalidParams"),
        ({"accounts": []}, "actMalformed"),
        ({"accounts": [MAKER, "x"]}, "actMalformed"),
        ({"accounts_proposed": "x"}, "invalidParams"),
        ({"books": {}}, "invalidParams"),
        ({"books": [5]}, "invalidParams"),
        ({"books": [{"taker_pays": {}, "taker_gets": {}}]}, "srcCurMalformed"),
        ({"books": [{"taker_pays": {"currency": "USD"}, "taker_gets": XRP_SIDE}]}, "srcIsrMalformed"),
        ({"books": [{"taker_pays": XRP_SIDE, "taker_gets": {"currency": "?"}}]}, "dstAmtMalformed"),
        ({"books": [{"taker_pays": XRP_SIDE, "taker_gets": {"currency": "USD"}}]}, "dstIsrMalformed"),
        ({"books": [{"taker_pays": XRP_SIDE, "taker_gets": XRP_SIDE}]}, "badMarket"),
        ({"books": [{"taker_pays": XRP_SIDE, "taker_gets": TOKEN_SIDE, "taker": "x"}]}, "badIssuer"),
        ({"url": "http://localhost"}, "notSupported"),
    ],
)
def test_a_refused_subscription_changes_nothing(network: SmallNetwork, params: Json, error: str) -> None:
    good = {"streams": ["ledger"], "accounts": [MAKER]}
    for command in ("subscribe", "unsubscribe"):
        assert refusal(command, network, **{**good, **params})[0] == error
    assert network.subscribed == []


def test_peer_status_is_for_admins(network: SmallNetwork) -> None:
    assert ask("subscribe", network, streams=["peer_status"])["status"] == "success"
    assert ask("subscribe", network, admin=False, streams=["peer_status"])["error"] == "noPermission"


# --- the server


def test_the_amendments_in_force_are_those_of_the_model() -> None:
    assert sorted(amendment_id(name) for name in ENABLED) == sorted(AMENDMENTS)
    (told,) = result("feature", feature="AMM").items()
    assert told[1] == {"enabled": True, "name": "AMM", "supported": True}
    assert result("feature", feature=told[0]) == dict([told])
    assert refusal("feature", feature="NoSuchThing")[0] == "badFeature"
    assert refusal("feature", feature=5)[0] == "invalidParams"


def test_random_numbers_differ_and_have_256_bits() -> None:
    one, other = (result("random")["random"] for _ in range(2))
    assert one != other
    assert len(bytes.fromhex(one)) == 32


def test_a_validators_key_is_recognised() -> None:
    key = "n9Lx4Kkau1Zv9aLevL76dBfVtVM3yHmneuh2EgDoHoNbHiLyamBR"
    assert result("manifest", public_key=key) == {"requested": key}
    assert refusal("manifest") == ("invalidParams", "Missing field 'public_key'.")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"source_account": None}, "srcActMalformed"),
        ({"destination_account": "x"}, "dstActMalformed"),
        ({"destination_amount": "x"}, "dstAmtMalformed"),
        ({"source_account": keys.NEUTRAL_ISSUER}, "srcActNotFound"),
    ],
)
def test_a_bad_path_request_is_refused(change: Json, error: str) -> None:
    request = {"source_account": MAKER, "destination_account": TAKER, "destination_amount": "1"}
    assert refusal("ripple_path_find", **{**request, **change})[0] == error
    for name, missing in (("source_account", "srcActMissing"), ("destination_amount", "dstAmtMissing")):
        assert refusal("ripple_path_find", **{k: v for k, v in request.items() if k != name})[0] == missing


def test_a_hot_wallet_must_be_an_address() -> None:
    for wallets in ("x", [5], {"a": 1}):
        params = {"account": ISSUER, "hotwallet": wallets}
        assert refusal("gateway_balances", **params, api_version=1)[0] == "invalidHotWallet"
        assert refusal("gateway_balances", **params, api_version=2)[0] == "invalidParams"
    assert refusal("gateway_balances", account=keys.NEUTRAL_ISSUER, api_version=2)[0] == "actNotFound"
    assert result("gateway_balances", account=keys.NEUTRAL_ISSUER, api_version=1)["validated"] is False
