"""The monitors: after each tick, may the session go on, and may it quote?

Halts, first that applies (the meaning of each is in domain/halt.py, the page in docs/risk.md):
kill switch, feed failures, stale ledger, unhealthy data, XRP exposure, RLUSD exposure, loss, drawdown.

Drawdown is measured on the account value net of capital events, so that a withdrawal is no drawdown:

    value = start_value + (account_value - net_capital)
    drawdown_pct = (peak - value) x 100 / max(peak, minimum peak)

The minimum peak (the larger of 1 RLUSD and 2 % of the largest position the limits allow) keeps a
nearly empty account from halting on noise. `drawdown_pct` is the one formula for deciding and showing.

>>> drawdown_of(Decimal(90), Decimal(100), Decimal(8))
Decimal('10')
"""

from __future__ import annotations

from decimal import Decimal

from neo_engine.config import Config
from neo_engine.domain.halt import Halt, HaltReason
from neo_engine.domain.market import DataFault
from neo_engine.domain.number import ONE, WORK, ZERO, plain, xrp_from_drops
from neo_engine.domain.records import Accounts, Gate
from neo_engine.risk.exposure import max_drops
from neo_engine.risk.state import RiskAssessment, RiskObservation, RiskState

STALE_GATE = "StaleData"
#: Faults that say something about the market, not about whether the server can be believed.
HARMLESS_FAULTS = frozenset({DataFault.EMPTY_SIDE, DataFault.FROZEN})
MINIMUM_PEAK = ONE  # RLUSD
MINIMUM_PEAK_SHARE = Decimal("0.02")  # of the largest allowed position's value
_HUNDRED = Decimal(100)
_PLACES = Decimal("0.0001")


def minimum_peak(config: Config, mark: Decimal) -> Decimal:
    """Return the least peak a drawdown is measured against, in RLUSD, at `mark` RLUSD per XRP."""
    position = max(WORK.multiply(config.risk.max_xrp_exposure, mark), config.risk.max_rlusd_exposure)
    return max(MINIMUM_PEAK, WORK.multiply(position, MINIMUM_PEAK_SHARE))


def drawdown_of(value: Decimal, peak: Decimal, least_peak: Decimal) -> Decimal:
    """Return by how many percent `value` lies below `peak` (0 at or above it)."""
    fall = WORK.subtract(peak, value)
    if fall <= 0:
        return ZERO
    return WORK.divide(WORK.multiply(fall, _HUNDRED), max(peak, least_peak))


def _text(value: Decimal) -> str:
    """Return a number for a person: at most four decimals, rounded to nearest, no trailing zeros."""
    return plain(value.quantize(_PLACES)) if abs(value) < Decimal("1e20") else plain(value)


def _feed_halt(state: RiskState, seen: RiskObservation, config: Config, age: int) -> Halt | None:
    """Return the halt that the operator, the feed or its data ask for, or None."""
    risk = config.risk
    if seen.kill:
        return Halt(reason=HaltReason.KILL_SWITCH, detail="; ".join(seen.kill))
    if state.feed_failures >= risk.max_feed_failures:
        return Halt(
            reason=HaltReason.RISK_RPC_FAILURE,
            detail=f"{state.feed_failures} faulty messages in a row (risk.max_feed_failures "
            f"{risk.max_feed_failures})",
        )
    if age >= risk.stale_halt_seconds:
        return Halt(
            reason=HaltReason.RISK_STALE_LEDGER,
            detail=f"no validated ledger for {age} s (risk.stale_halt_seconds {risk.stale_halt_seconds})",
        )
    if state.unhealthy_ticks >= risk.max_unhealthy_ticks:
        faults = ", ".join(fault.value for fault in seen.data_faults)
        return Halt(
            reason=HaltReason.RISK_GATEWAY_UNHEALTHY,
            detail=f"{state.unhealthy_ticks} ledgers in a row with untrusted data (risk.max_unhealthy_ticks "
            f"{risk.max_unhealthy_ticks}); last: {faults}",
        )
    return None


