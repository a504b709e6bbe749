"""Bad requests and the error each must get: the documented token, or HTTP's status and text.

Sources: the error lists of the methods on xrpl.org; rippled ErrorCodes.cpp and the methods' handlers.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

STRANGER = "rrrrrrrrrrrrrrrrrrrrBZbvji"  # a valid address of nobody
GENESIS = "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh"
RLUSD = "524C555344000000000000000000000000000000"
NOWHERE = "A" * 64
XRP = {"currency": "XRP"}
USD = {"currency": "USD", "issuer": GENESIS}


class Bad(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent and what must come back. error: its token. text: of the message, where it is told."""

    name: str
    frame: str
    error: str
    text: str = ""


def request(error: str, command: str, text: str = "", version: int = 2, **params: Any) -> Bad:
    """A request that is well formed but asks for something that cannot be."""
    body = {"id": 1, "api_version": version, **params, "command": command}
    shown = json.dumps(params)[:60]
    return Bad(name=f"{command} {shown}", frame=json.dumps(body), error=error, text=text)


def frames() -> list[Bad]:
    """Frames that are no request."""
    deep = '{"command": "ping", "x": ' + "[" * 30 + "]" * 30 + "}"
    no_json = {
        "nothing": "",
        "words": "this is not json",
        "a list": "[1, 2]",
        "a number": "7",
        "a text": '"ping"',
        "null": "null",
        "true": "true",
        "a frame cut short": '{"command": "pi',
        "a trailing word": '{"command": "ping"} x',
        "deep nesting": deep,
        "an endless integer": '{"command": "ping", "x": ' + "9" * 50 + "}",
        "NaN": '{"command": "ping", "x": NaN}',
        "single quotes": "{'command': 'ping'}",
    }
    bad = [Bad(name=name, frame=frame, error="jsonInvalid") for name, frame in no_json.items()]
    no_command: list[Any] = [
        {},
        {"id": 1},
        {"command": 5},
        {"command": None},
        {"command": ["ping"]},
        {"command": "ping", "method": "fee"},
    ]
    bad += [
        Bad(name=f"no command {one}", frame=json.dumps(one), error="missingCommand") for one in no_command
    ]
    for version in (0, 3, 9, "2", 1.5, None):
        frame = json.dumps({"command": "ping", "api_version": version})
        bad.append(Bad(name=f"version {version!r}", frame=frame, error="invalid_API_version"))
    bad += [
        request("unknownCmd", name, "Unknown method.") for name in ("no_such_command", "", "PING", "ping ")
    ]
    return bad


def accounts() -> list[Bad]:
    """Requests about an account that is missing, malformed or nobody's."""
    bad = []
    for command in ("account_info", "account_lines", "account_offers", "account_objects", "account_tx"):
        bad += [
            request("invalidParams", command, "Missing field 'account'."),
            request("invalidParams", command, "Invalid field 'account'.", account=5),
            request("actMalformed", command, "Account malformed.", account="rNotAnAccount"),
            request("actMalformed", command, "Account malformed.", account=GENESIS[:-1] + "x"),
        ]
    for command in (
        "account_info",
        "account_lines",
        "account_offers",
        "account_objects",
        "account_currencies",
    ):
        bad.append(request("actNotFound", command, "Account not found.", account=STRANGER))
    for command in ("account_lines", "account_offers", "account_objects"):
        text = "Invalid field 'limit', not unsigned integer."
        bad += [request("invalidParams", command, text, account=GENESIS, limit=one) for one in (-1, "ten")]
        bad.append(request("invalidParams", command, account=GENESIS, marker="x"))
    bad += [
        request(
            "invalidParams", "account_objects", "Invalid field 'type'.", account=GENESIS, type="nonsense"
        ),
        request("actMalformed", "account_lines", account=GENESIS, peer="bad"),
        request("invalidHotWallet", "gateway_balances", version=1, account=GENESIS, hotwallet="bad"),
        request("invalidParams", "gateway_balances", account=GENESIS, hotwallet="bad"),
        request(
            "lgrIdxMalformed", "account_tx", account=GENESIS, ledger_index_min=50000, ledger_index_max=60000
        ),
        request("invalidLgrRange", "account_tx", account=GENESIS, ledger_index_min=9, ledger_index_max=3),
        request(
            "lgrIdxsInvalid", "account_tx", version=1, account=GENESIS, ledger_index_min=9, ledger_index_max=3
        ),
        request("invalidParams", "account_tx", account=GENESIS, marker="x"),
    ]
    return bad


