"""The small values everything else stands on: examples, order states, halts, assets, capital, time."""

from __future__ import annotations

import doctest
import importlib
import re
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neo_engine.domain.assets import IssuedAsset, Pair, Side, currency_code
from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.clock import ledger_seconds, utc_text
from neo_engine.domain.errors import BadNumber, ConfigError, InvariantViolation, NeoError
from neo_engine.domain.halt import MEANING, HaltReason, exit_code
from neo_engine.domain.number import (
    MAX_DROPS,
    drops_from_xrp,
    parse_drops,
    parse_issued,
    parse_number,
    plain,
    xrp_from_drops,
)
from neo_engine.domain.orders import LEGAL_MOVES, TERMINAL, WORKING, OrderStatus, check_move
from tests.style.tree import engine_modules

WITH_EXAMPLES = sorted(
    name for name, path in engine_modules().items() if re.search(r"^\s*>>> ", path.read_text("utf-8"), re.M)
)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_worked_examples_of_a_module_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), raise_on_error=False)
    assert result.attempted
    assert not result.failed


# order states


@pytest.mark.parametrize(("old", "new"), list(product(OrderStatus, OrderStatus)))
def test_exactly_the_moves_of_the_table_are_allowed(old: OrderStatus, new: OrderStatus) -> None:
    if new in LEGAL_MOVES[old]:
        check_move(7, old, new)
    else:
        with pytest.raises(InvariantViolation, match=f"order 7: no move from {old.value} to {new.value}"):
            check_move(7, old, new)


def test_every_status_has_a_row_and_is_either_working_or_terminal() -> None:
    assert set(LEGAL_MOVES) == set(OrderStatus)
    assert set(OrderStatus) == WORKING | TERMINAL
    assert not WORKING & TERMINAL


def test_what_has_ended_stays_ended_and_nothing_stands_still() -> None:
    assert all(not LEGAL_MOVES[status] for status in TERMINAL)
    assert all(status not in moves for status, moves in LEGAL_MOVES.items())


def reachable(start: OrderStatus) -> set[OrderStatus]:
    found, waiting = set(), [start]
    while waiting:
        for after in LEGAL_MOVES[waiting.pop()]:
            if after not in found:
                found.add(after)
                waiting.append(after)
    return found


def test_an_order_begins_pending_and_can_come_to_any_other_status() -> None:
    assert reachable(OrderStatus.PENDING_SUBMIT) == set(OrderStatus) - {OrderStatus.PENDING_SUBMIT}


@pytest.mark.parametrize("status", sorted(WORKING, key=lambda one: one.value))
def test_no_working_order_is_trapped(status: OrderStatus) -> None:
    # Each can still be seen filled, cancelled or expired, whatever happened before.
    ends = {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED}
    assert ends <= reachable(status)


def test_only_our_own_gate_denies_and_only_before_anything_was_sent() -> None:
    assert [old for old, moves in LEGAL_MOVES.items() if OrderStatus.DENIED in moves] == [
        OrderStatus.PENDING_SUBMIT
    ]


def test_a_replace_that_failed_gives_the_old_order_back() -> None:
    # XRP Ledger, OfferCreate with OfferSequence: any tec undoes the cancel too.
    assert {OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED} <= LEGAL_MOVES[OrderStatus.PENDING_CANCEL]


def test_an_order_that_stands_on_the_ledger_is_never_rejected() -> None:
    standing = (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)
    assert all(OrderStatus.REJECTED not in LEGAL_MOVES[status] for status in standing)


# halt reasons: the owner's words and the exit codes users rely on

OWNERS_REASONS = {
    "duration_elapsed": 0,
    "engine_requested_halt": 4,
    "risk_xrp_exposure": 4,
    "risk_rlusd_exposure": 4,
    "risk_rpc_failure": 4,
    "risk_stale_ledger": 4,
    "risk_gateway_unhealthy": 4,
    "kill_switch": 4,
    "reconciler_halt": 4,
    "interrupted_sigint": 130,
    "interrupted_sigterm": 143,
    "interrupted_sigbreak": 130,
    "startup_failure": 3,
    "unexpected_halt": 1,
}


@pytest.mark.parametrize(("text", "code"), OWNERS_REASONS.items())
def test_a_halt_reason_keeps_its_word_and_its_exit_code(text: str, code: int) -> None:
    assert exit_code(HaltReason(text)) == code


def test_every_halt_reason_has_a_meaning_and_a_plain_word() -> None:
    assert set(MEANING) == set(HaltReason)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", reason.value) for reason in HaltReason)


def test_only_a_planned_end_exits_with_zero() -> None:
    planned = {HaltReason.DURATION_ELAPSED, HaltReason.RECORDING_ENDED}
    assert {reason for reason in HaltReason if exit_code(reason) == 0} == planned


