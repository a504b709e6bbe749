"""The network: preliminary answers, what is held and queued, and what a close makes of it."""

from __future__ import annotations

import pytest
from xrpl.core.keypairs import derive_classic_address, derive_keypair

from neo_engine.simulator.model.genesis import GENESIS_ACCOUNT
from neo_engine.simulator.model.ledger import Chain
from neo_engine.simulator.server.errors import RpcError
from neo_engine.simulator.server.genesis import GENESIS_SEED, ISSUER_ACCOUNT, ISSUER_SEED
from neo_engine.simulator.server.network import Network
from neo_engine.simulator.server.queue import EXPECTED_MIN
from neo_engine.simulator.server.signing import encode, make_tx, sign
from tests.unit.network_fixture import (
    RECORDED,
    address_of,
    ask,
    fresh_network,
    recorded_network,
    replay,
    seed_of,
    send,
    sequence_of,
)

CANCEL = {"TransactionType": "OfferCancel", "OfferSequence": 1}


def fill(network: Network, count: int) -> None:
    """Put so many transactions of the first account into the open ledger, unsigned and dearly paid."""
    network.faucet({"destination": address_of("maker"), "xrp": "10000"})
    for _ in range(count - len(network.open_ledger.transactions)):
        sequence = sequence_of(network, "maker")
        fields = {"Account": address_of("maker"), "Fee": "9000000", "Sequence": sequence, **CANCEL}
        assert network.add_internal(make_tx(fields, f"{sequence:064X}")) == "tesSUCCESS"


def test_every_recorded_submit_gets_the_recorded_preliminary_result_and_hash() -> None:
    answers = replay(recorded_network())
    got = [(one["engine_result"], one["tx_json"]["hash"]) for one in answers]
    assert got == [(told["engine_result"], told["hash"]) for told in RECORDED]


def test_every_recorded_submit_ends_in_the_recorded_ledger_with_the_recorded_result() -> None:
    network = recorded_network()
    replay(network)
    network.close()
    network.close()
    for told in RECORDED:
        found = network.history.tx(told["hash"])
        assert (found and found.header.ledger_index) == told["ledger_index"], told["note"]
        if found is not None:
            assert found.item.result == told["meta"]["TransactionResult"], told["note"]


def test_an_answer_to_a_blob_has_the_fields_of_the_servers() -> None:
    network = fresh_network("maker")
    answer = send(network, "maker", **ask())
    # The keys and values of a real server's answer to a signed blob.
    assert {name: answer[name] for name in sorted(answer) if not name.startswith(("tx_", "engine"))} == {
        "accepted": True,
        "account_sequence_available": 4,
        "account_sequence_next": 4,
        "applied": True,
        "broadcast": True,
        "kept": True,
        "open_ledger_cost": "10",
        "queued": False,
        "validated_ledger_index": 3,
    }
    assert answer["engine_result_message"] == (
        "The transaction was applied. Only final in a validated ledger."
    )
    assert "hash" in answer["tx_json"]


def test_the_same_blob_again_is_past_its_sequence_but_accepted() -> None:
    network = fresh_network("maker")
    sequence = sequence_of(network, "maker")
    send(network, "maker", **ask(), Sequence=sequence)
    again = send(network, "maker", **ask(), Sequence=sequence)
    told = {name: again[name] for name in ("accepted", "applied", "broadcast", "engine_result", "kept")}
    assert told == {
        "accepted": True,
        "applied": False,
        "broadcast": False,
        "engine_result": "tefPAST_SEQ",
        "kept": True,
    }


def test_a_sequence_ahead_is_held_and_follows_the_missing_one_at_once() -> None:
    network = fresh_network("maker")
    sequence = sequence_of(network, "maker")
    ahead = send(network, "maker", **ask(), Sequence=sequence + 1)
    assert ahead["engine_result"] == "terPRE_SEQ"
    assert len(network.held) == 1
    missing = send(network, "maker", **ask(), Sequence=sequence)
    assert missing["account_sequence_next"] == sequence + 2
    assert len(network.held) == 0
    assert len(network.close().transactions) == 2


def test_a_held_transaction_is_tried_in_each_ledger_and_given_up_after_its_last() -> None:
    network = fresh_network("maker")
    ahead = sequence_of(network, "maker") + 1
    last = network.open_ledger.index + 1
    send(network, "maker", **ask(), Sequence=ahead, LastLedgerSequence=last)
    network.close()
    assert len(network.held) == 1
    network.close()
    assert len(network.held) == 0


def test_a_held_transaction_goes_in_when_another_way_fills_the_gap() -> None:
    network = fresh_network("maker")
    sequence = sequence_of(network, "maker")
    late = send(network, "maker", **ask(), Sequence=sequence + 2, LastLedgerSequence=100)
    send(network, "maker", TransactionType="TicketCreate", TicketCount=1, Sequence=sequence)
    network.close()
    network.close()
    assert network.history.tx(late["tx_json"]["hash"]) is not None


