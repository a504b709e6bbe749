"""The tables of a report, neutral of how they are shown: the text and the HTML page print the same."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from neo_engine.domain.number import plain
from neo_engine.report.measures import Closure
from neo_engine.report.model import (
    TOUCH_BUCKETS,
    AssetInventory,
    FillStats,
    GateCount,
    NamedCount,
    OrderStats,
    ProfitAndLoss,
    SessionFacts,
    SessionLine,
    SessionSummary,
    TouchSide,
    Uptime,
)
from neo_engine.report.section import MAX_REASONS, NONE, Section, bps, money, pct
from neo_engine.report.sections_more import execution_sections, profit_sections, risk_sections

#: Under a session whose details are gone: what its other tables can no longer say.
PRUNED_NOTE = "ticks, quoting, touch, gates, faults and plots cover what is left of them, money is whole."
_SECONDS_CHARS = len("2026-11-20T20:37:00")
_HASH_CHARS = 8  # of a configuration: enough to tell those of one database apart


def _span(start: str | None, end: str | None) -> str:
    return f"{start or NONE} to {end or NONE}"


def still_open(facts: SessionFacts) -> str:
    """Return why a session has no end."""
    if facts.running is None:
        return "it still runs, or its process died (its lock file cannot be read)"
    if facts.running:
        return f"process {facts.pid or 'unknown'} writes it now"
    return "its process died; the next start on this database closes it"


def _facts(facts: SessionFacts) -> Section:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in facts.ticks_by_kind)
    ended = facts.ended_at or f"not closed: {still_open(facts)}"
    halt = NONE if facts.halt_reason is None else f"{facts.halt_reason} ({facts.halt_meaning})"
    pruned = "" if facts.pruned is None else f"Details removed {facts.pruned}; {PRUNED_NOTE}"
    rows = (
        ("Mode, pair", f"{facts.mode}, {facts.pair}"),
        (
            "Feed",
            f"{facts.feed}, speed {facts.speed or NONE}, seed {NONE if facts.seed is None else facts.seed}",
        ),
        ("Recording", facts.recording or NONE),
        ("Account", facts.account or NONE),
        ("Started", facts.started_at),
        ("Ended", ended),
        ("Market time", _span(facts.market_start, facts.market_end)),
        ("Ledgers", f"{facts.first_ledger or NONE} to {facts.last_ledger or NONE}"),
        ("Ticks", f"{facts.ticks:,}" + (f" ({kinds})" if kinds else "")),
        ("Halt reason", halt),
        ("Halt detail", facts.halt_detail or NONE),
        ("Engine version", facts.engine_version),
        ("Configuration", facts.config_hash or NONE),
        ("Fingerprint", facts.fingerprint or NONE),
        *((("Hypothesis", facts.hypothesis),) if facts.hypothesis else ()),
        *(("Note", note) for note in facts.notes),
    )
    return Section(title="Session", columns=("", ""), left=2, rows=rows, note=pruned)


def _inventory(xrp: AssetInventory, quote: AssetInventory) -> Section:
    rows = tuple(
        (
            item.asset,
            money(item.start),
            money(item.fills_only),
            money(item.capital_overlay),
            money(item.inventory),
            money(item.fees),
            money(item.balance),
        )
        for item in (xrp, quote)
    )
    return Section(
        title="Inventory",
        columns=("Asset", "Start", "Fills-only", "Overlay", "Inventory", "Network fees", "Balance"),
        left=1,
        rows=rows,
        note="Inventory = fills-only + overlay; balance = inventory - network fees.",
    )


def _pnl(pnl: ProfitAndLoss, quote: str) -> Section:
    exact = "no mid was seen, so nothing can be valued"
    if pnl.residue is not None:
        exact = "exactly 0" if pnl.residue == 0 else f"{plain(pnl.residue)}: ERROR, the parts do not add up"
    rows = (
        (f"Mark, {quote} per XRP ({pnl.mark_time or NONE})", money(pnl.mark)),
        ("Realised", money(pnl.realised)),
        ("Unrealised", money(pnl.unrealised)),
        (f"Network fees ({plain(Decimal(pnl.fees_drops).scaleb(-6))} XRP at the mark)", money(pnl.fees)),
        ("Total = realised + unrealised - fees", money(pnl.total)),
        ("Account value", money(pnl.account_value)),
        ("Net capital", money(pnl.net_capital)),
        ("Cost of the XRP held", money(pnl.cost_basis)),
        ("Trust line rounding, within realised", plain(pnl.rounding)),
    )
    return Section(
        title="Profit and loss",
        columns=("", quote),
        left=1,
        rows=rows,
        note=f"Total - (account value - net capital): {exact}.",
    )


def _fills(fills: FillStats, quote: str) -> Section:
    rows = [
        (
            group.side,
            group.liquidity,
            f"{group.count:,}",
            money(group.volume_xrp),
            money(group.volume_quote),
            money(group.average_price),
        )
        for group in fills.groups
    ]
    if rows:
        total = (f"{fills.count:,}", money(fills.volume_xrp), money(fills.volume_quote), NONE)
        rows.append(("all", f"{fills.maker:,} maker, {fills.taker:,} taker", *total))
    return Section(
        title="Fills",
        columns=("Side", "Liquidity", "Fills", "XRP", quote, "Average price"),
        left=2,
        rows=tuple(rows),
        note="" if rows else "No fills.",
    )


def _orders(orders: OrderStats) -> tuple[Section, ...]:
    outcome_rows = tuple(
        (item.status, item.result_code or NONE, f"{item.count:,}", pct(item.count, orders.count))
        for item in orders.outcomes
    )
    transaction_rows = tuple(
        (item.kind, item.result or "in no ledger", f"{item.count:,}", f"{item.fees_drops:,}")
        for item in orders.transactions
    )
    sections = [
        Section(
            title="Orders",
            columns=("Status", "Result code", "Orders", "Share"),
            left=2,
            rows=outcome_rows,
            note=(
                f"{orders.count:,} orders, {orders.filled:,} filled, {orders.partly_filled:,} filled in part."
                if orders.count
                else "No orders."
            ),
        )
    ]
    if orders.refusals:
        shown = orders.refusals[:MAX_REASONS]
        sections.append(
            Section(
                title="Denied, rejected and unknown orders",
                columns=("Status", "Reason", "Orders"),
                left=2,
                detail=1,
                rows=tuple((item.status, item.reason, f"{item.count:,}") for item in shown),
                note=_beyond(len(orders.refusals)),
            )
        )
    if transaction_rows:
        sections.append(
            Section(
                title="Transactions",
                columns=("Kind", "Result", "Transactions", "Fees, drops"),
                left=2,
                rows=transaction_rows,
                note="",
            )
        )
    return tuple(sections)


def _beyond(count: int) -> str:
    return f"{count - MAX_REASONS} more kinds are in the JSON form." if count > MAX_REASONS else ""


def _uptime(uptime: Uptime) -> Section:
    cells = (
        ("both sides", uptime.both),
        ("bid only", uptime.bid),
        ("ask only", uptime.ask),
        ("none", uptime.none),
        ("bid at all", uptime.both + uptime.bid),
        ("ask at all", uptime.both + uptime.ask),
    )
    rows = tuple((name, f"{count:,}", pct(count, uptime.ticks)) for name, count in cells)
    return Section(
        title="Uptime",
        columns=("Quoting", "Ticks", "Share of all ticks"),
        left=1,
        rows=rows,
        note="" if uptime.ticks else "No ticks.",
    )


def _touch(sides: tuple[TouchSide, ...]) -> Section:
    rows = tuple(
        (
            side.side,
            f"{side.measured_ticks:,}",
            pct(side.at_touch, side.measured_ticks),
            pct(side.within_2bps, side.measured_ticks),
            bps(side.mean_bps),
            bps(side.median_bps),
            *(pct(count, side.measured_ticks) for count in side.buckets),
        )
        for side in sides
    )
    return Section(
        title="Distance to touch",
        columns=(
            "Side",
            "Ticks",
            "At it",
            "<= 2 bps",
            "Mean",
            "Median",
            *(f"{name} bps" for name in TOUCH_BUCKETS),
        ),
        left=1,
        rows=rows,
        note="bps of mid while our offer stood; negative is behind the touch. At or inside it is 0-2.",
    )


def _gates(gates: tuple[GateCount, ...], closures: tuple[Closure, ...], ticks: int) -> Section:
    alone = {(one.name, one.side): one.alone for one in closures}
    rows = tuple(
        (
            gate.name,
            gate.side,
            gate.last_detail,
            f"{gate.ticks:,}",
            f"{alone[gate.name, gate.side]:,}",
            pct(gate.ticks, ticks),
        )
        for gate in gates[:MAX_REASONS]
    )
    return Section(
        title="Why there was no quote",
        columns=("Gate", "Side", "Last detail", "Ticks", "Alone", "Share"),
        left=3,
        detail=2,
        rows=rows,
        note=f"Alone: no other gate closed anything then. {_beyond(len(gates))}".rstrip()
        if gates
        else "No gate closed.",
    )


def _faults(items: tuple[NamedCount, ...]) -> Section:
    rows = tuple((item.name, item.last_detail, f"{item.count:,}") for item in items)
    return Section(
        title="Feed faults",
        columns=("Kind", "Last detail", "Faults"),
        left=2,
        detail=1,
        rows=rows,
        note="" if rows else "No feed faults.",
    )


def _findings(items: tuple[NamedCount, ...]) -> Section:
    rows = tuple((item.name, item.group, item.last_detail, f"{item.count:,}") for item in items)
    return Section(
        title="Reconciliation findings",
        columns=("Finding", "Severity", "Last detail", "Findings"),
        left=3,
        detail=2,
        rows=rows,
        note="" if rows else "No findings.",
    )


class Chapter(msgspec.Struct, frozen=True, kw_only=True):
    """Tables that belong together, under one heading."""

    title: str
    sections: tuple[Section, ...]


def chapters(summary: SessionSummary) -> tuple[Chapter, ...]:
    """Return every table of the report, in reading order."""
    quote = summary.facts.quote_symbol
    return (
        Chapter(title="Session", sections=(_facts(summary.facts),)),
        Chapter(
            title="Money",
            sections=(
                _pnl(summary.pnl, quote),
                *profit_sections(summary.attribution, quote),
                _inventory(summary.xrp, summary.quote),
            ),
        ),
        Chapter(
            title="Execution",
            sections=(
                _fills(summary.fills, quote),
                *execution_sections(summary.execution, quote),
                _touch(summary.touch),
                _uptime(summary.uptime),
                _gates(summary.gates, summary.execution.closures, summary.uptime.ticks),
                *_orders(summary.orders),
            ),
        ),
        Chapter(
            title="Risk",
            sections=(
                *risk_sections(summary.risk, quote),
                _faults(summary.faults),
                _findings(summary.findings),
            ),
        ),
    )


def sections(summary: SessionSummary) -> tuple[Section, ...]:
    """Return every table of the report, in reading order."""
    return tuple(section for chapter in chapters(summary) for section in chapter.sections)


def sessions_sections(lines: tuple[SessionLine, ...]) -> tuple[Section, ...]:
    """Return the list of all sessions as a table, and the experiment log as another."""
    rows = tuple(
        (
            str(line.session_id),
            line.mode,
            line.feed,
            line.started_at[:_SECONDS_CHARS],
            line.halt_reason or "not closed",
            f"{line.ticks:,}",
            f"{line.fills:,}",
        )
        for line in lines
    )
    listed = Section(
        title="Sessions",
        columns=("Id", "Mode", "Feed", "Started (UTC)", "Halt reason", "Ticks", "Fills"),
        left=5,
        rows=rows,
        note="" if rows else "No sessions.",
    )
    if not rows:
        return (listed,)
    log = tuple(
        (
            str(line.session_id),
            line.config_hash[:_HASH_CHARS],
            line.hypothesis or NONE,
            line.notes or NONE,
            money(line.profit),
        )
        for line in lines
    )
    return (
        listed,
        Section(
            title="Experiment log",
            columns=("Id", "Config", "Hypothesis", "Notes", "P&L"),
            left=4,
            rows=log,
            note="--hypothesis of a session says what it is to find out, `note` what came of it.",
        ),
    )


def reconciliation_lines(summary: SessionSummary) -> tuple[str, ...]:
    """Return one line an asset: fills-only + overlay against the engine's own total, every digit shown.

    Before the first tick the engine has no total and the sum of the rows stands in its place.
    """
    lines = []
    for item in (summary.xrp, summary.quote):
        total = item.inventory if item.engine_total is None else item.engine_total
        parts = (
            ("fills-only", item.fills_only),
            ("capital_overlay", item.capital_overlay),
            ("engine_total", total),
        )
        text = ", ".join(f"{name}={plain(value)} {item.asset}" for name, value in parts)
        lines.append(f"Inventory reconciliation: {text}")
    return tuple(lines)


def agreement_lines(summary: SessionSummary) -> tuple[str, ...]:
    """Return `Report against engine: equal`, or an ERROR line for every number that differs."""
    agreement = summary.agreement
    lines = [
        f"ERROR: {item.name}: report {item.report}, engine {item.engine}" for item in agreement.differences
    ]
    if agreement.agrees is None:
        lines.append("Report against engine: nothing to compare yet")
    elif agreement.agrees:
        lines.append(f"Report against engine: equal ({len(agreement.comparisons)} numbers)")
    else:
        lines.append(
            f"Report against engine: NOT EQUAL ({len(lines)} of {len(agreement.comparisons)} numbers differ)"
        )
    if agreement.missing:
        lines.append(f"Not stored by the engine, so not compared: {', '.join(agreement.missing)}")
    return tuple(lines)