def test_the_risk_reasons_are_those_that_name_a_limit() -> None:
    assert all(exit_code(reason) == 4 for reason in HaltReason if reason.value.startswith("risk_"))


# errors


def test_a_configuration_error_shows_every_fault_with_its_file() -> None:
    error = ConfigError("my.yaml", ("a: missing", "b: unknown key"))
    assert str(error) == "my.yaml: a: missing; b: unknown key"
    assert error.faults == ("a: missing", "b: unknown key")


def test_a_defect_is_no_operating_error() -> None:
    # Code that handles the world's errors must never swallow a broken promise of our own.
    assert not issubclass(InvariantViolation, NeoError)


# numbers: what is printed is read back


@given(st.integers(min_value=0, max_value=MAX_DROPS))
def test_drops_survive_the_way_through_xrp_and_text(drops: int) -> None:
    assert parse_drops(str(drops), "drops") == drops
    assert drops_from_xrp(xrp_from_drops(drops), "ROUND_DOWN") == drops
    assert drops_from_xrp(parse_number(plain(xrp_from_drops(drops)), "xrp"), "ROUND_UP") == drops


@given(
    digits=st.integers(min_value=-(10**16) + 1, max_value=10**16 - 1),
    exponent=st.integers(min_value=-20, max_value=20),
)
def test_an_issued_amount_survives_the_way_through_text(digits: int, exponent: int) -> None:
    value = Decimal(digits).scaleb(exponent)
    text = plain(value)
    assert "E" not in text.upper()
    assert parse_issued(text, "amount") == value


# assets


def test_rlusd_has_the_code_and_symbol_of_the_main_network() -> None:
    # docs.ripple.com, "RLUSD on the XRPL": currency code and issuer.
    code = "524C555344000000000000000000000000000000"
    assert currency_code("RLUSD") == code
    rlusd = IssuedAsset(currency=code, issuer="rMxCKbEDwqr76QuheSUMdEGf4B9xJ8m5De")
    assert rlusd.symbol == "RLUSD"
    assert Pair(quote=rlusd).symbol == "XRP/RLUSD"


def test_a_three_character_code_is_written_as_it_is() -> None:
    assert currency_code("USD") == "USD"
    assert IssuedAsset(currency="USD", issuer="r").symbol == "USD"


def test_a_hex_code_that_is_no_text_is_shown_as_hex() -> None:
    # 03... is the prefix of pool shares (XLS-30), not of text.
    code = "03930D02208264E2E40EC1B0C09E4DB96EE197B1"
    assert currency_code(code) == code
    assert IssuedAsset(currency=code, issuer="r").symbol == code


@pytest.mark.parametrize("symbol", ["", "X", "AB", "A" * 21, "RLÜSD"])
def test_a_symbol_that_cannot_be_a_code_is_refused(symbol: str) -> None:
    with pytest.raises(BadNumber, match="currency"):
        currency_code(symbol)


@pytest.mark.parametrize("code", ["", "AB", "ABCD", "Z" * 40, "524c555344" + "0" * 30])
def test_an_asset_takes_ledger_codes_only(code: str) -> None:
    with pytest.raises(BadNumber, match="40 upper-case hex digits"):
        IssuedAsset(currency=code, issuer="r")


def test_the_opposite_of_a_side_is_the_other_one() -> None:
    assert Side.BUY.opposite is Side.SELL
    assert Side.SELL.opposite is Side.BUY


# capital and time


@pytest.mark.parametrize(
    ("kind", "sign"), [(CapitalKind.OPENING, 1), (CapitalKind.DEPOSIT, 1), (CapitalKind.WITHDRAWAL, -1)]
)
def test_only_a_withdrawal_leaves_the_account(kind: CapitalKind, sign: int) -> None:
    event = CapitalEvent(
        request_id="1", kind=kind, base_drops=5, quote=Decimal(0), note="", created_at="2026-01-01T00:00:00Z"
    )
    assert event.sign == sign


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "2000-01-01T00:00:00Z"),
        # 946684800 s lie between 1970 and 2000 (xrpl.org, "Specifying Time").
        (1_700_000_000 - 946_684_800, "2023-11-14T22:13:20Z"),
        (59 * 86_400, "2000-02-29T00:00:00Z"),
    ],
)
def test_ledger_time_counts_from_the_year_2000(seconds: int, text: str) -> None:
    assert utc_text(seconds) == text
    assert ledger_seconds(text) == seconds


@given(st.integers(min_value=0, max_value=2**31 - 1))
def test_ledger_time_survives_the_way_through_text(seconds: int) -> None:
    assert ledger_seconds(utc_text(seconds)) == seconds


def test_a_text_that_is_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="Invalid isoformat"):
        ledger_seconds("yesterday")
