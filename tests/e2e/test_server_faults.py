"""Each fault once, and what a client sees of it: one server process, ledgers closed by the tests."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError

from neo_engine.simulator.server.genesis import ISSUER_ACCOUNT, ISSUER_SEED
from tests.e2e.helpers import engine
from tests.e2e.server_process import Json, Running, Wire, holder, server, token

ACCOUNT, SEED = "rHS5VBeJ8XZVAJyhiagPTayLnGvnXofWRR", "saEKZabaq3sPqvshPm73uvaNZ2xVZ"
OTHER = "rLTLL9hjfDvRHqborTxcZK4VFW9MGLCw7U"
STRANGE_FRAMES = {"cut", "nan", "absurd", "type"}


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with server("--close-every", "manual", "--admin") as one:
        with Wire(one.ws) as wire:
            holder(one, wire, ACCOUNT, SEED, "1000")
        yield one


@pytest.fixture
def wire(running: Running) -> Iterator[Wire]:
    with Wire(running.ws) as one:
        yield one
    with Wire(running.ws) as after:
        after.result("fault", name="clear")
        assert after.result("ping") == {"role": "admin", "unlimited": True}


def close(wire: Wire) -> int:
    """Close a ledger (if it closes) and return the index of the open one."""
    return int(wire.result("ledger_accept")["ledger_current_index"])


def of_type(messages: list[Json], name: str) -> list[Json]:
    return [message for message in messages if message["type"] == name]


def offer(**fields: Any) -> Json:
    usual = {
        "TransactionType": "OfferCreate",
        "Account": ACCOUNT,
        "TakerGets": "1000000",
        "TakerPays": token("9"),
    }
    return {**usual, **fields}


# replies


def test_latency_delays_a_reply_and_not_those_after_it(wire: Wire) -> None:
    wire.result("fault", name="latency", parameters={"seconds": 0.4, "command": "fee"})
    began = time.monotonic()
    late = wire.tell("fee")
    assert wire.result("ping")
    assert time.monotonic() - began < 0.3
    assert json.loads(wire.socket.recv(timeout=5))["id"] == late
    assert time.monotonic() - began >= 0.4


def test_a_dropped_socket_ends_without_a_close_frame(wire: Wire) -> None:
    wire.result("fault", name="drop")
    with pytest.raises(ConnectionClosedError) as caught:
        wire.ask("ping")
    assert caught.value.rcvd is None


def test_a_close_by_policy_says_threshold_exceeded(wire: Wire) -> None:
    wire.result("fault", name="close_1008")
    with pytest.raises(ConnectionClosedError) as caught:
        wire.ask("ping")
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1008, "threshold exceeded")


def test_a_load_warning_stands_in_good_replies_for_as_long_as_asked(wire: Wire) -> None:
    wire.result("fault", name="load_warning", **{"for": "2 requests"})
    assert [wire.ask("ping").get("warning") for _ in range(3)] == ["load", "load", None]


def test_slow_down_refuses_a_request_with_its_error(wire: Wire) -> None:
    wire.result("fault", name="slow_down")
    reply = wire.ask("ping")
    assert (reply["status"], reply["error"], reply["error_code"]) == ("error", "slowDown", 10)
    assert reply["error_message"] == "You are placing too much load on the server."
    assert wire.result("ping")


def test_a_lost_reply_leaves_a_transaction_that_landed(wire: Wire) -> None:
    sequence = wire.result("account_info", account=ACCOUNT)["account_data"]["Sequence"]
    wire.result("fault", name="lost_reply")
    wire.tell("submit", secret=SEED, tx_json=offer())
    assert wire.next_frame() is None
    close(wire)
    history = wire.result("account_tx", account=ACCOUNT, limit=1)["transactions"][0]
    assert (history["tx_json"]["Sequence"], history["meta"]["TransactionResult"]) == (sequence, "tesSUCCESS")


def test_a_false_reply_promises_a_transaction_that_never_lands(wire: Wire) -> None:
    before = wire.result("account_info", account=ACCOUNT)["account_data"]["Sequence"]
    wire.result("fault", name="false_reply")
    told = wire.sign_and_submit(SEED, **offer())
    assert told["engine_result"] == "tesSUCCESS"
    close(wire)
    assert wire.ask("tx", transaction=told["hash"])["error"] == "txnNotFound"
    assert wire.result("account_info", account=ACCOUNT)["account_data"]["Sequence"] == before


@pytest.mark.parametrize("how", sorted(STRANGE_FRAMES))
def test_a_malformed_reply_is_no_good_json_or_holds_a_value_that_cannot_be(wire: Wire, how: str) -> None:
    good = wire.result("fee")
    wire.result("fault", name="malformed_reply", parameters={"how": how})
    wire.tell("fee")
    frame = str(wire.socket.recv(timeout=5))
    if how == "cut":
        with pytest.raises(json.JSONDecodeError):
            json.loads(frame)
        return
    bent = json.loads(frame)["result"]
    assert bent != good
    assert how != "nan" or "NaN" in frame
    assert wire.result("fee") == good


# streams and ledgers


def test_a_stall_closes_no_ledger_and_answers_requests(wire: Wire) -> None:
    wire.result("fault", name="stall", **{"for": "2 ledgers"})
    open_ledger = wire.result("ledger_current")["ledger_current_index"]
    assert [close(wire) for _ in range(3)] == [open_ledger, open_ledger, open_ledger + 1]


def test_a_gap_leaves_out_the_stream_messages_of_its_ledgers(wire: Wire) -> None:
    wire.result("subscribe", streams=["ledger"])
    first = wire.result("ledger_current")["ledger_current_index"]
    wire.result("fault", name="gap", **{"for": "2 ledgers"})
    for _ in range(4):
        close(wire)
    assert [one["ledger_index"] for one in wire.messages()] == [first + 2, first + 3]


def test_duplicated_messages_come_twice(wire: Wire) -> None:
    wire.result("subscribe", streams=["ledger", "transactions"])
    wire.result("fault", name="duplicate")
    told = wire.sign_and_submit(SEED, **offer())
    close(wire)
    close(wire)
    messages = wire.messages()
    assert [one["hash"] for one in of_type(messages, "transaction")] == [told["hash"]] * 2
    closed = [one["ledger_index"] for one in of_type(messages, "ledgerClosed")]
    assert closed == [closed[0], closed[0], closed[0] + 1]


def test_reordered_messages_are_the_same_ones_in_another_order(wire: Wire) -> None:
    wire.result("subscribe", streams=["ledger", "transactions"])
    wire.result("fault", name="reorder")
    hashes = [wire.sign_and_submit(SEED, **offer())["hash"] for _ in range(3)]
    close(wire)
    keys = [str(one.get("hash", one["type"])) for one in wire.messages()]
    assert sorted(keys) == sorted(["ledgerClosed", *hashes])
    assert keys != ["ledgerClosed", *hashes]  # as it comes without the fault


def test_a_malformed_message_cannot_be_read(wire: Wire) -> None:
    wire.result("subscribe", streams=["ledger"])
    wire.result("fault", name="malformed_stream", parameters={"how": "cut"})
    close(wire)
    (frame,) = wire.streamed or [wire.next_frame()]
    assert frame is not None
    with pytest.raises(json.JSONDecodeError):
        json.loads(frame)


# views


def test_a_stale_node_answers_with_a_ledger_that_stands_still_and_catches_up_later(wire: Wire) -> None:
    wire.result("subscribe", streams=["ledger"])
    last = wire.result("ledger_closed")["ledger_index"]
    wire.result("fault", name="stale", **{"for": "3 ledgers"})
    told = wire.sign_and_submit(SEED, **offer())
    for _ in range(2):
        close(wire)
        assert wire.result("ledger_closed")["ledger_index"] == last
        assert wire.result("server_info")["info"]["validated_ledger"]["seq"] == last
    assert wire.ask("tx", transaction=told["hash"])["error"] == "txnNotFound"
    assert wire.messages() == []
    close(wire)
    assert [one["ledger_index"] for one in wire.messages()] == [last + 1, last + 2, last + 3]
    assert wire.result("tx", transaction=told["hash"])["validated"] is True


def test_two_nodes_of_one_network_disagree_by_some_ledgers(running: Running, wire: Wire) -> None:
    with Wire(f"{running.ws}/second") as second:
        second.result("subscribe", streams=["ledger"])
        wire.result("fault", name="lag", parameters={"ledgers": 3, "path": "/second"})
        for _ in range(4):
            close(wire)
        here, there = (one.result("ledger_closed")["ledger_index"] for one in (wire, second))
        assert here - there == 3
        assert [one["ledger_index"] for one in second.messages()] == [there]
        for name in ("account_info", "account_lines"):
            assert second.result(name, account=ACCOUNT, ledger_index="validated")["ledger_index"] == there


def test_an_amendment_blocked_server_says_so_and_takes_no_transaction(wire: Wire) -> None:
    wire.result("fault", name="amendment_blocked", **{"for": "1 ledger"})
    reply = wire.ask("server_info")
    assert reply["result"]["info"]["amendment_blocked"] is True
    assert [one["id"] for one in reply["warnings"]] == [1002]
    refused = wire.ask("submit", secret=SEED, tx_json=offer())
    assert (refused["error"], refused["error_code"]) == ("amendmentBlocked", 14)
    close(wire)
    assert "warnings" not in wire.ask("server_info")


# deeds


def line(wire: Wire) -> Json:
    (found,) = wire.result("account_lines", account=ACCOUNT, ledger_index="validated")["lines"]
    return dict(found)


def test_a_frozen_line_makes_offers_of_its_token_unfunded_until_it_is_thawed(wire: Wire) -> None:
    wire.result("fault", name="freeze", parameters={"account": ACCOUNT})
    close(wire)
    assert line(wire)["freeze_peer"] is True
    selling = offer(TakerGets=token("5"), TakerPays="5000000")
    assert wire.sign_and_submit(SEED, **selling)["engine_result"] == "tecUNFUNDED_OFFER"
    wire.result("fault", name="unfreeze", parameters={"account": ACCOUNT})
    close(wire)
    assert "freeze_peer" not in line(wire)


def test_a_clawback_takes_tokens_by_a_transaction_of_the_issuer(wire: Wire) -> None:
    wire.result("subscribe", accounts=[ACCOUNT])
    before = float(line(wire)["balance"])
    told = wire.result("fault", name="clawback", parameters={"account": ACCOUNT, "value": "5"})
    close(wire)
    assert float(line(wire)["balance"]) == before - 5
    (message,) = of_type(wire.messages(), "transaction")
    assert message["hash"] == told["hash"]
    assert message["tx_json"]["TransactionType"] == "Clawback"
    assert message["tx_json"]["Account"] == ISSUER_ACCOUNT


@pytest.mark.parametrize(
    ("parameters", "amount"),
    [
        ({"account": ACCOUNT, "value": "2500000"}, "2500000"),
        ({"account": ACCOUNT, "value": "7", "issuer": ISSUER_ACCOUNT}, token("7")),
    ],
    ids=["drops", "tokens"],
)
def test_a_deposit_from_outside_is_a_payment_in_the_stream(wire: Wire, parameters: Json, amount: Any) -> None:
    wire.result("subscribe", accounts=[ACCOUNT])
    wire.result("fault", name="deposit", parameters=parameters)
    close(wire)
    (message,) = of_type(wire.messages(), "transaction")
    assert message["tx_json"]["Destination"] == ACCOUNT
    assert message["meta"]["delivered_amount"] == amount


def test_other_reserves_come_with_a_setfee_and_show_in_the_next_ledger_message(wire: Wire) -> None:
    wire.result("subscribe", streams=["ledger", "transactions"])
    wire.result("fault", name="reserve", parameters={"base": 2_000_000, "increment": 400_000, "fee": 12})
    close(wire)
    closed, set_fee = wire.messages()
    assert (closed["reserve_base"], closed["reserve_inc"], closed["fee_base"]) == (2_000_000, 400_000, 12)
    assert set_fee["tx_json"]["TransactionType"] == "SetFee"
    assert set_fee["tx_json"]["Account"] == "rrrrrrrrrrrrrrrrrrrrrhoLvTp"
    ((kind, node),) = set_fee["meta"]["AffectedNodes"][0].items()
    assert (kind, node["LedgerEntryType"]) == ("ModifiedNode", "FeeSettings")
    assert node["PreviousFields"] == {
        "BaseFeeDrops": "10",
        "ReserveBaseDrops": "1000000",
        "ReserveIncrementDrops": "200000",
    }
    assert wire.result("fee")["drops"]["base_fee"] == "12"
    assert wire.result("server_state")["state"]["validated_ledger"]["reserve_inc"] == 400_000
    wire.result("fault", name="reserve", parameters={"base": 1_000_000, "increment": 200_000, "fee": 10})
    close(wire)


# asking for faults


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"name": "earthquake"}, "no fault named 'earthquake'"),
        ({"name": "latency", "parameters": {"minutes": 1}}, "unknown parameter 'minutes'"),
        ({"name": "clawback", "parameters": {"account": ACCOUNT}}, "fault.parameters.value: must be given"),
        ({"name": "freeze", "parameters": {"account": OTHER}}, "has no account"),
        ({"name": "gap", "for": "a while"}, "must be like `3 ledgers`"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_and_says_why(wire: Wire, params: Json, told: str) -> None:
    reply = wire.ask("fault", **params)
    assert reply["error"] == "invalidParams"
    assert told in reply["error_message"]


def test_a_schedule_file_shows_its_faults_without_being_asked(tmp_path: Path) -> None:
    schedule = tmp_path / "faults.yaml"
    schedule.write_text(
        "- {fault: slow_down, at_request: 2, for: 2 requests}\n"
        "- {fault: gap, every: 4 ledgers}\n"
        f"- {{fault: deposit, at_ledger: 5, parameters: {{account: {ISSUER_ACCOUNT}, value: '77'}}}}\n",
        encoding="utf-8",
    )
    with server("--close-every", "manual", "--faults", schedule) as one, Wire(one.ws) as wire:
        assert [wire.ask("ping").get("error") for _ in range(4)] == [None, "slowDown", "slowDown", None]
        wire.result("subscribe", streams=["ledger"], accounts=[ISSUER_ACCOUNT])
        for _ in range(4):
            close(wire)
        messages = wire.messages()
        assert [one["ledger_index"] for one in of_type(messages, "ledgerClosed")] == [3, 5, 6]
        (deposit,) = of_type(messages, "transaction")
        assert (deposit["ledger_index"], deposit["meta"]["delivered_amount"]) == (5, "77")


def test_a_bad_schedule_stops_the_server_before_it_listens(tmp_path: Path) -> None:
    schedule = tmp_path / "faults.yaml"
    schedule.write_text("- {fault: gap}\n", encoding="utf-8")
    told = engine("simulate", "--listen", "127.0.0.1:0", "--faults", schedule).error(2)
    assert "faults[0]: give one of at_ledger, at_request and every" in told


def test_the_issuer_s_key_is_public_so_that_tests_can_act_as_the_issuer(wire: Wire) -> None:
    paid = wire.sign_and_submit(
        ISSUER_SEED, TransactionType="Payment", Account=ISSUER_ACCOUNT, Destination=ACCOUNT, Amount=token("1")
    )
    assert paid["engine_result"] == "tesSUCCESS"
