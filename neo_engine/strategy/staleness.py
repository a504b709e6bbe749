"""Wider while what the quotes rest on is old: signals that have been warm, and their age in ledgers.

    staleness = 1 up to `staleness_from_ticks` of the oldest signal, `staleness_factor_max` from
                `staleness_full_ticks` on, straight between the two

| signal | age |
|---|---|
| volatility, flow, intensity | ledgers missing in what was learnt; a seen one makes up for one |
| pool | ledgers since it was last there |
| reference | ledger intervals since the price of the other market was made |

1. A signal that never warmed up, or whose feed does not exist, has no age and adds nothing.
2. After GAP_LEDGERS_MAX blind ledgers volatility and flow start anew (`volatility`), so they are not old but
   unknown. A pool that has been away for as long is gone, and the market is one without a pool.
3. Every age falls by ledgers alone: nothing here waits for a trade, and a quiet market is not an old one.

>>> missed(0, 1), missed(0, 21), missed(20, 1)
(0, 20, 19)
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from neo_engine.strategy.chain import rise
from neo_engine.strategy.volatility import GAP_LEDGERS_MAX

Ages = tuple[tuple[str, int], ...]


class AgeState(msgspec.Struct, frozen=True, kw_only=True):
    """Ledgers missing in volatility and flow, and in the intensity; the last ledger with a pool."""

    market: int
    intensity: int
    pool_ledger: int | None


START = AgeState(market=0, intensity=0, pool_ledger=None)


def missed(before: int, elapsed: int) -> int:
    """Return how many ledgers are missing after one that came `elapsed` ledgers after the last one seen."""
    return min(max(before - 1, 0) + elapsed - 1, GAP_LEDGERS_MAX)


def observe(state: AgeState, ledger_index: int, *, elapsed: int | None, has_pool: bool) -> AgeState:
    """Return the state after a believed ledger; elapsed: since the one before, None for the first."""
    market, intensity = state.market, state.intensity
    if elapsed is not None and (elapsed > 1 or market or intensity):
        market = missed(market, elapsed) if elapsed <= GAP_LEDGERS_MAX else 0
        intensity = missed(intensity, elapsed)
    pool = ledger_index if has_pool else state.pool_ledger
    if not has_pool and pool is not None and ledger_index - pool > GAP_LEDGERS_MAX:
        pool = None
    return AgeState(market=market, intensity=intensity, pool_ledger=pool)


def ages(
    state: AgeState, ledger_index: int, reference_age: int | None, *, warm: tuple[bool, bool, bool]
) -> Ages:
    """Return every signal that is not of this ledger; warm: volatility, flow, intensity."""
    found: list[tuple[str, int]] = []
    if state.market or state.intensity:
        lacking = (state.market, state.market, state.intensity)
        names = ("volatility", "flow", "intensity")
        found += [(name, age) for name, age, is_warm in zip(names, lacking, warm, strict=True) if is_warm]
    if state.pool_ledger is not None and ledger_index > state.pool_ledger:
        found.append(("pool", ledger_index - state.pool_ledger))
    if reference_age is not None:
        found.append(("reference", reference_age))
    return tuple((name, age) for name, age in found if age > 0)


def factor(found: Ages, *, fresh: int, full: int, most: Decimal) -> Decimal:
    """Return what the oldest signal asks for."""
    oldest = max((age for _, age in found), default=0)
    return rise(Decimal(oldest), Decimal(fresh), Decimal(full), most)
