"""Monitors of the token itself: what its issuer does to it, and how far it is from what it stands for.

The distance from the peg is |reference / mid - 1| in percent: the reference is another market's price of one
XRP in what the token stands for, the mid is the ledger's price of one XRP in the token.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from neo_engine.config import Config
from neo_engine.domain.account_findings import FindingKind
from neo_engine.domain.market import DataFault
from neo_engine.domain.number import ONE, WORK, ZERO, plain
from neo_engine.domain.severity import Reading, Severity
from neo_engine.risk.monitors.market import believed
from neo_engine.risk.monitors.reading import calm, shown
from neo_engine.risk.state import NO_DEPEG, Depeg, Issuer, Seen

_HUNDRED = Decimal(100)
_LEVELS = (("warn", Severity.WARN), ("pull", Severity.PULL_QUOTES), ("kill", Severity.KILL))


def issuer(memory: Issuer, seen: Seen, config: Config) -> tuple[Issuer, Reading]:
    """Kill when the account's events tell of a freeze, of our line or of the token; pull after a clawback.

    A ledger that shows the token frozen pulls while it does. A clawback pulls for
    `monitors.clawback_pull_seconds`: an issuer that takes back once may do so again, and the next bid would
    buy what he takes.
    """
    findings, held = seen.tick.findings, plain(seen.view.quote)
    taken = [one.quote for one in findings if one.kind is FindingKind.CLAWBACK]
    if taken:
        memory = replace(memory, clawback_at=seen.at, clawed=-sum(taken, ZERO))
    for one in findings:
        if one.kind is FindingKind.FREEZE:
            memory = replace(memory, frozen=one.detail if one.active else "")
    if memory.frozen:
        detail = f"{memory.frozen}; {held} of the token are held"
        return memory, Reading(monitor="issuer", severity=Severity.KILL, detail=detail)
    if DataFault.FROZEN in seen.tick.data_faults:
        detail = f"the issuer has frozen the token; {held} of it are held"
        return memory, Reading(monitor="issuer", severity=Severity.PULL_QUOTES, detail=detail)
    pause = config.monitors.clawback_pull_seconds
    if memory.clawback_at is None or seen.at - memory.clawback_at >= pause:
        return memory, calm("issuer")
    detail = (
        f"the issuer took back {plain(memory.clawed)} of the token {seen.at - memory.clawback_at} s ago "
        f"(monitors.clawback_pull_seconds {pause})"
    )
    return memory, Reading(monitor="issuer", severity=Severity.PULL_QUOTES, detail=detail)


def depeg(memory: Depeg, seen: Seen, config: Config) -> tuple[Depeg, Reading | None]:
    """Warn, pull, kill when the distance from the peg has lasted for `monitors.depeg_seconds`.

    Without a reference it has nothing to say. One that is older than `reference.max_age_seconds` is noted
    once and closes nothing: that another market is silent says nothing of this one.
    """
    reference, snapshot, monitors = seen.tick.reference, seen.tick.snapshot, config.monitors
    if reference is None:
        return NO_DEPEG, calm("depeg")
    oldest = config.reference.max_age_seconds
    if seen.at - reference.at > oldest:
        detail = f"the reference price is {seen.at - reference.at} s old (reference.max_age_seconds {oldest})"
        return NO_DEPEG, Reading(monitor="depeg", severity=Severity.WARN, detail=detail)
    if snapshot is None or not believed(snapshot) or snapshot.mid is None:
        return memory, None
    ratio = WORK.divide(reference.price, snapshot.mid)
    pct = WORK.multiply(abs(WORK.subtract(ratio, ONE)), _HUNDRED)
    limits = (monitors.depeg_warn_pct, monitors.depeg_pull_pct, monitors.depeg_kill_pct)
    since: list[int | None] = []
    found, reached = Severity.NORMAL, ""
    for (name, severity), limit, before in zip(_LEVELS, limits, memory.since, strict=True):
        began = (seen.at if before is None else before) if pct >= limit else None
        since.append(began)
        if began is not None and seen.at - began >= monitors.depeg_seconds:
            found, reached = severity, f"monitors.depeg_{name}_pct {plain(limit)} for {seen.at - began} s"
    after = Depeg(since=(since[0], since[1], since[2]))
    if found is Severity.NORMAL:
        return after, calm("depeg")
    detail = (
        f"the reference {plain(reference.price)} is {shown(pct)} % from the mid {plain(snapshot.mid)} "
        f"({reached}, monitors.depeg_seconds {monitors.depeg_seconds})"
    )
    return after, Reading(monitor="depeg", severity=found, detail=detail)
