"""What one transaction did to one account, rule by rule. Expectations are worked out by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from neo_engine.domain.account_events import AccountEvents, OfferEvent
from neo_engine.domain.assets import Side
from neo_engine.domain.fills import LiquiditySide
from neo_engine.domain.ledger import LedgerTransaction
from neo_engine.xrpl.metadata import account_events
from tests.unit.ledger_fixture import (
    ask_fields,
    bid_fields,
    index_of,
    line_node,
    node,
    rlusd,
    root_node,
    transaction,
    update,
)

PARENT_CLOSE = 500
OTHERS_OFFER = {"TransactionType": "OfferCreate"}
OWN_OFFER = {"TransactionType": "OfferCreate", "Account": "rMaker"}


def events(tx: LedgerTransaction, account: str = "rMaker", transfer_rate: str = "1") -> AccountEvents:
    found = account_events(update(tx), tx, account, PARENT_CLOSE, Decimal(transfer_rate))
    assert found is not None
    return found


def ask_changed(
    action: str, left: tuple[str, str], was: tuple[str, str] | None, **more: Any
) -> dict[str, Any]:
    final = ask_fields(*left, **more)
    previous = {} if was is None else {"PreviousFields": {"TakerGets": was[0], "TakerPays": rlusd(was[1])}}
    return node(action, "Offer", index_of(5), FinalFields=final, **previous)


def bid_changed(left: tuple[str, str], was: dict[str, Any], number: int = 6) -> dict[str, Any]:
    return node("ModifiedNode", "Offer", index_of(number), FinalFields=bid_fields(*left), PreviousFields=was)


def test_an_account_that_does_not_appear_has_no_events() -> None:
    tx = transaction(OTHERS_OFFER, [root_node("rTaker", 100, 90)])
    assert account_events(update(tx), tx, "rMaker", PARENT_CLOSE) is None


def test_a_maker_fill_is_what_its_offer_lost() -> None:
    nodes = [
        ask_changed("ModifiedNode", ("600", "1.2"), ("1000", "2")),
        root_node("rMaker", 5_000, 4_600),
        line_node("rMaker", "10", "10.8"),
    ]
    found = events(transaction(OTHERS_OFFER, nodes))
    (fill,) = found.fills
    assert (fill.side, fill.liquidity, fill.base_drops, fill.quote) == (
        Side.SELL,
        LiquiditySide.MAKER,
        400,
        Decimal("0.8"),
    )
    assert (fill.node, fill.offer_sequence, fill.quote_balance_delta) == (index_of(5), 5, Decimal("0.8"))
    assert (found.base_delta_drops, found.fee_drops, found.unexplained_drops, found.unexplained) == (
        -400,
        0,
        0,
        False,
    )
    assert [(one.event, one.base_drops) for one in found.offers] == [(OfferEvent.REDUCED, 600)]
    assert fill.fill_of(3).order_id == 3
    assert fill.fill_of(3).key == (101, 0, index_of(5))


def test_a_fill_that_empties_the_offer_ends_it() -> None:
    found = events(transaction(OTHERS_OFFER, [ask_changed("DeletedNode", ("0", "0"), ("1000", "2"))]))
    assert found.fills[0].base_drops == 1_000
    assert found.offers[0].event is OfferEvent.FILLED


def test_an_offer_cleared_away_after_a_partial_fill_is_unfunded_and_still_filled() -> None:
    found = events(transaction(OTHERS_OFFER, [ask_changed("DeletedNode", ("600", "1.2"), ("1000", "2"))]))
    assert found.fills[0].base_drops == 400
    assert (found.offers[0].event, found.offers[0].base_drops) == (OfferEvent.UNFUNDED, 600)


def test_the_rounding_of_the_line_is_booked_apart_from_the_price() -> None:
    # The line has 16 digits: at 150,000 its last place is 1e-10, and the offer's delta is finer.
    bought = bid_changed(("1", "500"), {"TakerGets": rlusd("1.00000000006"), "TakerPays": "600"})
    nodes = [bought, root_node("rMaker", 100, 200), line_node("rMaker", "150000", "149999.9999999999")]
    found = events(transaction(OTHERS_OFFER, nodes))
    (fill,) = found.fills
    assert (fill.side, fill.quote) == (Side.BUY, Decimal("6E-11"))
    assert (fill.quote_balance_delta, fill.rounding) == (Decimal("-1E-10"), Decimal("-4E-11"))
    assert (found.rounding, found.unexplained) == (Decimal("-4E-11"), False)


def test_more_than_a_unit_of_difference_is_unexplained() -> None:
    bought = bid_changed(("1", "500"), {"TakerGets": rlusd("2"), "TakerPays": "600"})
    nodes = [bought, root_node("rMaker", 100, 205), line_node("rMaker", "10", "8.99")]
    found = events(transaction(OTHERS_OFFER, nodes))
    assert (found.unexplained_drops, found.unexplained) == (5, True)
    # With a transfer rate of 1.01 the cent is the issuer's fee.
    assert not events(transaction(OTHERS_OFFER, nodes), transfer_rate="1.01").unexplained


def test_two_offers_filled_in_one_transaction_are_two_fills() -> None:
    first = bid_changed(("1", "500"), {"TakerGets": rlusd("2"), "TakerPays": "600"}, 6)
    second = bid_changed(("1", "500"), {"TakerGets": rlusd("3"), "TakerPays": "900"}, 7)
    nodes = [first, second, root_node("rMaker", 100, 600), line_node("rMaker", "10", "7")]
    found = events(transaction(OTHERS_OFFER, nodes))
    assert [(one.node, one.base_drops, one.quote) for one in found.fills] == [
        (index_of(6), 100, 1),
        (index_of(7), 400, 2),
    ]
    assert (found.unexplained_drops, found.rounding) == (0, 0)


def test_an_amount_below_one_drop_moves_money_but_is_no_trade() -> None:
    dust = bid_changed(("1", "500"), {"TakerGets": rlusd("1.0000004")})
    nodes = [dust, line_node("rMaker", "10", "9.9999996")]
    found = events(transaction(OTHERS_OFFER, nodes))
    assert found.fills == ()
    assert (found.dust_base_drops, found.dust_quote) == (0, Decimal("-4E-7"))
    assert (found.rounding, found.unexplained) == (0, False)


def test_a_taker_fill_leaves_the_fee_out() -> None:
    nodes = [root_node("rMaker", 1_000, 1_490), line_node("rMaker", "10", "9")]
    found = events(transaction(OWN_OFFER, nodes))
    (fill,) = found.fills
    assert (fill.side, fill.liquidity, fill.base_drops, fill.quote) == (Side.BUY, LiquiditySide.TAKER, 500, 1)
    assert (fill.node, fill.offer_sequence, fill.quote_balance_delta) == ("taker", 7, Decimal(-1))
    assert (found.fee_drops, found.base_delta_drops, found.unexplained_drops) == (10, 490, 0)


def test_a_taker_fill_by_ticket_is_named_by_the_ticket() -> None:
    nodes = [root_node("rMaker", 1_000, 490), line_node("rMaker", "10", "11")]
    found = events(transaction(OWN_OFFER | {"Sequence": 0, "TicketSequence": 77}, nodes))
    assert (found.fills[0].side, found.fills[0].offer_sequence) == (Side.SELL, 77)


def test_a_killed_order_pays_its_fee_and_trades_nothing() -> None:
    found = events(transaction(OWN_OFFER, [root_node("rMaker", 1_000, 990)], result="tecKILLED"))
    assert (found.fills, found.fee_drops, found.unexplained_drops) == ((), 10, 0)


def test_a_taker_that_moved_one_side_only_took_dust() -> None:
    nodes = [root_node("rMaker", 1_000, 990), line_node("rMaker", "10", "9.9999999")]
    found = events(transaction(OWN_OFFER, nodes))
    assert found.fills == ()
    assert (found.dust_quote, found.unexplained_drops, found.unexplained) == (Decimal("-1E-7"), 0, False)


def test_an_own_offer_that_rests_is_placed_with_what_was_left() -> None:
    rested = node("CreatedNode", "Offer", index_of(5), NewFields=ask_fields("600", "1.2"))
    found = events(transaction(OWN_OFFER, [rested, root_node("rMaker", 1_000, 990)]))
    assert [(one.event, one.offer_sequence, one.base_drops) for one in found.offers] == [
        (OfferEvent.PLACED, 5, 600)
    ]
    assert found.fills == ()


@pytest.mark.parametrize(
    ("tx_json", "expiration", "event"),
    [
        (
            {"TransactionType": "OfferCancel", "Account": "rMaker", "OfferSequence": 5},
            None,
            OfferEvent.CANCELED,
        ),
        (OWN_OFFER | {"OfferSequence": 5}, None, OfferEvent.REPLACED),
        (OWN_OFFER | {"OfferSequence": 4}, None, OfferEvent.SELF_CROSSED),
        (OWN_OFFER, PARENT_CLOSE, OfferEvent.EXPIRED),
        (OTHERS_OFFER, PARENT_CLOSE, OfferEvent.EXPIRED),
        (OTHERS_OFFER, PARENT_CLOSE + 1, OfferEvent.UNFUNDED),
        (OTHERS_OFFER, None, OfferEvent.UNFUNDED),
    ],
)
def test_an_offer_deleted_untouched_is_no_fill_and_says_why(
    tx_json: dict[str, Any], expiration: int | None, event: OfferEvent
) -> None:
    more = {} if expiration is None else {"Expiration": expiration}
    found = events(transaction(tx_json, [ask_changed("DeletedNode", ("600", "1.2"), None, **more)]))
    assert found.fills == ()
    assert [(one.event, one.base_drops) for one in found.offers] == [(event, 600)]


PAYMENT = {"TransactionType": "Payment"}


def test_xrp_and_token_paid_to_us_are_no_fills() -> None:
    sent = PAYMENT | {"Destination": "rMaker", "DeliverMax": "500"}
    found = events(transaction(sent, [root_node("rMaker", 1_000, 1_500)]))
    assert (found.fills, found.paid_base_drops, found.unexplained_drops) == ((), 500, 0)
    tokens = PAYMENT | {"Destination": "rMaker", "DeliverMax": rlusd("5"), "SendMax": "900"}
    found = events(transaction(tokens, [line_node("rMaker", "1", "6")]))
    assert (found.fills, found.paid_quote, found.rounding) == ((), 5, 0)


def test_what_we_pay_is_no_fill_and_bears_the_transfer_fee() -> None:
    sent = PAYMENT | {"Account": "rMaker", "Destination": "rOther", "DeliverMax": "500"}
    found = events(transaction(sent, [root_node("rMaker", 1_000, 490)]))
    assert (found.fills, found.paid_base_drops, found.fee_drops, found.unexplained_drops) == ((), -500, 10, 0)
    tokens = PAYMENT | {"Account": "rMaker", "Destination": "rOther", "DeliverMax": rlusd("5")}
    nodes = [root_node("rMaker", 1_000, 990), line_node("rMaker", "10", "4.95")]
    found = events(transaction(tokens, nodes), transfer_rate="1.01")
    assert (found.paid_quote, found.rounding) == (Decimal("-5.05"), 0)


def test_a_payment_to_ourselves_that_converts_is_a_taker_fill() -> None:
    sent = PAYMENT | {
        "Account": "rMaker",
        "Destination": "rMaker",
        "DeliverMax": "500",
        "SendMax": rlusd("2"),
    }
    nodes = [root_node("rMaker", 1_000, 1_490), line_node("rMaker", "10", "9")]
    found = events(transaction(sent, nodes))
    assert [(one.liquidity, one.base_drops, one.quote) for one in found.fills] == [
        (LiquiditySide.TAKER, 500, 1)
    ]
    assert (found.paid_base_drops, found.paid_quote) == (0, 0)


def test_a_conversion_for_somebody_else_is_money_out() -> None:
    sent = PAYMENT | {
        "Account": "rMaker",
        "Destination": "rOther",
        "DeliverMax": rlusd("1"),
        "SendMax": "600",
    }
    found = events(transaction(sent, [root_node("rMaker", 1_000, 490)]))
    assert (found.fills, found.paid_base_drops, found.unexplained_drops) == ((), -500, 0)


def test_others_payments_and_failed_ones_leave_only_what_metadata_shows() -> None:
    elsewhere = PAYMENT | {"Destination": "rOther", "DeliverMax": "500"}
    found = events(transaction(elsewhere, [root_node("rMaker", 1_000, 1_500)]))
    assert found.unexplained_drops == 500
    failed = PAYMENT | {"Account": "rMaker", "Destination": "rOther", "DeliverMax": "500"}
    found = events(transaction(failed, [root_node("rMaker", 1_000, 990)], result="tecPATH_DRY"))
    assert (found.paid_base_drops, found.unexplained_drops) == (0, 0)


def test_a_deposit_to_the_pool_is_money_out_and_no_trade() -> None:
    sent = {"TransactionType": "AMMDeposit", "Account": "rMaker"}
    nodes = [root_node("rMaker", 1_000, 490), line_node("rMaker", "10", "9")]
    found = events(transaction(sent, nodes))
    assert (found.fills, found.paid_base_drops, found.paid_quote, found.unexplained_drops) == (
        (),
        -500,
        -1,
        0,
    )
