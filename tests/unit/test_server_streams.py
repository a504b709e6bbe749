"""What subscribers get, in which form and how often; slow clients, and clients who ask for too much."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from neo_engine.domain.request_cost import HEAVY, MEDIUM, REFERENCE, cost_of
from neo_engine.simulator.server.client import Client
from neo_engine.simulator.server.genesis import ISSUER_ACCOUNT, RLUSD
from neo_engine.simulator.server.load import Load
from neo_engine.simulator.server.network import Network
from neo_engine.simulator.server.queue import EXPECTED_MIN
from neo_engine.simulator.server.signing import make_tx
from tests.unit.network_fixture import (
    DATA,
    RecordedOrder,
    address_of,
    ask,
    fresh_network,
    messages_of,
    recorded_network,
    replay,
    send,
    sequence_of,
)

Json = dict[str, Any]

STREAMED: list[Json] = [
    json.loads(line) for line in (DATA / "server_streams.jsonl").read_text(encoding="utf-8").splitlines()
]
RECORDED_MAKER = "rJReafc8qUYmCXCPT2uSMyHLaVawLMk84B"
RECORDED_ISSUER = "rnoVoABTJKx8s8itTCruCBroNHywK4RM3L"
FIRST_STREAMED, LAST_STREAMED = 8, 11
OWN = {"ledger_hash"}  # the model's hashes are no server's


def book(issuer: str, **options: Any) -> Json:
    """Return the book that sells XRP for an issuer's token."""
    pays = {"currency": RLUSD, "issuer": issuer}
    return {"taker_gets": {"currency": "XRP"}, "taker_pays": pays, **options}


def listener(network: Network, **params: Any) -> Client:
    """Return a client with these subscriptions."""
    client = Client("10.0.0.1")
    network.subscribe(client, params)
    return client


@pytest.fixture(scope="module")
def replayed() -> list[Json]:
    """Everything a client with the recorded subscriptions gets of the recorded ledgers."""
    network = recorded_network(RecordedOrder)
    replay(network, end=FIRST_STREAMED)
    while network.open_ledger.index < FIRST_STREAMED:
        network.close()
    client = listener(
        network,
        api_version=2,
        streams=["ledger", "transactions", "server", "book_changes"],
        accounts=[RECORDED_MAKER],
        books=[book(RECORDED_ISSUER, both=True)],
    )
    replay(network, first=FIRST_STREAMED)
    while network.open_ledger.index <= LAST_STREAMED:
        network.close()
    return messages_of(client)


def of_type(messages: list[Json], kind: str) -> list[Json]:
    """Return the messages of one type, without what each network has of its own."""
    return [
        {name: value for name, value in message.items() if name not in {*OWN, "meta"}}
        for message in messages
        if message["type"] == kind
    ]


@pytest.mark.parametrize("kind", ["ledgerClosed", "bookChanges"])
def test_ledgers_and_their_book_changes_are_told_as_recorded(replayed: list[Json], kind: str) -> None:
    assert of_type(replayed, kind) == of_type(STREAMED, kind)


def test_each_transaction_is_told_as_recorded(replayed: list[Json]) -> None:
    got = {message["hash"]: message for message in of_type(replayed, "transaction")}
    assert got == {message["hash"]: message for message in of_type(STREAMED, "transaction")}


def test_a_transaction_comes_as_often_as_recorded(replayed: list[Json]) -> None:
    def counted(messages: list[Json]) -> Counter[str]:
        return Counter(message["hash"] for message in messages if message["type"] == "transaction")

    assert counted(replayed) == counted(STREAMED)


def test_the_messages_have_the_recorded_keys_and_come_ledger_by_ledger(replayed: list[Json]) -> None:
    def shape(messages: list[Json]) -> list[tuple[int, str]]:
        told = [message for message in messages if message["type"] != "serverStatus"]
        return [(message["ledger_index"], message["type"]) for message in told]

    assert shape(replayed) == shape(STREAMED)
    recorded = {message["type"]: set(message) for message in STREAMED}
    for message in replayed:
        assert set(message) - {"meta"} == recorded[message["type"]]
        assert ("meta" in message) == (message["type"] == "transaction")


def test_version_1_has_transaction_with_its_hash_inside_and_both_amounts() -> None:
    network = fresh_network("maker", "taker")
    old = listener(network, streams=["transactions"])
    new = listener(network, streams=["transactions"], api_version=2)
    send(network, "maker", TransactionType="Payment", Amount="5", Destination=address_of("taker"))
    network.close()
    (first,), (second,) = messages_of(old), messages_of(new)
    assert first["transaction"].pop("hash") == second["hash"]
    assert first["transaction"].pop("Amount") == "5"
    assert first["transaction"] == second["tx_json"]
    assert set(second) - set(first) == {"hash", "tx_json"}
    assert first["meta"]["delivered_amount"] == "5"


def test_two_accounts_of_one_transaction_tell_it_once() -> None:
    network = fresh_network("maker", "taker")
    both = listener(network, accounts=[address_of("maker"), address_of("taker")])
    other = listener(network, accounts=[ISSUER_ACCOUNT])
    send(network, "maker", TransactionType="Payment", Amount="5", Destination=address_of("taker"))
    network.close()
    assert (len(both), len(other)) == (1, 0)


def test_a_book_tells_offers_of_its_side_only_unless_both_are_wanted() -> None:
    network = fresh_network("maker")
    reverse = {"taker_gets": book(ISSUER_ACCOUNT)["taker_pays"], "taker_pays": {"currency": "XRP"}}
    clients = [
        listener(network, books=[one])
        for one in (book(ISSUER_ACCOUNT), reverse, {**reverse, "both": True}, book(address_of("maker")))
    ]
    send(network, "maker", **ask())
    network.close()
    assert [len(client) for client in clients] == [1, 0, 1, 0]


