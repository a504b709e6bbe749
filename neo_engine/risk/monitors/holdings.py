"""Monitors of what is held: position and its velocity, unexplained balance jumps, XRP above the reserve."""

from __future__ import annotations

from decimal import Decimal

from neo_engine.config import Config
from neo_engine.domain.number import EXACT, WORK, plain, xrp_from_drops
from neo_engine.domain.severity import Reading, Severity
from neo_engine.risk.exposure import max_drops
from neo_engine.risk.monitors.reading import calm, shown
from neo_engine.risk.state import NO_JUMP, Holdings, Jump, Seen

BID, ASK = "bid", "ask"
_HUNDRED = Decimal(100)


def position_xrp(memory: None, seen: Seen, config: Config) -> tuple[None, Reading]:
    """Reduce only from the soft limit on: bids are closed. Kill above `risk.max_xrp_exposure`."""
    held, limit = xrp_from_drops(seen.view.base_drops), config.risk.max_xrp_exposure
    share = config.inventory.soft_limit_share
    if seen.view.base_drops > max_drops(config):
        detail = f"{plain(held)} XRP held (risk.max_xrp_exposure {plain(limit)})"
        return memory, Reading(monitor="position_xrp", severity=Severity.KILL, detail=detail)
    if held < share * limit:
        return memory, calm("position_xrp")
    detail = (
        f"{plain(held)} XRP held, from {plain(share * limit)} on only asks (inventory.soft_limit_share "
        f"{plain(share)} of risk.max_xrp_exposure {plain(limit)})"
    )
    return memory, Reading(monitor="position_xrp", severity=Severity.REDUCE_ONLY, detail=detail, closes=BID)


def position_rlusd(memory: None, seen: Seen, config: Config) -> tuple[None, Reading]:
    """Reduce only from the soft limit on: asks are closed. Kill above `risk.max_rlusd_exposure`."""
    held, limit = seen.view.quote, config.risk.max_rlusd_exposure
    share = config.inventory.soft_limit_share
    if held > limit:
        detail = f"{plain(held)} RLUSD held (risk.max_rlusd_exposure {plain(limit)})"
        return memory, Reading(monitor="position_rlusd", severity=Severity.KILL, detail=detail)
    if held < share * limit:
        return memory, calm("position_rlusd")
    detail = (
        f"{plain(held)} RLUSD held, from {plain(share * limit)} on only bids (inventory.soft_limit_share "
        f"{plain(share)} of risk.max_rlusd_exposure {plain(limit)})"
    )
    return memory, Reading(monitor="position_rlusd", severity=Severity.REDUCE_ONLY, detail=detail, closes=ASK)


def position_velocity(memory: Holdings, seen: Seen, config: Config) -> tuple[Holdings, Reading]:
    """Warn, pull, kill by how far fills moved the XRP held within the window.

    velocity = largest distance of the XRP held now from what was held at any time of the last
    `monitors.velocity_window_seconds`, in percent of `risk.max_xrp_exposure`. Fills only: money that is
    put in or taken out is no runaway.
    """
    monitors, held, steps = config.monitors, seen.view.fills_base_drops, memory.steps
    if len(steps) == 1 and steps[0][1] == held:
        return memory, calm("position_velocity")
    if steps[-1][1] != held:
        steps = (*steps, (seen.at, held))
    begin = seen.at - monitors.velocity_window_seconds
    gone = 0
    while gone + 1 < len(steps) and steps[gone + 1][0] <= begin:
        gone += 1
    steps = steps[gone:]
    moved = max(abs(held - drops) for _since, drops in steps)
    xrp, limit = xrp_from_drops(moved), config.risk.max_xrp_exposure
    pct = WORK.divide(WORK.multiply(xrp, _HUNDRED), limit)
    after = Holdings(steps=steps)
    for severity, key, threshold in (
        (Severity.KILL, "kill", monitors.velocity_kill_pct),
        (Severity.PULL_QUOTES, "pull", monitors.velocity_pull_pct),
        (Severity.WARN, "warn", monitors.velocity_warn_pct),
    ):
        if pct >= threshold:
            detail = (
                f"{plain(xrp)} XRP in {monitors.velocity_window_seconds} s, {shown(pct)} % of "
                f"risk.max_xrp_exposure {plain(limit)} (monitors.velocity_{key}_pct {plain(threshold)})"
            )
            return after, Reading(monitor="position_velocity", severity=severity, detail=detail)
    return after, calm("position_velocity")


def balance_jump(memory: Jump, seen: Seen, config: Config) -> tuple[Jump, Reading | None]:
    """Warn when the ledger's balance leaves our books by a large amount, kill when it stays there.

    Books are what fills, capital events and fees make of it. Large: `monitors.balance_jump_pct` percent of
    the position limit of the asset. A fill heard of within `monitors.balance_jump_seconds` explains it.
    """
    account, books, monitors = seen.tick.account, seen.tick.books, config.monitors
    if account is None or books is None or seen.tick.close_time is None:
        return memory, None
    xrp = account.balance_drops - (books.base_drops - books.fees_drops)
    quote = EXACT.subtract(account.quote_balance, books.quote) if account.quote_balance.is_finite() else None
    if not xrp and quote is not None and not quote:
        return NO_JUMP, calm("balance_jump")
    large = monitors.balance_jump_pct / _HUNDRED
    far_xrp = abs(xrp_from_drops(xrp)) >= large * config.risk.max_xrp_exposure
    far_quote = quote is None or abs(quote) >= large * config.risk.max_rlusd_exposure
    at = seen.tick.close_time
    after = Jump(
        xrp_since=(at if memory.xrp_since is None else memory.xrp_since) if far_xrp else None,
        quote_since=(at if memory.quote_since is None else memory.quote_since) if far_quote else None,
    )
    since = [one for one in (after.xrp_since, after.quote_since) if one is not None]
    if not since:
        return after, calm("balance_jump")
    age = at - min(since)
    by = f"{plain(xrp_from_drops(xrp))} XRP and {'no number of' if quote is None else plain(quote)} RLUSD"
    detail = (
        f"the ledger's balance is {by} from our books for {age} s (monitors.balance_jump_pct "
        f"{plain(monitors.balance_jump_pct)}, monitors.balance_jump_seconds {monitors.balance_jump_seconds})"
    )
    severity = Severity.KILL if age >= monitors.balance_jump_seconds else Severity.WARN
    return after, Reading(monitor="balance_jump", severity=severity, detail=detail)


def reserve_headroom(memory: None, seen: Seen, config: Config) -> tuple[None, Reading | None]:
    """Warn, later close asks, when little XRP is left above the account's reserves."""
    account, snapshot, monitors = seen.tick.account, seen.tick.snapshot, config.monitors
    if account is None or snapshot is None:
        return memory, None
    reserve = snapshot.base_reserve_drops + account.owner_count * snapshot.owner_reserve_drops
    free = xrp_from_drops(account.balance_drops - reserve)
    if free >= monitors.reserve_warn_xrp:
        return memory, calm("reserve_headroom")
    text = f"{plain(free)} XRP above the reserve of {plain(xrp_from_drops(reserve))}"
    if free >= monitors.reserve_reduce_xrp:
        detail = f"{text} (monitors.reserve_warn_xrp {plain(monitors.reserve_warn_xrp)})"
        return memory, Reading(monitor="reserve_headroom", severity=Severity.WARN, detail=detail)
    detail = f"{text} (monitors.reserve_reduce_xrp {plain(monitors.reserve_reduce_xrp)})"
    return memory, Reading(
        monitor="reserve_headroom", severity=Severity.REDUCE_ONLY, detail=detail, closes=ASK
    )
