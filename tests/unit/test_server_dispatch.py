"""The outer shape of requests and replies, over a WebSocket and by HTTP, good and bad."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neo_engine.domain.errors import InvariantViolation
from neo_engine.simulator.server.commands import COMMANDS
from neo_engine.simulator.server.dispatch import FRAME_BYTES_MAX, answer, answer_http
from neo_engine.simulator.server.errors import ERRORS, PLAIN, RpcError
from tests.unit.server_fixture import RECORDED, SmallClient, recorded_network, walk

pytestmark = pytest.mark.slow

NETWORK = recorded_network()
CLIENT = SmallClient()
STRANGER = SmallClient(admin=False)


def ask(**request: Any) -> dict[str, Any]:
    return answer(json.dumps(request), NETWORK, CLIENT)


def post(params: dict[str, Any], method: str = "ping") -> tuple[int, Any]:
    return answer_http(json.dumps({"method": method, "params": [params]}).encode(), NETWORK)


@pytest.mark.parametrize(
    "frame",
    [
        *("this is not json", "[1,2]", "null", "5", '"x"', "", "{", '{"id": NaN}', '{"id": 1e400}'),
        '{"command": "ping", "id": 4294967296}',
        '{"command": "ping", "id": -2147483649}',
        '{"command": "ping", "id": ' + "[" * 30 + "]" * 30 + "}",
        "[" * 100_000,
    ],
    ids=lambda frame: frame[:40],
)
def test_a_frame_that_is_no_object_is_repeated_as_malformed(frame: str) -> None:
    assert answer(frame, NETWORK, CLIENT) == {"error": "jsonInvalid", "type": "error", "value": frame}


def test_a_frame_beyond_the_limit_is_not_read() -> None:
    frame = json.dumps({"command": "ping", "x": "y" * FRAME_BYTES_MAX})
    assert answer(frame, NETWORK, CLIENT)["error"] == "jsonInvalid"


def test_bytes_that_are_no_text_are_malformed_and_repeated_as_text() -> None:
    assert answer(b"\xff{", NETWORK, CLIENT) == {"error": "jsonInvalid", "type": "error", "value": "\ufffd{"}


def test_numbers_up_to_32_bits_and_moderate_nesting_are_taken() -> None:
    reply = ask(command="ping", id=4294967295, x=[[[[[[[[[[1]]]]]]]]]])
    assert (reply["status"], reply["id"]) == ("success", 4294967295)


@pytest.mark.parametrize(
    "request_",
    [{}, {"id": 1}, {"command": 5}, {"method": None}, {"command": "ping", "method": "fee"}],
)
def test_a_request_without_one_command_is_told_so_with_what_it_sent(request_: dict[str, Any]) -> None:
    reply = ask(**request_)
    assert reply["error"] == "missingCommand"
    assert reply["request"] == request_
    assert "error_code" not in reply
    assert reply.get("id") == request_.get("id")


@pytest.mark.parametrize("version", [0, 3, 9, -1, "1", True, 1.0, None])
def test_a_version_that_is_not_spoken_is_refused_before_the_command(version: Any) -> None:
    reply = ask(command="no_such_command", api_version=version)
    assert (reply["error"], reply["api_version"]) == ("invalid_API_version", version)


def test_without_a_version_the_first_is_spoken_and_none_is_told() -> None:
    reply = ask(command="account_tx", account="rJReafc8qUYmCXCPT2uSMyHLaVawLMk84B", limit=1)
    assert "tx" in reply["result"]["transactions"][0]
    assert "api_version" not in reply


def test_method_names_a_command_as_well() -> None:
    assert ask(method="ledger_current")["result"] == {"ledger_current_index": 13}


def test_what_the_client_marked_his_request_with_comes_back() -> None:
    reply = ask(command="ping", id={"a": [1]}, jsonrpc="2.0", ripplerpc="2.0", api_version=2)
    assert reply == {
        "result": {"role": "admin", "unlimited": True},
        "status": "success",
        "type": "response",
        "id": {"a": [1]},
        "jsonrpc": "2.0",
        "ripplerpc": "2.0",
        "api_version": 2,
    }


def test_secrets_are_masked_where_a_refused_request_is_repeated() -> None:
    reply = ask(command="simulate", secret="s1", seed="s2", seed_hex="s3", passphrase="s4")
    masked = {reply["request"][name] for name in ("secret", "seed", "seed_hex", "passphrase")}
    assert masked == {"<masked>"}


def test_only_an_admin_closes_ledgers_and_is_told_that_he_is_one() -> None:
    frame = json.dumps({"command": "ledger_accept"})
    assert answer(frame, NETWORK, STRANGER)["error"] == "forbidden"
    assert answer(frame, NETWORK, CLIENT)["result"] == {"ledger_current_index": 14}
    assert answer('{"command":"ping"}', NETWORK, STRANGER)["result"] == {}


@pytest.mark.parametrize("name", ["path_find", "sign", "submit_multisigned", "server_definitions"])
def test_a_command_only_rippled_has_is_not_supported_rather_than_unknown(name: str) -> None:
    assert (ask(command=name)["error"], ask(command=name)["error_code"]) == ("notSupported", 75)


def test_by_http_everything_stands_in_the_result() -> None:
    assert post({}, "ledger_current") == (200, {"result": {"ledger_current_index": 13, "status": "success"}})
    status, reply = post({"account": "x", "api_version": 2, "id": 7, "jsonrpc": "2.0"}, "account_info")
    assert status == 200
    assert reply["result"] == {
        "error": "actMalformed",
        "error_code": 35,
        "error_message": "Account malformed.",
        "ledger_current_index": 13,
        "request": {"account": "x", "api_version": 2, "command": "account_info", "id": 7, "jsonrpc": "2.0"},
        "status": "error",
        "validated": False,
    }
    assert (reply["id"], reply["jsonrpc"]) == (7, "2.0")


def test_ripplerpc_2_puts_an_error_outside_and_3_lets_it_decide_the_status() -> None:
    status, reply = post({"ripplerpc": "2.0", "ledger_index": 99}, "ledger")
    assert status == 200
    assert reply == {
        "error": {
            "code": 21,
            "error": "lgrNotFound",
            "error_code": 21,
            "message": "ledgerNotFound",
            "status": "error",
        },
        "ripplerpc": "2.0",
    }
    assert post({"ripplerpc": "3.0", "ledger_index": 99}, "ledger")[0] == 404
    assert post({"ripplerpc": "3.0"}, "no_such_command")[0] == 405
    assert post({"ripplerpc": "3.0"}, "ledger_current")[0] == 200


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("", "Unable to parse request: "),
        ("[]", "Unable to parse request: "),
        ("{}", "Unable to parse request: "),
        ('{"params": []}', "Null method"),
        ('{"method": null}', "Null method"),
        ('{"method": 5}', "method is not string"),
        ('{"method": ""}', "method is empty"),
        ('{"method": "ping", "params": {"a": 1}}', "params unparsable"),
        ('{"method": "ping", "params": [{}, {}]}', "params unparsable"),
        ('{"method": "ping", "params": [5]}', "params unparsable"),
        ('{"method": "ping", "params": [{"ripplerpc": 2}]}', "ripplerpc is not a string"),
        ('{"method": "ping", "params": [{"api_version": 3}]}', "invalid_API_version"),
    ],
)
def test_a_body_that_is_no_request_is_answered_with_plain_text(body: str, text: str) -> None:
    assert answer_http(body.encode(), NETWORK) == (400, text)


@pytest.mark.parametrize("params", ["", ', "params": []', ', "params": [{}]', ', "params": [null]'])
def test_params_may_be_missing_or_empty(params: str) -> None:
    assert answer_http(f'{{"method": "ping"{params}}}', NETWORK)[0] == 200


def test_http_takes_no_subscriptions_and_a_stranger_may_ask_too() -> None:
    assert post({"streams": ["ledger"]}, "subscribe")[1]["result"]["error"] == "invalidParams"
    reply = answer_http(b'{"method": "ledger_accept"}', NETWORK, admin=False)[1]
    assert isinstance(reply, dict)
    assert reply["result"]["error"] == "forbidden"


def test_an_error_no_server_knows_is_a_defect() -> None:
    with pytest.raises(InvariantViolation, match="noSuchError"):
        RpcError("noSuchError")


def test_every_number_of_an_error_is_its_own() -> None:
    codes = [info.code for info in ERRORS.values()]
    assert len(set(codes)) == len(codes)
    told = [one for line in RECORDED for one in walk(line["reply"]) if one.get("error") in ERRORS]
    assert len(told) > 40
    for one in told:
        assert one["error_code"] == ERRORS[one["error"]].code


# What the recorded requests and replies hold under each name, so that random requests often mean something.
SAMPLES: dict[str, list[Any]] = {}
for _line in RECORDED:
    for _object in [*walk(_line.get("request", {})), *walk(_line["reply"])]:
        for _name, _value in _object.items():
            if _name not in ("command", "method", "meta", "metaData", "features") and len(repr(_value)) < 400:
                _known = SAMPLES.setdefault(_name, [])
                if len(_known) < 12 and _value not in _known:
                    _known.append(_value)
FLAGS = (
    *("accounts", "binary", "both", "expand", "forward", "full", "ignore_default", "owner_funds", "queue"),
    *("deletion_blockers_only", "signer_lists", "snapshot", "transactions"),
)
OTHER_NAMES = ("amm_account", "directory", "ticket", "fee", "hotwallet", "passphrase", "seed", "key_type")
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**32) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(SAMPLES)), inner),
    max_leaves=6,
)
PAIRS = st.sampled_from(sorted({*SAMPLES, *FLAGS, *OTHER_NAMES})).flatmap(
    lambda name: st.tuples(st.just(name), JSON_VALUES | st.sampled_from(SAMPLES.get(name, [True, False, 1])))
)


@given(
    command=st.sampled_from(sorted(COMMANDS)),
    version=st.sampled_from([1, 2]),
    params=st.lists(PAIRS, max_size=6),
    admin=st.booleans(),
)
@settings(deadline=None, max_examples=600)
def test_whatever_is_asked_gets_a_reply_that_is_json_and_an_error_of_the_table(
    command: str, version: int, params: list[tuple[str, Any]], admin: bool
) -> None:
    request = {**dict(params), "command": command, "api_version": version}
    reply = answer(msgspec.json.encode(request), NETWORK, CLIENT if admin else STRANGER)
    json.dumps(reply, allow_nan=False)
    if reply.get("status") != "success":
        assert reply["error"] in ERRORS or reply["error"] in PLAIN
    status, other = answer_http(msgspec.json.encode({"method": command, "params": [dict(params)]}), NETWORK)
    assert status in (200, 400)
    json.dumps(other, allow_nan=False)


@given(frame=st.binary(max_size=60) | st.text(max_size=60))
@settings(deadline=None, max_examples=300)
def test_whatever_comes_in_something_goes_out(frame: str | bytes) -> None:
    assert isinstance(answer(frame, NETWORK, CLIENT), dict)
    assert isinstance(answer_http(frame, NETWORK), tuple)