def ledgers() -> list[Bad]:
    """Requests about a ledger that is none."""
    bad = []
    for command, params in (
        ("ledger", {}),
        ("ledger_data", {}),
        ("account_info", {"account": GENESIS}),
        ("account_lines", {"account": GENESIS}),
        ("book_offers", {"taker_gets": XRP, "taker_pays": USD}),
    ):
        bad += [
            request("lgrNotFound", command, "ledgerNotFound", ledger_index=99999999, **params),
            request("invalidParams", command, "ledgerIndexMalformed", ledger_index="sideways", **params),
            request("invalidParams", command, "ledgerHashMalformed", ledger_hash="zz", **params),
            request("lgrNotFound", command, ledger_hash=NOWHERE, **params),
        ]
    entry = "ledger_entry"
    return [
        *bad,
        request("invalidParams", "ledger_data", limit="ten"),
        request("invalidParams", "ledger_data", marker="not hex"),
        request("invalidParams", entry, "No ledger_entry params provided."),
        request("unknownOption", entry, version=1),
        request("malformedRequest", entry, index="00"),
        request("malformedAddress", entry, account_root="bad"),
        request("entryNotFound", entry, account_root=STRANGER),
        request("malformedRequest", entry, offer={"account": GENESIS}),
        request("entryNotFound", entry, index=NOWHERE),
    ]


def transactions() -> list[Bad]:
    """Transactions that are none, or are asked for in vain."""
    signed = "12000022800000002400000001"
    return [
        request("invalidParams", "tx"),
        request("notImpl", "tx", transaction="zz"),
        request("txnNotFound", "tx", "Transaction not found.", transaction=NOWHERE),
        request("invalidLgrRange", "tx", transaction=NOWHERE, min_ledger=9, max_ledger=3),
        request("excessiveLgrRange", "tx", transaction=NOWHERE, min_ledger=1, max_ledger=5000),
        request("invalidParams", "submit", "Missing field 'secret'."),
        request("invalidParams", "submit", tx_blob="not hex"),
        request("invalidParams", "submit", tx_blob=""),
        request("invalidTransaction", "submit", tx_blob="DEADBEEF"),
        request("invalidTransaction", "submit", tx_blob=signed * 5),
        request("invalidTransaction", "submit", tx_blob="FF" * 200),
        request("invalidParams", "submit", "Missing field 'tx_json'.", secret="masterpassphrase"),
        request("invalidParams", "submit", secret="masterpassphrase", tx_json="Payment"),
        request("invalidParams", "submit", secret="masterpassphrase", tx_json={"Account": GENESIS}),
        request(
            "srcActMalformed",
            "submit",
            secret="masterpassphrase",
            tx_json={"TransactionType": "AccountSet", "Account": "bad"},
        ),
        request(
            "badSecret",
            "submit",
            secret="another phrase",
            tx_json={"TransactionType": "AccountSet", "Account": GENESIS},
        ),
        request("invalidParams", "simulate", "Neither `tx_blob` nor `tx_json` included."),
        request("invalidParams", "simulate", tx_json={"Account": GENESIS}, tx_blob="00"),
        request("invalidParams", "simulate", tx_json=5),
        request("invalidParams", "simulate", tx_json={"Account": GENESIS}),
        request("invalidParams", "simulate", tx_blob="zz"),
    ]


