"""What follows from what happened to our account besides our orders: booked, noted or halted."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from neo_engine.config import Config, load_config
from neo_engine.domain.account_findings import AccountFinding, FindingKind
from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.halt import HaltReason
from neo_engine.inventory import Available, accounts, apply_events, empty
from neo_engine.reconciliation.account import NOTHING, answer
from neo_engine.reconciliation.reconciler import halt_of
from tests.e2e.helpers import ROOT
from tests.unit.core_values import XRP, capital

K = FindingKind
DEPOSIT, WITHDRAWAL = CapitalKind.DEPOSIT, CapitalKind.WITHDRAWAL
CLOSE_TIME = 86_400  # 2000-01-02
NOTHING_TO_SPARE = Available(base_drops=0, quote=D(0))


def live(external_changes: str = "propose") -> Config:
    config = load_config(ROOT / "config" / "live_testnet.yaml")
    assert config.live is not None
    changed = config.live.model_copy(update={"external_changes": external_changes})
    return config.model_copy(update={"live": changed})


def found(kind: FindingKind, **fields: Any) -> AccountFinding:
    return AccountFinding(kind=kind, ledger_index=90, detail="told", **fields)


def moved(events: tuple[CapitalEvent, ...]) -> list[tuple[CapitalKind, int, D]]:
    return [(one.kind, one.base_drops, one.quote) for one in events]


def test_no_finding_needs_no_answer() -> None:
    assert answer((), live(), CLOSE_TIME) == NOTHING


@pytest.mark.parametrize("kind", [K.PAID_IN, K.PAID_OUT, K.CLAWBACK, K.POOL, K.ORPHAN_FILL])
def test_money_from_outside_is_proposed_capital_or_halts_as_the_file_says(kind: FindingKind) -> None:
    one = found(kind, base_drops=-3 * XRP, quote=D("7.5"), tx_hash="AB")
    told = answer((one,), live("propose"), CLOSE_TIME)
    assert moved(told.capital) == [(WITHDRAWAL, 3 * XRP, D(0)), (DEPOSIT, 0, D("7.5"))]
    assert all(event.note.startswith("proposed: ") and event.observed for event in told.capital)
    assert {event.created_at for event in told.capital} == {"2000-01-02T00:00:00Z"}
    assert halt_of(told.findings) is None
    strict = answer((one,), live("halt"), CLOSE_TIME)
    assert strict.capital == told.capital  # booked all the same: the balances must add up to the end
    halt = halt_of(strict.findings)
    assert halt is not None
    assert halt.reason is HaltReason.RECONCILER_HALT
    assert "-3 XRP, 7.5 token" in halt.detail


def test_dust_is_booked_and_never_halts() -> None:
    told = answer((found(K.DUST, base_drops=1),), live("halt"), CLOSE_TIME)
    assert moved(told.capital) == [(DEPOSIT, 1, D(0))]
    assert halt_of(told.findings) is None


def test_a_transaction_that_we_did_not_send_costs_its_fee_and_halts() -> None:
    told = answer((found(K.STRANGE_TRANSACTION, fee_drops=12),), live(), CLOSE_TIME)
    assert moved(told.capital) == [(WITHDRAWAL, 12, D(0))]
    assert halt_of(told.findings) is not None


@pytest.mark.parametrize("kind", [K.UNEXPLAINED, K.DIFFERENCE, K.ORPHAN_OFFER])
def test_what_nothing_explains_halts_and_is_booked_nowhere(kind: FindingKind) -> None:
    told = answer((found(kind, base_drops=5, quote=D(1)),), live(), CLOSE_TIME)
    assert told.capital == ()
    assert halt_of(told.findings) is not None


@pytest.mark.parametrize(
    ("kind", "active", "halts"),
    [
        (K.FREEZE, True, True),
        (K.FREEZE, False, False),
        (K.TRUST_LINE, True, False),
        (K.TRUST_LINE, False, True),
    ],
)
def test_a_freeze_and_a_lost_trust_line_halt_and_their_end_does_not(
    kind: FindingKind, active: bool, halts: bool
) -> None:
    told = answer((found(kind, active=active),), live(), CLOSE_TIME)
    assert (halt_of(told.findings) is not None) is halts


@pytest.mark.parametrize("kind", [K.CHAIN_BREAK, K.LEDGER_GAP])
def test_missed_events_that_were_read_again_are_noted(kind: FindingKind) -> None:
    told = answer((found(kind, first_ledger=80, last_ledger=89),), live(), CLOSE_TIME)
    assert [one.name for one in told.findings] == [kind.value]
    assert halt_of(told.findings) is None


def test_what_cannot_be_sent_any_more_has_a_reason_of_its_own() -> None:
    told = answer((found(K.CANNOT_SEND),), live(), CLOSE_TIME)
    assert told.halt is not None
    assert (told.halt.reason, told.halt.detail) == (HaltReason.SUBMISSION_REFUSED, "told")


def test_every_kind_of_finding_has_an_answer() -> None:
    for kind in FindingKind:
        assert answer((found(kind),), live(), CLOSE_TIME).findings[0].name == kind.value


def test_two_like_findings_of_one_transaction_are_two_events() -> None:
    both = answer((found(K.ORPHAN_FILL, quote=D(1)), found(K.ORPHAN_FILL, quote=D(1))), live(), CLOSE_TIME)
    assert len({event.request_id for event in both.capital}) == 2


def test_what_a_ledger_showed_is_applied_even_where_nothing_may_be_withdrawn() -> None:
    opening = (capital(CapitalKind.OPENING, drops=10 * XRP, request_id="open"),)
    inventory = apply_events(empty(), opening, D(2), NOTHING_TO_SPARE).inventory
    gone = answer((found(K.CLAWBACK, base_drops=-4 * XRP),), live(), CLOSE_TIME).capital
    result = apply_events(inventory, gone, D(2), NOTHING_TO_SPARE)
    assert [one.applied for one in result.records] == [True]
    view = accounts(result.inventory, D(2))
    assert view.base_drops == 6 * XRP
    assert view.account_value == view.net_capital == D(12)  # it left as capital: no loss of trading


def test_what_a_ledger_showed_waits_for_the_mark_as_the_opening_does() -> None:
    shown = answer((found(K.PAID_IN, quote=D(3)),), live(), CLOSE_TIME).capital
    result = apply_events(empty(), shown, None, NOTHING_TO_SPARE)
    assert (result.records, result.waiting) == ((), shown)