def _exposure_halt(view: Accounts, config: Config) -> Halt | None:
    """Return the halt for holding more than allowed, or None. At the limit is allowed."""
    risk = config.risk
    if view.base_drops > max_drops(config):
        return Halt(
            reason=HaltReason.RISK_XRP_EXPOSURE,
            detail=f"{plain(xrp_from_drops(view.base_drops))} XRP held (risk.max_xrp_exposure "
            f"{plain(risk.max_xrp_exposure)})",
        )
    if view.quote > risk.max_rlusd_exposure:
        return Halt(
            reason=HaltReason.RISK_RLUSD_EXPOSURE,
            detail=f"{plain(view.quote)} RLUSD held (risk.max_rlusd_exposure "
            f"{plain(risk.max_rlusd_exposure)})",
        )
    return None


def _loss_halt(view: Accounts, state: RiskState, config: Config, drawdown: Decimal) -> Halt | None:
    """Return the halt for what was lost, or None. At the limit is allowed."""
    risk = config.risk
    loss = WORK.subtract(view.net_capital, view.account_value)
    if loss > risk.max_loss_rlusd:
        return Halt(
            reason=HaltReason.RISK_MAX_LOSS,
            detail=f"session P&L {_text(-loss)} RLUSD (risk.max_loss_rlusd {plain(risk.max_loss_rlusd)})",
        )
    if drawdown > risk.max_drawdown_pct:
        peak = state.peak_value or ZERO
        return Halt(
            reason=HaltReason.RISK_MAX_DRAWDOWN,
            detail=f"drawdown {_text(drawdown)} % from a peak of {_text(peak)} RLUSD "
            f"(risk.max_drawdown_pct {plain(risk.max_drawdown_pct)})",
        )
    return None


def _drawdown(state: RiskState, view: Accounts, config: Config) -> tuple[Decimal, Decimal, Decimal]:
    """Return (start value, peak value, drawdown in percent) once a mark is known."""
    mark = view.mark if view.mark is not None else ZERO
    start = state.start_value if state.start_value is not None else view.net_capital
    value = WORK.add(start, WORK.subtract(view.account_value, view.net_capital))
    peak = value if state.peak_value is None else max(state.peak_value, value)
    return start, peak, drawdown_of(value, peak, minimum_peak(config, mark))


def assess(
    state: RiskState, view: Accounts, observation: RiskObservation, config: Config, now: int
) -> RiskAssessment:
    """Return whether the session may go on and quote after this tick.

    now: the feed's time, seconds since 2000-01-01. Failures are counted before a good ledger clears
    them, so that a burst that ended with one is still seen. A tick without a ledger neither adds to
    nor clears the count of unhealthy ledgers: its age is judged instead. Before a mark is known
    there is no loss and no drawdown.
    """
    failures = state.feed_failures + observation.feed_faults
    unhealthy = state.unhealthy_ticks
    last = state.last_ledger_time
    if observation.close_time is not None:
        last = observation.close_time
        trusted = not observation.data_faults or HARMLESS_FAULTS.issuperset(observation.data_faults)
        unhealthy = 0 if trusted else unhealthy + 1
    start, peak, drawdown = state.start_value, state.peak_value, ZERO
    if view.mark is not None:
        start, peak, drawdown = _drawdown(state, view, config)
    judged = RiskState(
        start_value=start,
        peak_value=peak,
        feed_failures=failures,
        unhealthy_ticks=unhealthy,
        last_ledger_time=last,
    )
    age = now - last
    halt = _feed_halt(judged, observation, config, age) or _exposure_halt(view, config)
    if halt is None and view.mark is not None:
        halt = _loss_halt(view, judged, config, drawdown)
    gates: tuple[Gate, ...] = ()
    pull = config.risk.stale_pull_seconds
    if age >= pull:
        detail = f"no validated ledger for {age} s (risk.stale_pull_seconds {pull})"
        gates = (Gate(name=STALE_GATE, side="both", detail=detail),)
    if observation.close_time is not None and failures:
        judged = RiskState(
            start_value=start,
            peak_value=peak,
            feed_failures=0,
            unhealthy_ticks=unhealthy,
            last_ledger_time=last,
        )
    return RiskAssessment(state=judged, halt=halt, gates=gates, drawdown_pct=drawdown)
