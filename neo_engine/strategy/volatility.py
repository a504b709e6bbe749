"""How much the mid moves: EWMA volatility and average true range, both in bps a ledger.

With r = (mid - previous mid) / previous mid in bps:

    variance <- variance + a (r^2 - variance),   a = max(1 - 2^(-1/halflife), 1/n)
    range    <- range + b (|r| - range),         b = max(1/atr_ticks, 1/n)

where n counts the returns seen, so that both begin as plain means and no first value weighs for ever.
The first is the RiskMetrics estimator (J.P. Morgan 1996) with the half-life instead of lambda; the
second is Wilder's average true range (New Concepts in Technical Trading Systems, 1978), where the
true range of two successive mids is their distance.

1. Only believed mids feed the estimators; a tick with a fault neither feeds nor resets them.
2. After a gap of g ledgers the return counts as g returns of equal variance r^2 / g (and g moves of
   |r| / g): a jump seen after ten blind ledgers is not taken for the jump of one.
3. After more than GAP_LEDGERS_MAX ledgers what was known is out of date: warm-up starts again.

>>> state = start(30)
>>> for ledger, mid in ((1, "2.0000"), (2, "2.0004"), (3, "2.0004")):
...     state = observe(state, Decimal(mid), ledger, atr_ticks=14)
>>> state.mids, state.variance, state.range_bps  # (2^2 + 0^2) / 2 and (2 + 0) / 2
(3, Decimal('2.0'), Decimal('1.0'))
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from neo_engine.domain.number import BPS, ONE, WORK

#: About four minutes of ledgers; a volatility older than that is no estimate of the present one.
GAP_LEDGERS_MAX = 60


class VolatilityState(msgspec.Struct, frozen=True, kw_only=True):
    """What the estimators remember. variance in bps^2 a ledger, range_bps in bps a ledger.

    decay: weight that one ledger leaves to the past. mid, ledger_index: the last believed ones.
    mids: believed mids since the warm-up (re)started. variance is None before the first return.
    """

    decay: Decimal
    mid: Decimal | None
    ledger_index: int
    mids: int
    variance: Decimal | None
    range_bps: Decimal | None

    @property
    def volatility_bps(self) -> Decimal | None:
        """Standard deviation of one ledger's return in bps, or None before the first return."""
        return None if self.variance is None else self.variance.sqrt()


def start(halflife_ticks: int) -> VolatilityState:
    """Return the state before any mid. halflife_ticks: after so many ledgers a return weighs half."""
    decay = WORK.exp(WORK.divide(WORK.ln(Decimal("0.5")), Decimal(halflife_ticks)))
    return VolatilityState(decay=decay, mid=None, ledger_index=0, mids=0, variance=None, range_bps=None)


def observe(state: VolatilityState, mid: Decimal, ledger_index: int, *, atr_ticks: int) -> VolatilityState:
    """Return the state after a believed mid (finite, positive). An old or repeated ledger changes nothing."""
    elapsed = ledger_index - state.ledger_index
    if state.mid is None or elapsed > GAP_LEDGERS_MAX:
        return VolatilityState(
            decay=state.decay, mid=mid, ledger_index=ledger_index, mids=1, variance=None, range_bps=None
        )
    if elapsed <= 0:
        return state
    move = abs(mid - state.mid) * BPS / state.mid
    square = move * move
    if elapsed > 1:
        square, move = square / elapsed, move / elapsed
    variance, range_bps = square, move
    if state.variance is not None and state.range_bps is not None:
        kept, floor = power(state.decay, elapsed), ONE / state.mids
        variance = state.variance + max(ONE - kept, floor) * (square - state.variance)
        weight = max(min(ONE, Decimal(elapsed) / atr_ticks), floor)
        range_bps = state.range_bps + weight * (move - state.range_bps)
    return VolatilityState(
        decay=state.decay,
        mid=mid,
        ledger_index=ledger_index,
        mids=state.mids + 1,
        variance=variance,
        range_bps=range_bps,
    )


def power(decay: Decimal, ledgers: int) -> Decimal:
    """Return decay^ledgers by plain products: their rounding is the same everywhere, `**` need not be."""
    kept = decay
    for _ in range(ledgers - 1):
        kept *= decay
    return kept
