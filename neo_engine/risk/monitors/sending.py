"""Monitors of what we send: refusals in a row, their share, and the fees of a day.

Of creates and replaces only, for cancels must never count against us. Refused: the ledger's or the server's
final `tec`, `tem` or `tef`, or a request the server calls invalid. Accepted: `tes`. What may still become
either (`ter`, `tel`, no answer) is not counted, nor is a dry run's.

While quotes are pulled nothing is sent, so nothing could clear these two counts. Therefore both start again
once nothing was refused for `monitors.refusal_pause_seconds`.
"""

from __future__ import annotations

from neo_engine.config import Config
from neo_engine.domain.number import plain
from neo_engine.domain.severity import Reading, Severity
from neo_engine.risk.monitors.reading import calm
from neo_engine.risk.monitors.value import DAY_SECONDS
from neo_engine.risk.state import NO_ANSWER, NO_REFUSAL, Answers, Burn, Refusals, Seen

_REFUSED = ("tec", "tem", "tef", "invalidTransaction", "invalidParams")


def is_refusal(code: str) -> bool | None:
    """Return whether an answer's code refuses the order for good; None when it decides nothing."""
    return False if code.startswith("tes") else True if code.startswith(_REFUSED) else None


def submit_errors(memory: Refusals, seen: Seen, config: Config) -> tuple[Refusals, Reading]:
    """Pull when so many orders in a row were refused, until the pause is over."""
    monitors, now = config.monitors, seen.at
    if memory.last is not None and now - memory.last >= monitors.refusal_pause_seconds:
        memory = NO_REFUSAL
    for code in seen.tick.results:
        refused = is_refusal(code)
        if refused:
            memory = Refusals(count=memory.count + 1, last=now)
        elif refused is False and memory.count:
            memory = NO_REFUSAL
    if memory.count < monitors.submit_errors_pull:
        return memory, calm("submit_errors")
    detail = (
        f"{memory.count} orders in a row refused (monitors.submit_errors_pull "
        f"{monitors.submit_errors_pull}; again after monitors.refusal_pause_seconds "
        f"{monitors.refusal_pause_seconds})"
    )
    return memory, Reading(monitor="submit_errors", severity=Severity.PULL_QUOTES, detail=detail)


def reject_rate(memory: Answers, seen: Seen, config: Config) -> tuple[Answers, Reading]:
    """Warn, later pull, by the share of refused orders among the last `monitors.reject_window`.

    Fewer than that many answers say nothing yet.
    """
    monitors, now = config.monitors, seen.at
    if memory.last is not None and now - memory.last >= monitors.refusal_pause_seconds:
        memory = NO_ANSWER
    decided = [one for one in map(is_refusal, seen.tick.results) if one is not None]
    if decided:
        memory = Answers(
            refused=(*memory.refused, *decided)[-monitors.reject_window :],
            last=now if any(decided) else memory.last,
        )
    if memory.last is None or len(memory.refused) < monitors.reject_window:
        return memory, calm("reject_rate")
    refused, window = sum(memory.refused), monitors.reject_window
    for severity, key, share in (
        (Severity.PULL_QUOTES, "pull", monitors.reject_pull_share),
        (Severity.WARN, "warn", monitors.reject_warn_share),
    ):
        if refused >= share * window:
            detail = (
                f"{refused} of the last {window} orders refused (monitors.reject_{key}_share {plain(share)})"
            )
            return memory, Reading(monitor="reject_rate", severity=severity, detail=detail)
    return memory, calm("reject_rate")


def fee_burn(memory: Burn, seen: Seen, config: Config) -> tuple[Burn, Reading]:
    """Warn at half of `monitors.fee_pull_drops`, pull at all of it, until the next UTC day begins.

    Counted are the fees of this session and of the account's earlier ones on that day, failed transactions
    in them.
    """
    day, fees, limit = seen.at // DAY_SECONDS, seen.view.fees_drops, config.monitors.fee_pull_drops
    if day != memory.day:
        memory = Burn(day=day, before=memory.fees, fees=fees)
    elif fees != memory.fees:
        memory = Burn(day=day, before=memory.before, fees=fees)
    burned = fees - memory.before
    if 2 * burned < limit:
        return memory, calm("fee_burn")
    severity = Severity.PULL_QUOTES if burned >= limit else Severity.WARN
    detail = f"{burned} drops of fees in this UTC day (monitors.fee_pull_drops {limit}, warned at half of it)"
    return memory, Reading(monitor="fee_burn", severity=severity, detail=detail)
