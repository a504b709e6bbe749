"""The fingerprint changes with every decision, order and fill; not with another clock or session."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from msgspec.structs import replace

from neo_engine.domain.capital import CapitalKind
from neo_engine.domain.halt import Halt, HaltReason
from neo_engine.domain.orders import CancelOrder, OrderStatus, PlaceOrder
from neo_engine.domain.records import CapitalRecord, Finding, Gate
from neo_engine.fingerprint import START, extend, tick_text
from neo_engine.tick import NO_PRICING, NO_TOUCH, Decision, Observation, initial_state
from tests.unit import core_values as core
from tests.unit.core_values import NOW, XRP, D

ORDER = core.order(1, "bid-1", "1.98", 5 * XRP)
QUOTE = core.quote("bid-1", "1.98", 5 * XRP)
PLACE = PlaceOrder(order_id=2, quote=QUOTE, replaces=1, replaces_sequence=101)
CANCEL = CancelOrder(order_id=1, offer_sequence=101, reason="no quote for its slot")
GATE = Gate(name="Warmup", side="both", detail="3 of 10 mids seen")
FINDING = Finding(name="ghost", order_id=1, halts=False, detail="gone")
FILL = core.fill(ORDER, 2 * XRP)
HALT = Halt(reason=HaltReason.KILL_SWITCH, detail="file: stop")
PRICING = replace(
    NO_PRICING,
    anchor=D("2"),
    anchor_source="mid",
    reservation=D("2.001"),
    half_spread_bps=D(3),
    volatility_bps=D("1.5"),
)
CAPITAL = CapitalRecord(
    event=core.capital(CapitalKind.DEPOSIT, drops=XRP), applied=True, mark=D(2), reason=None
)
SEEN = Observation(
    kind="ledger",
    ledger_index=1000,
    close_time=NOW,
    report=None,
    order_updates=(),
    faults=(),
    capital=(),
    stop=None,
)
DECISION = Decision(
    state=initial_state(core.paper_config(), NOW),
    accounts=core.accounts(100 * XRP, "200"),
    fills=(FILL,),
    inventory=(),
    capital=(CAPITAL,),
    findings=(FINDING,),
    pricing=PRICING,
    gates=(GATE,),
    quotes=(QUOTE,),
    quoting="bid",
    touch=NO_TOUCH,
    commands=(PLACE, CANCEL),
    new_orders=(),
    changed_orders=(ORDER,),
    replaces={2: 1},
    canceled=1,
    kept=0,
    halt=HALT,
)
BEFORE = extend(START, SEEN, DECISION)

COVERED: dict[str, dict[str, Any]] = {
    "a gate's name": {"gates": (replace(GATE, name="Gap"),)},
    "a gate's side": {"gates": (replace(GATE, side="bid"),)},
    "a gate's numbers": {"gates": (replace(GATE, detail="4 of 10 mids seen"),)},
    "no gate": {"gates": ()},
    "the anchor": {"pricing": replace(PRICING, anchor=D("2.0000001"))},
    "the anchor's source": {"pricing": replace(PRICING, anchor_source="pool")},
    "the clamp": {"pricing": replace(PRICING, clamped=True)},
    "the reservation price": {"pricing": replace(PRICING, reservation=D(2))},
    "the half-spread": {"pricing": replace(PRICING, half_spread_bps=D(4))},
    "the volatility": {"pricing": replace(PRICING, volatility_bps=None)},
    "XRP held": {"accounts": core.accounts(100 * XRP + 1, "200")},
    "RLUSD held": {"accounts": core.accounts(100 * XRP, "200.000001")},
    "fees": {"accounts": core.accounts(100 * XRP, "200", fees_drops=10)},
    "realised P&L": {"accounts": core.accounts(100 * XRP, "200", realised=D(1))},
    "unrealised P&L": {"accounts": core.accounts(100 * XRP, "200", unrealised=D(1))},
    "a quote's price": {"quotes": (replace(QUOTE, price=D("1.99")),)},
    "a quote's size": {"quotes": (replace(QUOTE, base_drops=1),)},
    "a quote's amount": {"quotes": (replace(QUOTE, quote=D(1)),)},
    "a quote's slot": {"quotes": (replace(QUOTE, slot="bid-2"),)},
    "a quote's expiration": {"quotes": (replace(QUOTE, expiration=NOW),)},
    "no quote": {"quotes": ()},
    "what is replaced": {"commands": (replace(PLACE, replaces=None), CANCEL)},
    "whose command": {"commands": (replace(PLACE, order_id=3), CANCEL)},
    "the order of commands": {"commands": (CANCEL, PLACE)},
    "a cancel's reason": {"commands": (PLACE, replace(CANCEL, reason="shutdown"))},
    "a cancel's offer": {"commands": (PLACE, replace(CANCEL, offer_sequence=102))},
    "an order's status": {"changed_orders": (replace(ORDER, status=OrderStatus.FILLED),)},
    "an order's rest": {"changed_orders": (replace(ORDER, remaining_base_drops=1),)},
    "an order's rest in RLUSD": {"changed_orders": (replace(ORDER, remaining_quote=D(1)),)},
    "an order's sequence": {"changed_orders": (replace(ORDER, offer_sequence=None),)},
    "why an order ended": {"changed_orders": (replace(ORDER, failure_reason="expired"),)},
    "a fill's place": {"fills": (replace(FILL, transaction_index=1),)},
    "a fill's ledger": {"fills": (replace(FILL, ledger_index=1003),)},
    "a fill's order": {"fills": (replace(FILL, order_id=2),)},
    "a fill's size": {"fills": (replace(FILL, base_drops=1),)},
    "a fill's amount": {"fills": (replace(FILL, quote=D(1)),)},
    "by how much the trust line moved": {"fills": (replace(FILL, quote_balance_delta=D(1)),)},
    "no fill": {"fills": ()},
    "a capital event's amount": {
        "capital": (replace(CAPITAL, event=core.capital(CapitalKind.DEPOSIT, drops=2 * XRP)),)
    },
    "a capital event's direction": {
        "capital": (replace(CAPITAL, event=core.capital(CapitalKind.WITHDRAWAL, drops=XRP)),)
    },
    "whether it was applied": {"capital": (replace(CAPITAL, applied=False),)},
    "a finding": {"findings": (replace(FINDING, name="orphan"),)},
    "a finding's numbers": {"findings": (replace(FINDING, detail="here"),)},
    "the halt": {"halt": replace(HALT, reason=HaltReason.DURATION_ELAPSED)},
    "the halt's numbers": {"halt": replace(HALT, detail="x")},
    "no halt": {"halt": None},
}


@pytest.mark.parametrize("what", COVERED)
def test_another_decision_is_another_fingerprint(what: str) -> None:
    assert extend(START, SEEN, replace(DECISION, **COVERED[what])) != BEFORE


@pytest.mark.parametrize("what", [{"kind": "silence"}, {"ledger_index": 1001}, {"close_time": NOW + 1}])
def test_another_ledger_or_kind_of_tick_is_another_fingerprint(what: dict[str, Any]) -> None:
    assert extend(START, replace(SEEN, **what), DECISION) != BEFORE


@pytest.mark.parametrize(
    "event",
    [
        core.capital(CapitalKind.DEPOSIT, drops=XRP, request_id="session-2-opening-xrp"),
        replace(core.capital(CapitalKind.DEPOSIT, drops=XRP), created_at="2030-01-01T00:00:00Z"),
        replace(core.capital(CapitalKind.DEPOSIT, drops=XRP), note="said otherwise"),
    ],
    ids=["session id", "wall clock", "note"],
)
def test_what_names_the_run_and_not_the_market_is_not_in_it(event: Any) -> None:
    assert extend(START, SEEN, replace(DECISION, capital=(replace(CAPITAL, event=event),))) == BEFORE


def test_equal_numbers_written_otherwise_are_the_same_fingerprint() -> None:
    same = replace(
        DECISION,
        pricing=replace(PRICING, anchor=D("2.000"), half_spread_bps=D("3.0")),
        accounts=core.accounts(100 * XRP, "200.00"),
    )
    assert extend(START, SEEN, same) == BEFORE


def test_a_link_is_the_hash_of_the_one_before_and_the_ticks_text() -> None:
    expected = hashlib.sha256(BEFORE + tick_text(SEEN, DECISION).encode()).digest()
    assert extend(BEFORE, SEEN, DECISION) == expected
    assert len(expected) == 32
    assert extend(START, SEEN, DECISION) != extend(BEFORE, SEEN, DECISION)
