"""Fills read from metadata against what accounts really own, and against the main network's own events."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tools.check_balances import check
from tools.check_balances import main as check_balances
from tools.check_mainnet_fills import differences
from tools.check_mainnet_fills import main as check_mainnet

DATA = Path(__file__).resolve().parents[1] / "data"
TRANSACTIONS = DATA / "mainnet" / "transactions_2026-05.jsonl.gz"
EVENTS = DATA / "mainnet" / "xrp_rlusd_events_2026-05.csv"
#: Balances lie below 1,000,000 RLUSD: one unit of their 16 digits is at most 1e-10.
ULP = Decimal("1e-10")


@pytest.mark.parametrize(("name", "ledgers"), [("calm_cut.jsonl.gz", 60), ("hostile_cut.jsonl.gz", 50)])
def test_fills_fees_and_payments_add_up_to_the_balance_in_every_ledger(name: str, ledgers: int) -> None:
    equal, checked, sums, wrong = check(DATA / name)
    assert (equal, checked, wrong) == (ledgers, ledgers, [])
    assert sums.fills > 50
    assert sums.rounding_max <= ULP


def test_every_event_of_five_main_network_ledgers_is_found_and_no_other() -> None:
    assert differences(TRANSACTIONS, EVENTS) == (135, [])


def test_an_event_that_never_was_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = EVENTS.read_text(encoding="utf-8")
    wrong = tmp_path / "events.csv"
    wrong.write_text(text.replace(",118.844543393653,", ",118.844543393654,"), encoding="utf-8")
    assert check_mainnet([str(TRANSACTIONS), str(wrong)]) == 1
    assert "not found" in capsys.readouterr().out


def test_the_tools_say_how_they_are_used(tmp_path: Path) -> None:
    assert check_mainnet([]) == 2
    assert check_balances([]) == 2
    assert check_balances([str(tmp_path / "nowhere")]) == 2
    assert check_balances([str(DATA / "calm_cut.jsonl.gz")]) == 0
