"""What a transaction pays."""

from __future__ import annotations

import pytest

from neo_engine.domain.errors import InvariantViolation
from neo_engine.execution.fees import Fees
from neo_engine.simulator.server.queue import REPLACE_PERCENT

DAY = 86_400


def fees(base: int = 10, **limits: int) -> Fees:
    made = Fees(**{"max_fee_drops": 5_000, **limits})
    made.ledger(fee_base_drops=base, close_time=0)
    return made


def test_the_fee_is_the_ledgers_base_fee() -> None:
    assert fees(12).fee(cancel=False) == 12


def test_the_open_ledgers_cost_is_paid_while_it_is_told() -> None:
    now = fees()
    now.told(2_000)
    assert now.fee(cancel=False) == 2_000
    now.ledger(fee_base_drops=10, close_time=4)
    assert now.fee(cancel=False) == 10


def test_at_the_cap_a_quote_is_sent_and_above_it_none() -> None:
    now = fees()
    now.told(5_000)
    assert now.fee(cancel=False) == 5_000
    now.told(5_001)
    assert now.fee(cancel=False) is None
    assert now.why_none() == "the network asks 5001 drops a transaction (risk.max_fee_drops 5000)"


def test_a_cancel_pays_up_to_twenty_caps_and_is_never_blocked() -> None:
    now = fees()
    now.told(100_000)
    assert now.fee(cancel=True) == 100_000
    now.told(10_000_000)
    assert now.fee(cancel=True) == 100_000


def test_beyond_the_days_limit_only_cancels_are_sent() -> None:
    now = fees(daily_burn_drops=25)
    now.sent(10)
    assert now.fee(cancel=False) == 10
    now.sent(10)
    assert now.fee(cancel=False) is None  # 20 + 10 > 25
    assert now.fee(cancel=True) == 10
    assert now.why_none() == "20 drops of fees were sent today, the limit is 25"


def test_a_fee_that_is_never_burned_comes_back() -> None:
    now = fees(daily_burn_drops=25)
    now.sent(20)
    now.returned(10)
    assert now.fee(cancel=False) == 10


def test_each_utc_day_begins_anew_and_never_below_zero() -> None:
    now = fees(daily_burn_drops=25)
    now.sent(20)
    now.ledger(fee_base_drops=10, close_time=DAY - 1)
    assert now.burned_today == 20
    now.ledger(fee_base_drops=10, close_time=DAY)
    now.returned(20)
    assert now.burned_today == 0


@pytest.mark.parametrize("paid", [10, 12, 4_000])
def test_a_withdrawal_pays_more_than_the_queue_asks_of_a_rival(paid: int) -> None:
    asked = fees().to_withdraw(paid)
    # What the queue compares with: fee levels of 256 a base fee, cut to whole ones.
    assert asked is not None
    assert asked * 256 // 10 > paid * 256 // 10 * (100 + REPLACE_PERCENT) // 100


def test_no_withdrawal_pays_more_than_a_cancel_may() -> None:
    assert fees(max_fee_drops=100).to_withdraw(1_600) is None  # 2,001 drops against a cap of 2,000
    assert fees(max_fee_drops=100).to_withdraw(1_599) == 1_999


def test_before_the_first_ledger_no_fee_is_known() -> None:
    with pytest.raises(InvariantViolation, match="no validated ledger"):
        Fees(max_fee_drops=10).fee(cancel=True)
