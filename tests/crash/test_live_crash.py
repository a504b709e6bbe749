"""The live engine through faults and kills: a few trials; and the tool's own reading of metadata."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from neo_engine.simulator.server.fault_schedule import KINDS, parse_schedule
from tools import live_trials
from tools.check_live import (
    Difference,
    Event,
    Sent,
    Trade,
    balances_at,
    check_fills,
    check_offers,
    check_once,
    check_transactions,
    event_of,
)

Json = dict[str, Any]
US, THEM, ISSUER = "rUs", "rThem", "rIssuer"
OFFER = "00" * 24 + "0123456789ABCDEF"
END_OF_OFFER = "0123456789ABCDEF"


# trials


@pytest.mark.parametrize("seed", [7, 29])
def test_a_live_engine_that_is_killed_amid_faults_loses_nothing(seed: int, tmp_path: Path) -> None:
    trial = live_trials.draw(seed, kills=1, ledgers=8)
    outcome = live_trials.one_trial(trial, tmp_path)
    assert outcome.outcome in live_trials.KEPT, outcome
    assert outcome.kills == 1
    assert outcome.counts["transactions"] > 0


def test_as_many_seeds_as_there_are_kinds_show_every_kind_of_fault() -> None:
    shown = [live_trials.draw(seed) for seed in range(1, 1 + len(KINDS))]
    assert {kind for trial in shown for kind in trial.kinds} == set(KINDS)
    assert {len(trial.kills) for trial in shown} == {0, 1, 2, 3}


def test_a_seed_always_draws_the_same_trial_and_one_that_the_server_takes() -> None:
    for seed in range(1, 60):
        trial = live_trials.draw(seed)
        assert trial == live_trials.draw(seed)
        assert len(parse_schedule(yaml.safe_dump(list(trial.faults)))) == len(trial.faults)
        assert 2 <= len(trial.faults) <= 5


def test_the_table_counts_a_trial_under_each_of_its_faults() -> None:
    def outcome(word: str, detail: str, *faults: str) -> live_trials.Outcome:
        return live_trials.Outcome(
            seed=1,
            market="calm",
            faults=faults,
            kills=0,
            reasons=(),
            halts=(),
            outcome=word,
            detail=detail,
            found=(),
            counts={},
            seconds=1.0,
        )

    told = live_trials.table(
        [
            outcome("ok", "", "gap", "drop"),
            outcome("halted", "risk_stale_ledger", "gap"),
            outcome("lost fill", "one", "drop"),
        ]
    ).splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in told}
    assert rows["gap"] == ["2", "1", "1", "0", "risk_stale_ledger", "1"]
    assert rows["drop"] == ["2", "1", "0", "1", "lost", "fill", "1"]
    assert rows["all"][:4] == ["3", "1", "1", "1"]


# reading metadata


def amount(value: str) -> Json:
    return {"currency": "RLUSD", "issuer": ISSUER, "value": value}


def offer_node(action: str, final: tuple[Any, Any], before: tuple[Any, Any] | None) -> Json:
    fields: Json = {"Account": US, "Sequence": 7, "TakerGets": final[0], "TakerPays": final[1]}
    node: Json = {"LedgerEntryType": "Offer", "LedgerIndex": OFFER, "FinalFields": fields}
    if before is not None:
        node["PreviousFields"] = {"TakerGets": before[0], "TakerPays": before[1]}
    return {action: node}


def root_node(balance: int, before: int) -> Json:
    return {
        "ModifiedNode": {
            "LedgerEntryType": "AccountRoot",
            "LedgerIndex": "A" * 64,
            "FinalFields": {"Account": US, "Balance": str(balance)},
            "PreviousFields": {"Balance": str(before)},
        }
    }


def line_node(balance: str, before: str) -> Json:
    """A line on which we are the high account: the ledger writes our tokens as a negative balance."""
    return {
        "ModifiedNode": {
            "LedgerEntryType": "RippleState",
            "LedgerIndex": "B" * 64,
            "FinalFields": {
                "Balance": {"value": balance},
                "LowLimit": {"issuer": ISSUER},
                "HighLimit": {"issuer": US},
            },
            "PreviousFields": {"Balance": {"value": before}},
        }
    }


def entry(kind: str, sender: str, *nodes: Json, result: str = "tesSUCCESS", **fields: Any) -> Json:
    return {
        "hash": "C" * 64,
        "ledger_index": 50,
        "validated": True,
        "tx_json": {"TransactionType": kind, "Account": sender, "Fee": "10", "Sequence": 7, **fields},
        "meta": {"TransactionIndex": 3, "TransactionResult": result, "AffectedNodes": list(nodes)},
    }


def trade(node: str, side: str, drops: int, token: str) -> Trade:
    return Trade(
        ledger_index=50, transaction_index=3, node=node, side=side, drops=drops, token=Decimal(token)
    )


def test_an_offer_taken_in_part_is_a_fill_of_the_difference() -> None:
    # We sold 10 XRP for 13 RLUSD; somebody took 4 XRP for 5.2.
    event = event_of(
        entry(
            "OfferCreate",
            THEM,
            offer_node("ModifiedNode", ("6000000", amount("7.8")), ("10000000", amount("13"))),
            root_node(96_000_000, 100_000_000),
            line_node("-105.2", "-100"),
        ),
        US,
        ISSUER,
    )
    assert event.trades == (trade(OFFER, "sell", 4_000_000, "5.2"),)
    assert (event.balance, event.line, event.line_change) == (96_000_000, Decimal("105.2"), Decimal("5.2"))
    assert (event.own, event.fee_drops) == (False, 0)


def test_an_offer_taken_whole_is_a_fill_of_what_was_left_of_it() -> None:
    # Our bid of 2.6 RLUSD for 2 XRP was taken to its end.
    event = event_of(
        entry(
            "Payment",
            THEM,
            offer_node("DeletedNode", (amount("0"), "0"), (amount("2.6"), "2000000")),
            root_node(102_000_000, 100_000_000),
            line_node("-97.4", "-100"),
        ),
        US,
        ISSUER,
    )
    assert event.trades == (trade(OFFER, "buy", 2_000_000, "2.6"),)


def test_our_own_order_that_crosses_is_a_fill_of_the_balances_less_the_fee() -> None:
    # 1 XRP bought for 1.3 RLUSD: the account has a million drops more and paid 10 for the transaction.
    event = event_of(
        entry("OfferCreate", US, root_node(100_999_990, 100_000_000), line_node("-98.7", "-100")), US, ISSUER
    )
    assert event.trades == (trade("taker", "buy", 1_000_000, "1.3"),)
    assert (event.own, event.fee_drops, event.sequence, event.next_sequence) == (True, 10, 7, 8)


@pytest.mark.parametrize("kind", ["OfferCancel", "OfferCreate"])
def test_an_offer_that_goes_without_previous_amounts_is_no_fill(kind: str) -> None:
    event = event_of(
        entry(
            kind,
            US,
            offer_node("DeletedNode", ("6000000", amount("7.8")), None),
            root_node(99_999_990, 100_000_000),
        ),
        US,
        ISSUER,
    )
    assert event.trades == ()
    assert event.line is None


def test_tickets_move_the_sequence_unless_they_were_not_made() -> None:
    made = event_of(entry("TicketCreate", US, TicketCount=2), US, ISSUER)
    refused = event_of(entry("TicketCreate", US, TicketCount=2, result="tecDIR_FULL"), US, ISSUER)
    assert (made.next_sequence, refused.next_sequence) == (10, 8)


# comparing


def event(number: int, *, sequence: int = 0, trades: tuple[Trade, ...] = (), **changed: Any) -> Event:
    values: Json = {
        "ledger_index": 50,
        "transaction_index": 3,
        "tx_hash": f"{number:064X}",
        "kind": "OfferCreate",
        "result": "tesSUCCESS",
        "own": True,
        "sequence": sequence,
        "next_sequence": sequence + 1,
        "fee_drops": 10,
        "trades": trades,
        "balance": None,
        "line": None,
        "line_change": Decimal(0),
    }
    return Event(**{**values, **changed})


def sent(number: int, result: str | None = "tesSUCCESS", **changed: Any) -> Sent:
    place = (None, None) if result in (None, "tefMAX_LEDGER") else (50, 3)
    values: Json = {"tx_hash": f"{number:064X}", "kind": "create", "order_id": number, "result": result}
    return Sent(**{**values, "fee_drops": 10, "place": place, **changed})


def kinds(found: list[Difference]) -> list[str]:
    return [one.kind for one in found]


def test_transactions_and_rows_that_agree_differ_in_nothing() -> None:
    assert check_transactions([event(1)], [sent(1), sent(2, None), sent(3, "tefMAX_LEDGER")]) == []


@pytest.mark.parametrize(
    ("events", "rows", "wanted"),
    [
        ([event(1)], [], ["unknown transaction"]),
        ([event(1)], [sent(1, None)], ["other result"]),
        ([event(1)], [sent(1, fee_drops=12)], ["other result"]),
        ([event(1)], [sent(1, place=(50, 4))], ["other result"]),
        ([], [sent(1)], ["not on the ledger"]),
        ([event(1)], [sent(1), sent(1)], ["row twice"]),
    ],
)
def test_each_difference_of_transactions_is_named(
    events: list[Event], rows: list[Sent], wanted: list[str]
) -> None:
    assert kinds(check_transactions(events, rows)) == wanted


SOLD = trade(OFFER, "sell", 4_000_000, "5.2")
ROW = (50, 3, END_OF_OFFER, "sell", 4_000_000, "5.2", "5.2")


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([ROW], []),
        ([], ["lost fill"]),
        ([ROW, ROW], ["doubled fill", "other fill"]),
        ([(*ROW[:4], 4_000_001, "5.2", "5.2")], ["other fill"]),
        ([(*ROW[:6], "5.200000000000001")], ["other fill"]),
        ([ROW, (51, *ROW[1:])], ["invented fill"]),
    ],
)
def test_each_difference_of_fills_is_named(rows: list[tuple[Any, ...]], wanted: list[str]) -> None:
    told = event(1, own=False, trades=(SOLD,), line_change=Decimal("5.2"))
    assert kinds(check_fills([told], rows)) == wanted


def test_offers_and_orders_must_name_each_other() -> None:
    assert check_offers({7}, [(1, "OPEN", 7), (2, "SUBMITTED", 8)]) == []
    assert kinds(check_offers({7}, [])) == ["unknown offer"]
    assert kinds(check_offers(set(), [(1, "PENDING_CANCEL", 7)])) == ["missing offer"]


def test_an_order_placed_twice_and_a_gap_in_the_sequences_are_named() -> None:
    first, second = event(1, sequence=7), event(2, sequence=8)
    assert check_once([first, second], [sent(1), sent(2)]) == []
    assert kinds(check_once([first, second], [sent(1), sent(2, order_id=1)])) == ["submitted twice"]
    assert kinds(check_once([first, event(2, sequence=9)], [])) == ["sequence"]


def test_balances_are_those_that_metadata_told_last() -> None:
    events = [
        event(1, ledger_index=50, balance=90, line=Decimal(5)),
        event(2, ledger_index=51, balance=80),
        event(3, ledger_index=52, line=Decimal(7)),
    ]
    assert balances_at(events, 51) == (80, Decimal(5))
    assert balances_at(events, 52) == (80, Decimal(7))
