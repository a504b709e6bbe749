"""How the server writes entries, headers, transactions and times; the expectations are a real server's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from xrpl.core.binarycodec import decode

from neo_engine.simulator.model import keys
from neo_engine.simulator.server import formats
from neo_engine.simulator.server.signing import blob_hash
from tests.unit.server_fixture import DATA, RECORDED, SmallNetwork, recorded_network, walk

SUBMITS = [
    json.loads(line) for line in (DATA / "model_submits.jsonl").read_text(encoding="utf-8").splitlines()
]
LEDGER_PREFIX = b"LWR\0"  # rippled HashPrefix.h, ledgerMaster


@pytest.fixture(scope="module")
def network() -> SmallNetwork:
    return recorded_network()


@pytest.mark.parametrize("index", [11, 12])
def test_a_headers_binary_form_has_the_hash_the_server_gave_the_ledger(
    network: SmallNetwork, index: int
) -> None:
    stored = network.history.ledger(index)
    assert stored is not None
    raw = bytes.fromhex(formats.header_binary(stored.header))
    assert keys.half(LEDGER_PREFIX + raw).hex().upper() == stored.header.ledger_hash


@pytest.mark.parametrize("told", SUBMITS, ids=lambda told: told["hash"][:8])
def test_a_transactions_binary_form_has_the_hash_the_server_gave_it(told: dict[str, Any]) -> None:
    for version in (1, 2):
        assert blob_hash(formats.tx_blob(formats.tx_json(told["tx_json"], version))) == told["hash"]


def test_a_payments_amount_is_told_under_both_names_by_version_1_and_under_the_new_one_by_version_2() -> None:
    sent = {"TransactionType": "Payment", "Amount": "5", "hash": "00"}
    for given in (sent, {"TransactionType": "Payment", "DeliverMax": "5"}):
        assert formats.tx_json(given, 1) == {"TransactionType": "Payment", "Amount": "5", "DeliverMax": "5"}
        assert formats.tx_json(given, 2) == {"TransactionType": "Payment", "DeliverMax": "5"}
        assert formats.tx_fields(given) == {"TransactionType": "Payment", "Amount": "5"}


def test_an_amount_of_another_type_keeps_its_name() -> None:
    sent = {"TransactionType": "AMMDeposit", "Amount": "5"}
    assert formats.tx_json(sent, 2) == sent


def same_counts(value: Any) -> Any:
    """Return a value with its 64-bit counts as numbers: the codec writes them with 16 digits."""
    if isinstance(value, list):
        return [same_counts(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        name: int(one, 16)
        if name == "ExchangeRate" or (name.endswith("Node") and isinstance(one, str))
        else same_counts(one)
        for name, one in value.items()
    }


def test_metadata_loses_nothing_in_its_binary_form_but_what_the_server_adds() -> None:
    recorded = [told["meta"] for told in SUBMITS if told.get("meta")]
    assert len(recorded) == 41
    for meta in recorded:
        wanted = {name: value for name, value in meta.items() if name != "delivered_amount"}
        assert same_counts(decode(formats.meta_blob(meta))) == same_counts(wanted)


def test_every_entry_has_a_binary_form_that_tells_the_same(network: SmallNetwork) -> None:
    for index, entry in network.chain.state.entries.items():
        again = decode(formats.entry_binary(entry))
        assert same_counts({**again, "index": index}) == same_counts(formats.entry_json(index, entry))


def test_times_are_written_as_the_recorded_headers_have_them() -> None:
    seen = 0
    for told in (one for line in RECORDED for one in walk(line["reply"])):
        if "close_time_human" in told:
            assert formats.human_time(told["close_time"]) == told["close_time_human"]
            assert formats.iso_time(told["close_time"]) == told["close_time_iso"]
            seen += 1
    assert seen >= 4


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ((10, 5, 0), "C000000A00050000"),
        ((0x0FFFFFFE, 0xFFFF, 21338), "CFFFFFFEFFFF535A"),
        ((0x0FFFFFFF, 0, 0), None),
        ((10, 0x10000, 0), None),
        ((10, 0, 0xFFFF), None),
    ],
)
def test_a_compact_id_tells_the_place_or_is_left_out_where_it_cannot(
    place: tuple[int, int, int], expected: str | None
) -> None:
    assert formats.ctid(*place) == expected