def test_proposed_transactions_are_told_on_arrival_and_again_when_validated() -> None:
    network = fresh_network("maker")
    everything = listener(network, streams=["transactions_proposed"], api_version=2)
    account = listener(network, accounts_proposed=[address_of("maker")], api_version=2)
    plain = listener(network, accounts=[address_of("maker")])
    send(network, "maker", **ask())
    for client in (everything, account):
        (arrived,) = messages_of(client)
        assert (arrived["validated"], arrived["status"]) == (False, "proposed")
        assert arrived["ledger_current_index"] == network.open_ledger.index
        assert "meta" not in arrived
    assert len(plain) == 0
    network.close()
    for client in (everything, account):
        (final,) = messages_of(client)
        assert (final["validated"], final["status"], "meta" in final) == (True, "closed", True)


def test_owner_funds_are_what_the_sender_can_spend_after_the_whole_ledger() -> None:
    network = fresh_network("maker")
    client = listener(network, streams=["transactions"], api_version=2)
    send(network, "maker", **ask())
    send(network, "maker", **ask(rlusd="4"))
    network.close()
    # 1000 XRP less two fees, less the base reserve of 1 and two entries of 0.2.
    assert [one["tx_json"]["owner_funds"] for one in messages_of(client)] == ["998599980", "998599980"]


def test_unsubscribing_ends_exactly_what_it_names() -> None:
    network = fresh_network("maker")
    asked = {"streams": ["ledger", "transactions"], "accounts": [address_of("maker")]}
    client = listener(network, **asked)
    network.unsubscribe(client, {"streams": ["transactions"], "accounts": [address_of("maker")]})
    send(network, "maker", **ask())
    network.close()
    assert [message["type"] for message in messages_of(client)] == ["ledgerClosed"]
    network.streams.forget(client)
    network.close()
    assert len(client) == 0


def test_subscribing_to_ledger_and_server_tells_where_they_stand() -> None:
    network = fresh_network()
    told = network.subscribe(Client("10.0.0.1"), {"streams": ["ledger", "server"]})
    assert told["ledger_index"] == 3
    assert (told["fee_base"], told["reserve_base"], told["reserve_inc"]) == (10, 1_000_000, 200_000)
    assert (told["validated_ledgers"], told["server_status"], told["load_base"]) == ("2-3", "full", 256)


def test_the_server_stream_tells_when_the_fee_asked_for_changes() -> None:
    network = fresh_network("maker", "taker", escalation=True)
    client = listener(network, streams=["server"])
    for _ in range(EXPECTED_MIN + 1):
        sequence = sequence_of(network, "maker")
        fields = {"Account": address_of("maker"), "Fee": "1000000", "Sequence": sequence, **ask()}
        network.add_internal(make_tx(fields, f"{sequence:064X}"))
    assert send(network, "taker", **ask())["engine_result"] == "terQUEUED"
    network.close()
    busy, quiet = messages_of(client)
    assert busy["load_factor_fee_escalation"] > 256
    assert quiet == {
        "type": "serverStatus",
        "server_status": "full",
        "base_fee": 10,
        "load_base": 256,
        "load_factor": 256,
        "load_factor_fee_escalation": 256,
        "load_factor_fee_queue": 256,
        "load_factor_fee_reference": 256,
        "load_factor_server": 256,
    }
    assert set(quiet) == {name for one in STREAMED if one["type"] == "serverStatus" for name in one}


def test_a_client_that_does_not_read_is_cut_and_gets_nothing_more() -> None:
    client = Client("10.0.0.1", queue_limit=3)
    client.writing = True  # the socket is still busy with what it took before
    for number in range(5):
        client.send(b"%d" % number)
    assert client.closing == (1008, "Policy error: client is too slow.")
    assert client.take() == []


def test_one_ledgers_burst_does_not_cut_a_client_that_reads() -> None:
    client = Client("10.0.0.1", queue_limit=3)
    for number in range(50):
        client.send(b"%d" % number)
    assert client.closing is None
    assert len(client.take()) == 50


def test_overload_warns_at_reply_400_and_drops_after_1990_as_recorded() -> None:
    load = Load()
    warned = []
    for number in range(1, 3000):
        if load.drop("10.0.0.1", 100):
            break
        load.charge("10.0.0.1", MEDIUM, 100)
        if load.warn("10.0.0.1", 100):
            warned.append(number)
    assert (warned, number - 1) == ([400], 1990)
    assert not load.drop("10.0.0.2", 100)


def test_load_decays_so_that_twelve_medium_requests_a_second_are_borne_for_a_while() -> None:
    load = Load()
    for second in range(40):
        for _ in range(12):
            load.charge("10.0.0.1", MEDIUM, second)
        assert not load.drop("10.0.0.1", second)
    # Twelve a second settle at 12 * 400 * 32 / 32 = 4800 and some, under the warning at 5000.
    assert not load.warn("10.0.0.1", 40)
    assert load.warn("10.0.0.1", 40) is False


@pytest.mark.parametrize(
    ("request_", "cost"),
    [
        ({"command": "ping"}, REFERENCE),
        ({"command": "book_offers"}, MEDIUM),
        ({"command": "submit", "tx_blob": "00"}, MEDIUM),
        ({"command": "submit", "secret": "s"}, HEAVY),
        ({"command": "subscribe", "streams": ["ledger"]}, REFERENCE),
        ({"command": "subscribe", "books": [{"snapshot": True}]}, MEDIUM),
    ],
)
def test_a_request_costs_what_its_work_is(request_: Json, cost: int) -> None:
    assert cost_of(request_) == cost
