"""What is sent and what the answers mean, against a network in process."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from xrpl.core.binarycodec import decode, encode

from neo_engine.domain.assets import Side
from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.orders import SubmitClass, TransactionKind
from neo_engine.execution.answers import Answer, Step, Told, classify
from neo_engine.execution.transactions import Place, ordered, transaction_of
from neo_engine.simulator.model.results import RESULTS
from neo_engine.simulator.server.queue import EXPECTED_MIN
from tests.unit.network_fixture import RECORDED, send
from tests.unit.submission_fixture import (
    BUSY,
    DOWN,
    FALSE_REPLY,
    LOST_REPLY,
    LOST_REQUEST,
    NAME,
    OFFSET,
    OK,
    TERMS,
    Desk,
    Says,
    ask_quote,
    cancel,
    crowd,
    place,
)

PLACE = Place(number=12, ticket=False, fee_drops=10, last_ledger=99)
A, R, U = SubmitClass.ACCEPTED, SubmitClass.REJECTED, SubmitClass.UNKNOWN


def told(code: str, **fields: Any) -> Answer:
    return Answer(told=Told.ANSWERED, result={"engine_result": code, **fields})


# the transactions


def test_an_ask_sells_exactly_its_drops_with_tf_sell() -> None:
    tx = transaction_of(place(1, drops=1_000_001, quote="2.345678901234567"), TERMS, PLACE)
    token = {
        "currency": TERMS.quote.currency,
        "issuer": TERMS.quote.issuer,
        "value": "2.345678901234567",
    }
    assert tx == {
        "TransactionType": "OfferCreate",
        "Account": TERMS.account,
        "Fee": "10",
        "Sequence": 12,
        "LastLedgerSequence": 99,
        "SourceTag": 77,
        "TakerGets": "1000001",
        "TakerPays": token,
        "Expiration": 999_999_999,
        "Flags": 0x00080000,
    }


def test_a_bid_buys_exactly_its_drops_without_tf_sell() -> None:
    tx = transaction_of(place(1, drops=7, quote="0.00001", side=Side.BUY), TERMS, PLACE)
    assert (tx["TakerPays"], tx["TakerGets"]["value"], tx.get("Flags")) == ("7", "0.00001", None)


@pytest.mark.parametrize("quote", ["1E-15", "9999999999999999", "1E+3", "0.1000000000000000"])
def test_amounts_reach_the_wire_digit_for_digit(quote: str) -> None:
    tx = transaction_of(place(1, quote=quote), TERMS, PLACE)
    assert Decimal(decode(encode(tx))["TakerPays"]["value"]) == Decimal(quote)


@pytest.mark.parametrize(("network_id", "given"), [(0, None), (1, None), (1024, None), (1025, 1025)])
def test_the_network_id_is_given_above_1024_only(network_id: int, given: int | None) -> None:
    terms = TERMS.__class__(
        account=TERMS.account, quote=TERMS.quote, source_tag=0, network_id=network_id, last_ledger_offset=4
    )
    assert transaction_of(cancel(1, 5), terms, PLACE).get("NetworkID") == given


def test_a_transaction_by_ticket_has_sequence_zero() -> None:
    by_ticket = Place(number=5, ticket=True, fee_drops=10, last_ledger=99)
    tx = transaction_of(cancel(1, 3), TERMS, by_ticket)
    assert (tx["Sequence"], tx["TicketSequence"], tx["OfferSequence"]) == (0, 5, 3)


def test_no_expiration_is_refused_since_a_dead_process_would_leave_live_quotes() -> None:
    # Of what others get wrong, number 12.
    with pytest.raises(InvariantViolation, match="offer_lifetime_seconds"):
        transaction_of(place(1, expiration=None), TERMS, PLACE)


# the order in which they are sent


def test_cancels_go_first_and_what_would_cross_our_own_offer_last() -> None:
    standing = {
        5: ask_quote(quote="3", drops=1_000_000),
        6: ask_quote(quote="2.9", drops=1_000_000, side=Side.BUY),
    }
    # The market jumped from 2.95 to 3.15: the new bid reaches our old ask, which must have moved before.
    bid = place(8, replaces=(2, 6), quote="3.1", side=Side.BUY)
    ask = place(9, replaces=(1, 5), quote="3.2")
    gone = cancel(3, 4)
    assert ordered([bid, ask, gone], standing) == (gone, ask, bid)


def test_a_fall_moves_the_bid_first() -> None:
    standing = {
        5: ask_quote(quote="3", drops=1_000_000),
        6: ask_quote(quote="2.9", drops=1_000_000, side=Side.BUY),
    }
    bid = place(8, replaces=(2, 6), quote="2.7", side=Side.BUY)
    ask = place(9, replaces=(1, 5), quote="2.8")
    assert ordered([ask, bid], standing) == (bid, ask)


def test_without_crossing_the_order_given_is_kept() -> None:
    commands = [place(8, quote="3.1"), place(9, quote="2.8", side=Side.BUY)]
    assert ordered(commands, {5: ask_quote(quote="3")}) == tuple(commands)


def test_on_the_ledger_the_crossing_replace_comes_last_and_no_offer_of_ours_is_lost() -> None:
    desk = Desk()
    limit = {"currency": TERMS.quote.currency, "issuer": TERMS.quote.issuer, "value": "1000"}
    send(desk.network, NAME, TransactionType="TrustSet", LimitAmount=limit)
    desk.network.close()
    desk.network.faucet({"destination": TERMS.account, "xrp": "0", "tokens": "100"})
    desk.ledger()
    desk.submitter.must_stop = None  # the trust line was set behind its back
    desk.go(place(1, quote="3"), place(2, quote="2.9", side=Side.BUY))
    desk.ledger()
    ask, bid = sorted(desk.offers())
    desk.go(place(3, replaces=(2, bid), quote="3.1", side=Side.BUY), place(4, replaces=(1, ask), quote="3.2"))
    desk.ledger()
    kinds = {"ask": 0, "bid": 0}
    for tx in desk.key.signed[-2:]:
        kinds["ask" if isinstance(tx["TakerGets"], str) else "bid"] = tx["Sequence"]
    assert set(desk.offers()) == {kinds["ask"], kinds["bid"]}
    assert kinds["ask"] < kinds["bid"]


# what an answer means


@pytest.mark.parametrize(
    ("answer", "outcome", "step"),
    [
        (told("tesSUCCESS"), A, Step.WAIT),
        (told("tecUNFUNDED_OFFER"), A, Step.WAIT),
        (told("tecKILLED"), A, Step.WAIT),
        (told("terQUEUED", accepted=True), A, Step.WAIT),
        (told("terPRE_SEQ", accepted=True), A, Step.FILL_GAP),
        (told("terPRE_SEQ", accepted=False), U, Step.SEND_AGAIN),
        (told("terQUEUED", accepted=False), U, Step.SEND_AGAIN),
        (told("terINSUF_FEE_B"), U, Step.SEND_AGAIN),
        (told("terRETRY"), U, Step.SEND_AGAIN),
        (told("tefPAST_SEQ", accepted=True), U, Step.LOOK_UP),
        (told("tefALREADY"), A, Step.LOOK_UP),
        (told("tefMAX_LEDGER"), U, Step.LOOK_UP),
        (told("tefNO_TICKET"), U, Step.LOOK_UP),
        (told("tefBAD_AUTH"), R, Step.STOP),
        (told("tefBAD_AUTH_MASTER"), R, Step.STOP),
        (told("tefMASTER_DISABLED"), R, Step.STOP),
        (told("tefFAILURE"), U, Step.SEND_AGAIN),
        (told("temBAD_OFFER"), R, Step.DROP),
        (told("temBAD_SEQUENCE"), R, Step.DROP),
        (told("telINSUF_FEE_P"), U, Step.RAISE_FEE),
        (told("telCAN_NOT_QUEUE"), U, Step.SEND_AGAIN),
        (told("telCAN_NOT_QUEUE_BALANCE"), U, Step.SEND_AGAIN),
        (told("telCAN_NOT_QUEUE_BLOCKED"), U, Step.SEND_AGAIN),
        (told("telCAN_NOT_QUEUE_FULL"), U, Step.SEND_AGAIN),
        (told("telCAN_NOT_QUEUE_FEE"), U, Step.RAISE_FEE),
        (told("telNETWORK_ID_MAKES_TX_NON_CANONICAL"), R, Step.STOP),
        (told("telREQUIRES_NETWORK_ID"), R, Step.STOP),
        (told("telWRONG_NETWORK"), R, Step.STOP),
        (told("telLOCAL_ERROR", accepted=False), U, Step.SEND_AGAIN),
        (told("somethingNew"), U, Step.LOOK_UP),
        (Answer(told=Told.ANSWERED), U, Step.LOOK_UP),
        (Answer(told=Told.LOST), U, Step.SEND_AGAIN),
        (Answer(told=Told.LOST, sent=False), U, Step.SEND_AGAIN),
        (Answer(told=Told.REFUSED, token="tooBusy"), U, Step.SEND_AGAIN),
        (Answer(told=Told.REFUSED, token="invalidTransaction"), R, Step.DROP),
    ],
    ids=lambda value: (
        value.result.get("engine_result", value.told.value) if isinstance(value, Answer) else ""
    ),
)
def test_each_result_class_has_its_consequence(answer: Answer, outcome: SubmitClass, step: Step) -> None:
    verdict = classify(answer)
    assert (verdict.outcome, verdict.step) == (outcome, step)


def test_what_a_real_server_refused_and_never_validated_is_all_that_is_called_rejected() -> None:
    for line in RECORDED:
        verdict = classify(told(line["engine_result"]))
        if line["meta"]:
            assert verdict.outcome is A, line["note"]
        else:
            assert verdict.outcome is not A, line["note"]


def test_every_code_of_the_server_has_a_row() -> None:
    unknown = classify(told("somethingNew"))
    for code in RESULTS:
        verdict = classify(told(code))
        assert verdict is not unknown or code.startswith("tef"), code
        if code.startswith("tem"):
            assert verdict.outcome is R, code


# what others get wrong, by their numbers in the list (1-4, 8, 10, 12, 13)


def test_1_a_submit_without_an_answer_is_sent_again_as_the_same_blob_and_never_signed_anew() -> None:
    desk = Desk()
    codes = desk.go(place(1), script=[LOST_REPLY])
    assert codes == ["tefPAST_SEQ"]  # its own first copy
    assert len(desk.key.signed) == 1
    assert len(desk.wire.sent()) == 2 and len(set(desk.wire.sent())) == 1
    desk.ledger()
    assert len(desk.offers()) == 1
    assert desk.submitter.pending == ()


def test_1_an_order_whose_every_answer_was_lost_stands_once_and_is_known() -> None:
    desk = Desk()
    assert desk.go(place(1), script=[LOST_REPLY, LOST_REPLY]) == ["noAnswer"]
    desk.ledger(seen=False)  # and the stream missed it too
    assert [(one.result, one.prepared.order_id) for one in desk.resolved] == [("tesSUCCESS", 1)]
    assert len(desk.offers()) == 1


def test_1_an_order_lost_on_the_way_there_goes_out_again_with_the_next_ledger() -> None:
    desk = Desk()
    desk.go(place(1), script=[LOST_REQUEST, LOST_REQUEST])
    desk.ledger()
    assert desk.offers() == {}
    desk.ledger()
    assert len(desk.offers()) == 1
    assert len(desk.key.signed) == 1


def test_1_an_order_is_given_up_only_on_proof_that_no_ledger_up_to_its_last_has_it() -> None:
    desk = Desk()
    desk.go(place(1), script=[DOWN] * 20)
    last = desk.index + OFFSET
    while desk.index < last:
        assert desk.ledger() == ()
    told_now = desk.ledger()
    assert [(one.prepared.order_id, one.result) for one in told_now] == [(1, None)]
    searches = [parameters for command, parameters in desk.wire.asked if command == "tx"]
    assert searches[-1]["max_ledger"] == last
    assert desk.numbers.in_flight == ()
    desk.wire.script.clear()
    assert desk.go(place(2)) == ["tesSUCCESS"]


def test_1_without_the_history_the_unused_sequence_is_the_proof() -> None:
    desk = Desk()
    one = desk.prepare(place(1))[0]
    desk.wire.script.extend([DOWN] * 20)
    desk.submitter.submit([one])
    desk.wire.forgetful = True
    for _ in range(OFFSET + 1):
        desk.ledger()
    assert "account_info" in [command for command, _ in desk.wire.asked]
    assert [word.result for word in desk.resolved] == [None]


def test_1_while_nothing_can_be_asked_nothing_is_given_up() -> None:
    desk = Desk()
    desk.wire.blind = True
    desk.go(place(1), script=[DOWN] * 20)
    for _ in range(OFFSET + 5):
        desk.ledger()
    assert (desk.resolved, len(desk.submitter.pending)) == ([], 1)
    desk.wire.blind = False
    desk.ledger()
    assert [one.result for one in desk.resolved] == [None]


def test_2_nothing_that_was_prepared_is_sent_before_it_is_handed_to_submit() -> None:
    desk = Desk()
    desk.prepare(place(1))
    desk.submitter.reconnected()
    desk.ledger()
    assert desk.wire.asked == []
    for _ in range(OFFSET):
        desk.ledger()
    assert desk.wire.asked == []
    assert [one.code for one in desk.resolved] == ["notSent"]
    assert desk.numbers.in_flight == ()


def test_2_a_hash_that_was_not_prepared_is_not_sent() -> None:
    other = Desk().prepare(place(1))
    with pytest.raises(InvariantViolation, match="not prepared"):
        Desk().submitter.submit(other)


def test_2_an_order_of_an_earlier_session_is_looked_up_and_not_sent_again() -> None:
    before, after = Desk(), Desk()
    order = before.prepare(place(1))[0]
    after.submitter.adopt(order, after.index)
    after.submitter.reconnected()
    for _ in range(OFFSET + 1):
        after.ledger()
    assert after.wire.sent() == []
    assert [one.prepared for one in after.resolved] == [order]
    assert after.go(place(2)) == ["tesSUCCESS"]


def test_3_the_server_is_never_asked_for_the_next_sequence() -> None:
    desk = Desk()
    for order_id in range(1, 7):
        desk.go(place(order_id, drops=order_id))
    desk.ledger()
    assert len(desk.offers()) == 6
    assert {command for command, _ in desk.wire.asked} == {"submit"}


def test_4_tem_bad_sequence_on_a_cancel_is_a_refusal_and_not_already_gone() -> None:
    desk = Desk(tickets=1)
    # By ticket, the cancel of an offer still to come: the server refuses what sequences would have ordered.
    codes = desk.go(cancel(1, desk.numbers.next + 3), urgent=True)
    assert codes == ["temBAD_SEQUENCE"]
    assert len(desk.numbers.tickets) == 1  # nothing was used
    assert desk.submitter.pending == ()


def test_8_the_base_fee_is_the_ledgers_and_no_constant() -> None:
    desk = Desk()
    desk.fees.ledger(fee_base_drops=17, close_time=0)
    assert desk.prepare(place(1))[0].fee_drops == 17


def test_10_fail_hard_is_never_set_so_that_a_transaction_can_be_queued() -> None:
    desk = Desk()
    desk.go(place(1), cancel(2, 1), script=[LOST_REPLY])
    desk.submitter.reconnected()
    desk.ledger()
    assert all(
        set(parameters) == {"tx_blob"} for command, parameters in desk.wire.asked if command == "submit"
    )


def test_12_a_requote_is_one_transaction_with_one_fee() -> None:
    desk = Desk()
    desk.go(place(1))
    desk.ledger()
    (sequence,) = desk.offers()
    made = desk.prepare(place(2, replaces=(1, sequence), drops=5))
    assert [(one.kind, one.fee_drops, one.replaces) for one in made] == [(TransactionKind.REPLACE, 10, 1)]
    desk.submitter.submit(made)
    desk.ledger()
    assert list(desk.offers().values()) == [5]


def test_12_a_replace_that_ends_in_a_tec_leaves_the_old_offer_alive() -> None:
    desk = Desk()
    desk.go(place(1))
    desk.ledger()
    (sequence,) = desk.offers()
    assert desk.go(place(2, replaces=(1, sequence), drops=5, expiration=1)) == ["tecEXPIRED"]
    desk.ledger()
    assert list(desk.offers()) == [sequence]
    assert desk.submitter.pending == ()


def test_13_the_smallest_amounts_are_sent_as_quoted_and_not_through_a_float() -> None:
    tx = transaction_of(place(1, drops=1, quote="0.000001234567890123456"), TERMS, PLACE)
    assert (tx["TakerGets"], tx["TakerPays"]["value"]) == ("1", "0.000001234567890123456")


# gaps, queues, tickets, fees


def test_an_order_refused_for_good_frees_its_number_for_the_next() -> None:
    desk = Desk()
    codes = desk.go(place(1, quote="0"), place(2))
    assert codes == ["temBAD_OFFER", "terPRE_SEQ"]
    assert desk.go(place(3, drops=7)) == ["tesSUCCESS"]  # in the gap: both come
    desk.ledger()
    assert sorted(desk.offers().values()) == [7, 1_000_000]


def test_a_gap_with_nothing_to_send_is_filled_by_a_transaction_without_effect() -> None:
    desk = Desk()
    desk.go(place(1, quote="0"), place(2))
    upkeep = desk.submitter.upkeep(desk.index, ticket_pool=0)
    assert [one.tickets for one in upkeep] == [0]
    desk.submitter.submit(upkeep)
    desk.ledger()
    assert list(desk.offers().values()) == [1_000_000]
    assert desk.submitter.pending == ()


def test_a_refusal_of_what_may_have_been_kept_before_does_not_free_its_number() -> None:
    desk = Desk()
    one = desk.prepare(place(1, quote="0"))[0]
    desk.wire.script.append(LOST_REPLY)
    (outcome,) = desk.submitter.submit([one])
    # The server remembers a bad blob by its hash and calls it badly signed the second time.
    assert (outcome.outcome, outcome.code) == (U, "temBAD_SIGNATURE")
    assert desk.numbers.in_flight == (one.account_sequence,)


def test_a_batch_is_on_the_wire_whole_before_its_first_answer_is_looked_at() -> None:
    desk = Desk()
    made = desk.prepare(*(place(n, drops=n) for n in range(1, 7)))
    answers = [one.code for one in desk.submitter.submit(made)]
    assert (desk.wire.batches, answers) == ([6], ["tesSUCCESS"] * 6)
    assert desk.wire.sent() == [one.tx_hash for one in made]
    numbers = [one.account_sequence for one in made]
    assert numbers == list(range(numbers[0], numbers[0] + 6))


def test_a_dead_connection_costs_a_batch_two_time_limits_and_all_follow_with_the_next_ledger() -> None:
    desk = Desk()
    codes = desk.go(*(place(n, drops=n) for n in range(1, 5)), script=[DOWN] * 8)
    assert codes == ["noAnswer"] * 4
    assert desk.wire.batches == [4, 4]
    desk.ledger()
    assert desk.wire.batches == [4, 4, 4]
    desk.ledger()
    assert sorted(desk.offers().values()) == [1, 2, 3, 4]


def test_what_was_lost_on_the_way_is_sent_again_at_once_behind_those_that_wait_for_it() -> None:
    desk = Desk()
    made = desk.prepare(*(place(n, drops=n) for n in range(1, 5)))
    desk.wire.script.append(LOST_REQUEST)
    codes = [one.code for one in desk.submitter.submit(made)]
    assert codes == ["tesSUCCESS", "terPRE_SEQ", "terPRE_SEQ", "terPRE_SEQ"]
    first, *others = [one.tx_hash for one in made]
    assert desk.wire.sent() == [first, *others, first]
    desk.ledger()
    assert sorted(desk.offers().values()) == [1, 2, 3, 4]
    assert (desk.submitter.pending, len(desk.key.signed)) == ((), 4)


def test_each_answer_of_a_batch_is_judged_by_itself() -> None:
    desk = Desk()
    made = desk.prepare(place(1), place(2, quote="0"), place(3, drops=3), place(4, drops=4))
    desk.wire.script.extend([LOST_REPLY, OK, BUSY, OK])
    outcomes = desk.submitter.submit(made)
    assert [(one.outcome, one.code) for one in outcomes] == [
        (U, "tefPAST_SEQ"),  # its own first copy
        (R, "temBAD_OFFER"),
        (U, "tooBusy"),
        (A, "terPRE_SEQ"),  # behind the free number
    ]
    desk.submitter.submit(desk.submitter.upkeep(desk.index, ticket_pool=0))
    desk.ledger()  # number 3 goes out again
    desk.ledger()
    assert sorted(desk.offers().values()) == [3, 4, 1_000_000]


def test_a_busy_server_is_asked_again_with_the_next_ledger() -> None:
    desk = Desk()
    assert desk.go(place(1), script=[BUSY]) == ["tooBusy"]
    desk.ledger()
    desk.ledger()
    assert len(desk.offers()) == 1


def test_a_server_that_forgot_what_it_accepted_gets_it_again() -> None:
    desk = Desk()
    assert desk.go(place(1, drops=1), place(2, drops=2), script=[FALSE_REPLY]) == ["tesSUCCESS", "terPRE_SEQ"]
    desk.ledger()
    desk.ledger()
    assert sorted(desk.offers().values()) == [1, 2]


def test_a_reconnect_sends_what_is_open_again() -> None:
    desk = Desk()
    desk.go(place(1), script=[FALSE_REPLY])
    desk.submitter.reconnected()
    desk.ledger()
    desk.ledger()
    assert len(desk.offers()) == 1


def test_a_stuck_quote_is_withdrawn_by_a_rival_for_its_number() -> None:
    desk = Desk()
    order = desk.prepare(place(1))[0]
    desk.wire.script.extend([LOST_REQUEST, LOST_REQUEST])
    desk.submitter.submit([order])
    rival = desk.prepare(cancel(1, order.account_sequence))[0]
    assert (rival.kind, rival.account_sequence, rival.fee_drops) == (
        TransactionKind.CANCEL,
        order.account_sequence,
        13,
    )
    desk.submitter.submit([rival])
    (word,) = desk.ledger()
    assert (word.prepared, word.result) == (order, None)  # its number is used: it can never come
    assert (desk.offers(), desk.submitter.pending) == ({}, ())


def test_a_second_withdrawal_outbids_the_first_and_is_another_transaction() -> None:
    desk = Desk()
    order = desk.prepare(place(1))[0]
    desk.wire.script.extend([LOST_REQUEST] * 6)
    desk.submitter.submit([order])
    fees = []
    for _ in range(2):
        rival = desk.prepare(cancel(1, order.account_sequence))
        desk.submitter.submit(rival)
        fees.append(rival[0].fee_drops)
    assert fees == [13, 17]  # 10 and 13 drops, a quarter more, the next whole drop above


def test_an_offer_already_in_the_open_ledger_is_cancelled_by_the_next_sequence() -> None:
    desk = Desk(tickets=1)
    order = desk.prepare(place(1))[0]
    desk.submitter.submit([order])
    taken = desk.prepare(cancel(1, order.account_sequence), urgent=True)[0]
    assert taken.account_sequence == order.account_sequence + 1
    desk.submitter.submit([taken])
    desk.ledger()
    assert desk.offers() == {}


def test_an_urgent_cancel_by_ticket_does_not_wait_for_a_stuck_sequence() -> None:
    desk = Desk(tickets=2)
    desk.go(place(1))
    desk.ledger()
    (sequence,) = desk.offers()
    desk.go(place(2), script=[LOST_REQUEST, LOST_REQUEST])  # stuck: everything behind it waits
    desk.wire.script.extend([LOST_REQUEST] * 2)
    assert desk.submitter.upkeep(desk.index, ticket_pool=5) == ()  # no tickets are made behind it either
    desk.wire.script.clear()
    assert desk.go(cancel(1, sequence), urgent=True) == ["tesSUCCESS"]
    desk.ledger()
    assert sequence not in desk.offers()
    assert len(desk.numbers.tickets) == 1


def test_the_ticket_pool_is_filled_when_it_runs_low() -> None:
    desk = Desk()
    upkeep = desk.submitter.upkeep(desk.index, ticket_pool=2)
    desk.submitter.submit(upkeep)
    assert desk.go(place(1)) == ["tesSUCCESS"]  # behind the tickets' own numbers
    desk.ledger()
    assert len(desk.numbers.tickets) == 2
    assert desk.submitter.upkeep(desk.index, ticket_pool=2) == ()
    assert desk.submitter.must_stop is None


def test_above_the_fee_cap_nothing_is_quoted_and_a_replace_becomes_a_cancel() -> None:
    desk = Desk(max_fee_drops=100)
    desk.go(place(1))
    desk.ledger()
    (sequence,) = desk.offers()
    desk.fees.told(101)
    made = desk.prepare(place(2), place(3, replaces=(1, sequence)))
    assert [(one.kind, one.order_id, one.fee_drops) for one in made] == [(TransactionKind.CANCEL, 1, 101)]
    desk.submitter.submit(made)
    desk.ledger()
    assert desk.offers() == {}


def test_the_open_ledgers_cost_is_learned_from_replies() -> None:
    desk = Desk()
    desk.submitter._ask = Says("telINSUF_FEE_P", open_ledger_cost="4321")
    desk.go(place(1))
    assert desk.prepare(place(2))[0].fee_drops == 4321


@pytest.mark.parametrize("cost", [None, 5000, "-1", "many", "²"])
def test_a_cost_that_is_no_number_of_drops_is_passed_over(cost: object) -> None:
    desk = Desk()
    desk.submitter._ask = Says("tesSUCCESS", open_ledger_cost=cost)
    desk.go(place(1))
    assert desk.prepare(place(2))[0].fee_drops == 10


def test_under_rising_fees_a_queued_order_comes_with_a_later_ledger() -> None:
    desk = Desk(escalation=True)
    crowd(desk.network, EXPECTED_MIN + 1)
    assert desk.go(place(1)) == ["terQUEUED"]
    desk.ledger()
    desk.ledger()
    assert len(desk.offers()) == 1


@pytest.mark.parametrize("code", ["tefBAD_AUTH", "telWRONG_NETWORK"])
def test_a_wrong_key_or_network_says_that_the_session_must_stop(code: str) -> None:
    desk = Desk()
    desk.submitter._ask = Says(code)
    desk.go(place(1))
    why = desk.submitter.must_stop or ""
    assert code in why and "check live." in why


def test_a_second_program_on_the_account_is_noticed() -> None:
    desk = Desk()
    send(desk.network, NAME, TransactionType="AccountSet")
    desk.ledger()
    assert "something else sends for it" in (desk.submitter.must_stop or "")


def test_a_lost_reply_costs_no_second_fee() -> None:
    desk = Desk()
    desk.go(place(1), script=[LOST_REPLY, LOST_REPLY])
    desk.ledger()
    assert desk.fees.burned_today == 10
