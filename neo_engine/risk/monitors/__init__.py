"""The monitors: after each tick each says how bad it finds things (docs/risk.md has the table).

Each is a pure function `(memory, seen, config) -> (memory, reading)`. None for a reading means that the tick
told it nothing: what it said last stands. A threshold acts when it is reached; of the limits on amounts
(position, loss, drawdown) only what is beyond them kills.

No monitor may wait for something that only quoting can bring: what a pull keeps from changing ends by time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from neo_engine.config import Config
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.severity import Reading
from neo_engine.risk.monitors.feed import feed_failures, ledger_stall, staleness, unhealthy_data
from neo_engine.risk.monitors.holdings import (
    balance_jump,
    position_rlusd,
    position_velocity,
    position_xrp,
    reserve_headroom,
)
from neo_engine.risk.monitors.market import cascade, price_velocity
from neo_engine.risk.monitors.sending import fee_burn, reject_rate, submit_errors
from neo_engine.risk.monitors.token import depeg, issuer
from neo_engine.risk.monitors.value import daily_loss, drawdown, loss
from neo_engine.risk.state import Seen

#: The memory's type is each monitor's own.
Judge = Callable[[Any, Seen, Config], tuple[Any, Reading | None]]


class Monitor(msgspec.Struct, frozen=True, kw_only=True):
    """One monitor. remembers: RiskState has a memory of its name. halt: the reason of its KILL, None: it
    never kills.
    """

    name: str
    judge: Judge
    remembers: bool
    halt: HaltReason | None


def _monitor(judge: Judge, halt: HaltReason | None = None, *, remembers: bool = True) -> Monitor:
    return Monitor(name=judge.__name__, judge=judge, remembers=remembers, halt=halt)


_R = HaltReason
#: In this order: of several that kill, the first one's reason is the session's.
MONITORS: tuple[Monitor, ...] = (
    _monitor(feed_failures, _R.RISK_RPC_FAILURE),
    _monitor(staleness, _R.RISK_STALE_LEDGER),
    _monitor(unhealthy_data, _R.RISK_GATEWAY_UNHEALTHY),
    _monitor(position_xrp, _R.RISK_XRP_EXPOSURE, remembers=False),
    _monitor(position_rlusd, _R.RISK_RLUSD_EXPOSURE, remembers=False),
    _monitor(loss, _R.RISK_MAX_LOSS, remembers=False),
    _monitor(daily_loss, _R.RISK_MAX_LOSS),
    _monitor(drawdown, _R.RISK_MAX_DRAWDOWN),
    _monitor(position_velocity, _R.KILL_SWITCH),
    _monitor(cascade, _R.KILL_SWITCH),
    _monitor(price_velocity, _R.KILL_SWITCH),
    _monitor(balance_jump, _R.KILL_SWITCH),
    _monitor(depeg, _R.KILL_SWITCH),
    _monitor(issuer, _R.RECONCILER_HALT),
    _monitor(ledger_stall),
    _monitor(submit_errors),
    _monitor(reject_rate),
    _monitor(reserve_headroom, remembers=False),
    _monitor(fee_burn),
)