def test_fail_hard_keeps_a_tec_out_of_the_ledger_and_holds_nothing() -> None:
    network = fresh_network("maker")
    sell_what_is_not_there = {
        "TransactionType": "OfferCreate",
        "TakerGets": ask()["TakerPays"],
        "TakerPays": "1000000",
    }
    hard = send(network, "maker", fail_hard=True, **sell_what_is_not_there)
    assert hard["engine_result"] == "tecUNFUNDED_OFFER"
    assert (hard["applied"], hard["kept"], hard["broadcast"], hard["accepted"]) == (False,) * 4
    ahead = sequence_of(network, "maker") + 1
    assert send(network, "maker", fail_hard=True, **ask(), Sequence=ahead)["kept"] is False
    assert len(network.held) == 0
    assert send(network, "maker", **sell_what_is_not_there)["applied"] is True


def test_a_changed_signature_is_refused_before_anything_else() -> None:
    network = fresh_network("maker")
    fields = {"Account": address_of("maker"), "Fee": "10", "Sequence": sequence_of(network, "maker"), **ask()}
    signed = sign(fields, seed_of("maker"))
    signed["Fee"] = "11"
    with pytest.raises(RpcError) as refused:
        network.submit(signed, encode(signed), fail_hard=False)
    assert refused.value.token == "invalidTransaction"
    assert refused.value.fields == {"error_exception": "fails local checks: Invalid signature."}


def test_a_key_of_somebody_else_has_no_authority() -> None:
    network = fresh_network("maker", "taker")
    assert send(network, "maker", key="taker", **ask())["engine_result"] == "tefBAD_AUTH"
    past = send(network, "maker", key="taker", **ask(), Sequence=1)
    assert past["engine_result"] == "tefPAST_SEQ"  # the sequence is looked at first


def test_a_malformed_transaction_is_known_when_it_comes_again() -> None:
    network = fresh_network("maker")
    both_xrp = {"TransactionType": "OfferCreate", "TakerGets": "1", "TakerPays": "2"}
    assert send(network, "maker", **both_xrp)["engine_result"] == "temBAD_OFFER"
    assert send(network, "maker", **both_xrp)["engine_result"] == "temBAD_SIGNATURE"


def test_a_final_result_that_differs_from_the_preliminary_one_is_remembered() -> None:
    network = fresh_network("maker", "taker")
    # The maker pays more than he has before the taker's money comes: in the closed ledger he waits for it.
    payment = {"TransactionType": "Payment", "Amount": "1500000000", "Destination": address_of("taker")}
    early = send(network, "maker", **payment)
    assert early["engine_result"] == "tecUNFUNDED_PAYMENT"
    back = {**payment, "Amount": "900000000", "Destination": address_of("maker")}
    assert send(network, "taker", **back)["engine_result"] == "tesSUCCESS"
    network.close()
    (told,) = network.differences
    assert told.tx_hash == early["tx_json"]["hash"]
    assert (told.preliminary, told.final) == ("tecUNFUNDED_PAYMENT", "tesSUCCESS")


def test_simulate_changes_nothing_and_fills_in_fee_and_sequence() -> None:
    network = fresh_network("maker")
    before = network.open_ledger.account(address_of("maker"))
    told = network.simulate({"Account": address_of("maker"), **ask()})
    assert told["engine_result_message"] == "The simulated transaction would have been applied."
    assert (told["applied"], told["tx_json"]["Fee"], told["tx_json"]["Sequence"]) == (False, "10", 3)
    assert told["meta"]["TransactionResult"] == "tesSUCCESS"
    assert network.open_ledger.account(address_of("maker")) == before
    assert network.open_ledger.transactions == []


def test_the_published_seeds_are_those_of_the_first_ledgers_accounts() -> None:
    for seed, address in ((GENESIS_SEED, GENESIS_ACCOUNT), (ISSUER_SEED, ISSUER_ACCOUNT)):
        assert derive_classic_address(derive_keypair(seed)[0]) == address
        assert fresh_network().open_ledger.account(address)[0] > 0


def test_the_same_requests_make_the_same_ledger_hashes() -> None:
    def run() -> str:
        network = fresh_network("maker")
        for value in ("3", "4"):
            send(network, "maker", **ask(rlusd=value))
            network.close()
        return network.chain.header.ledger_hash

    assert run() == run()


class BreakingChain(Chain):
    """A chain that fails in the middle of a close, as a model with a fault would."""

    broken = False

    def close(self, txs, close_time):  # type: ignore[no-untyped-def]
        closed = super().close(txs, close_time)
        if self.broken:
            self.broken = False
            self.header = self.before
            raise ZeroDivisionError("a fault of the model")
        self.before = self.header
        return closed


