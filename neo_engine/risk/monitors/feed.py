"""Monitors of the feed: faulty messages in a row, the age of the newest ledger, data not to be trusted."""

from __future__ import annotations

from neo_engine.config import Config
from neo_engine.domain.market import DataFault
from neo_engine.domain.severity import Reading, Severity
from neo_engine.risk.monitors.reading import calm
from neo_engine.risk.state import Age, Count, Seen

#: Faults that say something about the market, not about whether the server can be believed.
HARMLESS_FAULTS = frozenset({DataFault.EMPTY_SIDE, DataFault.FROZEN})
_NONE = Count(count=0)


def feed_failures(memory: Count, seen: Seen, config: Config) -> tuple[Count, Reading]:
    """Kill when so many messages in a row were faulty. They are counted before a good ledger clears them,
    so that a burst that ended with one is still seen.
    """
    count, limit = memory.count + seen.tick.feed_faults, config.risk.max_feed_failures
    after = memory if count == memory.count else Count(count=count)
    if seen.tick.close_time is not None and count:
        after = _NONE
    if count < limit:
        return after, calm("feed_failures")
    detail = f"{count} faulty messages in a row (risk.max_feed_failures {limit})"
    return after, Reading(monitor="feed_failures", severity=Severity.KILL, detail=detail)


def staleness(memory: Age, seen: Seen, config: Config) -> tuple[Age, Reading]:
    """Pull, later kill, when the newest ledger is so many seconds old, also when it is as it comes."""
    if seen.tick.close_time is not None:
        memory = Age(last_ledger_time=seen.tick.close_time)
    age, risk = seen.at - memory.last_ledger_time, config.risk
    if age >= risk.stale_halt_seconds:
        severity, limit = Severity.KILL, f"risk.stale_halt_seconds {risk.stale_halt_seconds}"
    elif age >= risk.stale_pull_seconds:
        severity, limit = Severity.PULL_QUOTES, f"risk.stale_pull_seconds {risk.stale_pull_seconds}"
    else:
        return memory, calm("staleness")
    detail = f"no validated ledger for {age} s ({limit})"
    return memory, Reading(monitor="staleness", severity=severity, detail=detail)


def unhealthy_data(memory: Count, seen: Seen, config: Config) -> tuple[Count, Reading | None]:
    """Kill when so many ledgers in a row had data not to be trusted. A tick without a ledger neither adds
    nor clears: its age is judged instead.
    """
    if seen.tick.close_time is None:
        return memory, None
    faults = seen.tick.data_faults
    if not faults or HARMLESS_FAULTS.issuperset(faults):
        return _NONE, calm("unhealthy_data")
    count, limit = memory.count + 1, config.risk.max_unhealthy_ticks
    if count < limit:
        return Count(count=count), calm("unhealthy_data")
    detail = (
        f"{count} ledgers in a row with untrusted data (risk.max_unhealthy_ticks {limit}); "
        f"last: {', '.join(fault.value for fault in faults)}"
    )
    return Count(count=count), Reading(monitor="unhealthy_data", severity=Severity.KILL, detail=detail)
