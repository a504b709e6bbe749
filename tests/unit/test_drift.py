"""At its end a session compares its inventory with its rows: a difference is told everywhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from neo_engine.domain.errors import StateError
from neo_engine.domain.records import Accounts
from neo_engine.session import DRIFT_KEY, drift
from tests.unit.test_main_loop import Store, desk, end, ledger

DROPS, QUOTE = 95_000_000, Decimal("230.25")


def accounts() -> Accounts:
    """100 XRP and 220 RLUSD put in, 5 XRP sold for 10.25."""
    return Accounts(
        fills_base_drops=-5_000_000,
        fills_quote=Decimal("10.25"),
        overlay_base_drops=100_000_000,
        overlay_quote=Decimal(220),
        fees_drops=30,
        rounding_quote=Decimal(0),
        cost_basis=Decimal(190),
        net_capital=Decimal(420),
        realised=Decimal("0.25"),
        unrealised=Decimal(0),
        mark=Decimal(2),
        account_value=Decimal("420.24994"),
    )


class Fixed(Store):
    """A store with the rows it was given."""

    def __init__(self, drops: int, quote: Decimal) -> None:
        super().__init__()
        self.rows = (drops, quote)

    def stored_inventory(self) -> tuple[int, Decimal]:
        return self.rows


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


def test_rows_that_give_the_engine_s_inventory_say_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert drift(Fixed(DROPS, Decimal("230.250")), accounts()) == {}
    assert drift(Fixed(1, QUOTE), None) == {}  # no tick, so no inventory to compare
    assert errors(caplog) == []


@pytest.mark.parametrize(
    ("drops", "quote"), [(DROPS + 1, QUOTE), (DROPS, QUOTE + Decimal("0.000000000000001"))]
)
def test_the_smallest_difference_is_an_error_with_both_numbers(
    caplog: pytest.LogCaptureFixture, drops: int, quote: Decimal
) -> None:
    told = json.loads(drift(Fixed(drops, quote), accounts())[DRIFT_KEY])
    assert told == {
        "engine_base_drops": 95_000_000,
        "engine_rlusd": "230.25",
        "stored_base_drops": drops,
        "stored_rlusd": str(quote),
    }
    assert len(errors(caplog)) == 1
    assert f"95000000 drops and 230.25, its rows give {drops} drops and {quote}" in errors(caplog)[0]


def lie(store: Store) -> tuple[int, Decimal]:
    """Answer one drop less than the engine was told."""
    accounts = store.intents[-1].accounts
    return accounts.base_drops - 1, accounts.quote


def fail(store: Store) -> tuple[int, Decimal]:
    raise StateError(f"neo.db: the disk is gone after {len(store.log)} calls")


def ended(
    answer: Callable[[Store], tuple[int, Decimal]], monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Run a session whose store answers so; return its summary, the one it stored, its stored state."""
    monkeypatch.setattr(Store, "stored_inventory", answer)
    d = desk(ledger(1), end(1))
    result = d.run()
    (stored,) = d.store.ends
    return dict(result.summary), json.loads(stored.summary_json or "{}"), dict(stored.state)


def test_a_store_that_lies_is_told_in_state_summary_and_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary, stored, state = ended(lie, monkeypatch)
    told = json.loads(state[DRIFT_KEY])
    assert told["engine_base_drops"] - told["stored_base_drops"] == 1
    assert told["engine_rlusd"] == told["stored_rlusd"]
    assert summary[DRIFT_KEY] == stored[DRIFT_KEY] == state[DRIFT_KEY]
    assert any("inventory drift" in message for message in errors(caplog))


def test_rows_that_cannot_be_read_are_an_error_and_the_session_still_ends(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary, stored, state = ended(fail, monkeypatch)
    assert DRIFT_KEY not in summary | stored | state
    assert any("the disk is gone" in message for message in errors(caplog))


def test_a_store_that_tells_the_truth_leaves_no_word(caplog: pytest.LogCaptureFixture) -> None:
    d = desk(ledger(1), end(1))
    d.run()
    assert DRIFT_KEY not in d.store.ends[0].state
    assert not any("drift" in message for message in errors(caplog))