def books() -> list[Bad]:
    """Markets that are none."""
    both: dict[str, Any] = {"taker_gets": XRP, "taker_pays": USD}
    name = "book_offers"
    return [
        request("invalidParams", name, "Missing field 'taker_pays'.", taker_gets=XRP),
        request("invalidParams", name, "Missing field 'taker_gets'.", taker_pays=USD),
        request("invalidParams", name, taker_pays="XRP", taker_gets=USD),
        request("badMarket", name, "No such market.", taker_gets=XRP, taker_pays=XRP),
        request("srcCurMalformed", name, taker_gets=XRP, taker_pays={**USD, "currency": "toolongcode"}),
        request("dstAmtMalformed", name, taker_gets={**USD, "currency": "toolongcode"}, taker_pays=XRP),
        request("srcIsrMalformed", name, taker_gets=XRP, taker_pays={"currency": "USD"}),
        request("dstIsrMalformed", name, taker_gets={"currency": "USD"}, taker_pays=XRP),
        request("srcIsrMalformed", name, taker_gets=USD, taker_pays={**XRP, "issuer": GENESIS}),
        request("srcIsrMalformed", name, taker_gets=XRP, taker_pays={**USD, "issuer": "bad"}),
        request("invalidParams", name, "Invalid field 'taker'.", **both, taker="bad"),
        request("invalidParams", name, "Invalid field 'limit', not unsigned integer.", **both, limit=-1),
        request("invalidParams", "amm_info", asset=XRP),
        request("actNotFound", "amm_info", asset=XRP, asset2=USD),
        request("actMalformed", "amm_info", amm_account="bad"),
    ]


def others() -> list[Bad]:
    """Subscriptions, paths and the rest."""
    path = "ripple_path_find"
    ends: dict[str, Any] = {"source_account": GENESIS, "destination_account": GENESIS}
    return [
        request("malformedStream", "subscribe", "Stream malformed.", streams=["nonsense"]),
        request("malformedStream", "subscribe", streams=[5]),
        request("invalidParams", "subscribe", streams="ledger"),
        request("actMalformed", "subscribe", accounts=["bad"]),
        request("actMalformed", "subscribe", accounts=[]),
        request("invalidParams", "subscribe", accounts=GENESIS),
        request("invalidParams", "subscribe", books=[{"taker_gets": XRP}]),
        request("invalidParams", "subscribe", books="all"),
        request("badMarket", "subscribe", books=[{"taker_gets": XRP, "taker_pays": XRP}]),
        request("malformedStream", "unsubscribe", streams=["nonsense"]),
        request("actMalformed", "unsubscribe", accounts=["bad"]),
        request("srcActMissing", path),
        request("srcActMalformed", path, source_account="bad"),
        request("dstActMissing", path, source_account=GENESIS),
        request("dstActMalformed", path, **{**ends, "destination_account": "bad"}),
        request("dstAmtMissing", path, **ends),
        request("dstAmtMalformed", path, **ends, destination_amount="much"),
        request("srcActNotFound", path, **{**ends, "source_account": STRANGER}, destination_amount="1"),
        request("badFeature", "feature", feature="NoSuchAmendment"),
        request("invalidParams", "manifest", public_key="x"),
        request("invalidParams", "fault", name="earthquake"),
    ]


#: (name, body, status, text or token)
BODIES: list[tuple[str, str, int, str]] = [
    ("nothing", "", 400, "Unable to parse request: "),
    ("words", "this is not json", 400, "Unable to parse request: "),
    ("a list", "[1]", 400, "Unable to parse request: "),
    ("no method", '{"params": [{}]}', 400, "Null method"),
    ("a method that is a number", '{"method": 5, "params": [{}]}', 400, "method is not string"),
    ("an empty method", '{"method": "", "params": [{}]}', 400, "method is empty"),
    ("params that are a text", '{"method": "ping", "params": "x"}', 400, "params unparsable"),
    (
        "a version out of range",
        '{"method": "ping", "params": [{"api_version": 9}]}',
        400,
        "invalid_API_version",
    ),
    ("an unknown method", '{"method": "no_such_command", "params": [{}]}', 200, "unknownCmd"),
    ("a missing field", '{"method": "account_info", "params": [{}]}', 200, "invalidParams"),
    ("a bad account", '{"method": "account_info", "params": [{"account": "x"}]}', 200, "actMalformed"),
    ("a subscription", '{"method": "subscribe", "params": [{"streams": ["ledger"]}]}', 200, "invalidParams"),
]
REQUESTS = [*frames(), *accounts(), *ledgers(), *transactions(), *books(), *others()]