def test_a_close_that_fails_loses_its_transactions_and_not_the_chain() -> None:
    network = fresh_network("maker")
    chain = BreakingChain(network.chain.state, network.chain.header)
    chain.before = chain.header
    network.chain = chain
    send(network, "maker", **ask())
    chain.broken = True
    closed = network.close()
    assert closed.transactions == ()
    assert sequence_of(network, "maker") == 3
    assert send(network, "maker", **ask())["engine_result"] == "tesSUCCESS"
    assert len(network.close().transactions) == 1


def test_without_escalation_the_reports_tell_what_a_lone_server_tells() -> None:
    network = fresh_network()
    report = network.fee_report()
    assert (report["expected_ledger_size"], report["max_queue_size"]) == ("1000", "20000")
    assert report["drops"] == {
        "base_fee": "10",
        "median_fee": "5000",
        "minimum_fee": "10",
        "open_ledger_fee": "10",
    }
    info = network.server_info()["info"]
    assert (info["load_factor"], info["complete_ledgers"], info["server_state"]) == (1, "2-3", "full")
    assert info["validated_ledger"]["reserve_inc_xrp"] == 0.2


def test_beyond_the_soft_limit_the_fee_rises_with_the_square_and_the_cheap_are_queued() -> None:
    network = fresh_network("maker", "taker", escalation=True)
    fill(network, EXPECTED_MIN + 8)
    # 128000 * 40 * 40 / 32 / 32 = 200000 levels; 200000 * 10 / 256 = 7812.5 drops.
    report = network.fee_report()
    assert report["levels"]["open_ledger_level"] == "200000"
    assert report["drops"]["open_ledger_fee"] == "7813"
    assert network.server_info()["info"]["load_factor"] == 781.25
    cheap = send(network, "taker", **ask())
    assert (cheap["engine_result"], cheap["queued"], cheap["applied"]) == ("terQUEUED", True, False)
    assert (cheap["account_sequence_next"], cheap["account_sequence_available"]) == (3, 4)
    assert [one["seq"] for one in network.queue_of(address_of("taker"))] == [3]
    network.close()
    assert [item.tx.hash for item in network.open_ledger.transactions] == [cheap["tx_json"]["hash"]]


def test_an_account_queues_ten_and_no_more() -> None:
    network = fresh_network("maker", "taker", escalation=True)
    fill(network, EXPECTED_MIN + 8)
    results = [send(network, "taker", **CANCEL, Sequence=3 + one)["engine_result"] for one in range(12)]
    assert results == ["terQUEUED"] * 10 + ["telCAN_NOT_QUEUE_FULL"] * 2


def test_every_queued_ask_counts_with_all_its_xrp() -> None:
    network = fresh_network("maker", "taker", escalation=True, xrp="41")
    fill(network, 400)
    # 41 XRP are 40 above the reserve. The ask could spend those, and its fee takes 0.7: 0.3 are left.
    order = {**ask(40_000_000), "Fee": "700000"}
    assert send(network, "taker", **order, Sequence=3)["engine_result"] == "terQUEUED"
    assert network.queue_of(address_of("taker"))[0]["max_spend_drops"] == "40700000"
    after = send(network, "taker", **{**CANCEL, "Fee": "700000"}, Sequence=4)
    assert after["engine_result"] == "terINSUF_FEE_B"


def test_fees_of_the_queue_stay_below_the_reserve() -> None:
    network = fresh_network("maker", "taker", escalation=True, xrp="41")
    fill(network, 400)
    dear = {**CANCEL, "Fee": "700000"}
    results = [send(network, "taker", **dear, Sequence=3 + one)["engine_result"] for one in range(3)]
    # Two of them promise 1.4 XRP of fees, more than the reserve of 1 that nothing else can touch.
    assert results == ["terQUEUED", "terQUEUED", "telCAN_NOT_QUEUE_BALANCE"]


def test_a_queued_transaction_is_replaced_for_a_quarter_more() -> None:
    network = fresh_network("maker", "taker", escalation=True)
    fill(network, EXPECTED_MIN + 8)
    send(network, "taker", **{**CANCEL, "Fee": "100"}, Sequence=3)
    little = send(network, "taker", **{**CANCEL, "Fee": "125"}, Sequence=3)
    enough = send(network, "taker", **{**CANCEL, "Fee": "126"}, Sequence=3)
    assert little["engine_result"] == "telCAN_NOT_QUEUE_FEE"
    assert enough["engine_result"] == "terQUEUED"
    assert [one["fee"] for one in network.queue_of(address_of("taker"))] == ["126"]


def test_what_cannot_wait_is_not_queued() -> None:
    network = fresh_network("maker", "taker", escalation=True)
    fill(network, EXPECTED_MIN + 8)
    soon = network.open_ledger.index + 1
    short = send(network, "taker", **CANCEL, LastLedgerSequence=soon)
    hard = send(network, "taker", fail_hard=True, **CANCEL)
    gap = send(network, "taker", **CANCEL, Sequence=5)
    assert [one["engine_result"] for one in (short, hard, gap)] == [
        "telCAN_NOT_QUEUE",
        "telCAN_NOT_QUEUE",
        "terPRE_SEQ",
    ]
