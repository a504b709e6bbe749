"""The tables of a report, neutral of how they are shown: the text and the HTML page print the same.

Amounts in RLUSD are shown with 6 decimals, rounded half to even; XRP has 6 by nature; prices 6; shares 1
and bps 2. The exact numbers are in the JSON form.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from neo_engine.domain.number import NEAREST, plain
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
    share_pct,
)

NONE = "-"
#: Under a session whose details are gone: what its other tables can no longer say.
PRUNED_NOTE = "ticks, quoting, touch, gates, faults and plots cover what is left of them, money is whole."
MAX_REASONS = 15  # rows of a table of reasons; what lies beyond is counted in its note
MAX_DETAIL_CHARS = 60
_SECONDS_CHARS = len("2026-11-20T20:37:00")
_SIX, _TWO, _ONE = Decimal("0.000001"), Decimal("0.01"), Decimal("0.1")


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One table: `columns` name the cells of a row; the first `left` are text, the others numbers."""

    title: str
    columns: tuple[str, ...]
    left: int
    rows: tuple[tuple[str, ...], ...]
    note: str


def money(value: Decimal | None) -> str:
    """Return an amount or a price with 6 decimals, thousands separated; `-` for none."""
    return NONE if value is None else f"{value.quantize(_SIX, rounding=NEAREST):,f}"


def pct(count: int, total: int) -> str:
    """Return a share in percent with one decimal."""
    return f"{share_pct(count, total).quantize(_ONE, rounding=NEAREST):f} %"


def _bps(value: Decimal | None) -> str:
    return NONE if value is None else f"{value.quantize(_TWO, rounding=NEAREST):+f}"


def _short(text: str) -> str:
    return text if len(text) <= MAX_DETAIL_CHARS else text[: MAX_DETAIL_CHARS - 3] + "..."


def _span(start: str | None, end: str | None) -> str:
    return f"{start or NONE} to {end or NONE}"


def _facts(facts: SessionFacts) -> Section:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in facts.ticks_by_kind)
    ended = facts.ended_at or "not closed: it still runs, or its process died"
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
                rows=tuple((item.status, _short(item.reason), f"{item.count:,}") for item in shown),
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
            pct(side.within_2bps, side.measured_ticks),
            _bps(side.mean_bps),
            _bps(side.median_bps),
            *(pct(count, side.measured_ticks) for count in side.buckets),
        )
        for side in sides
    )
    return Section(
        title="Distance to touch",
        columns=("Side", "Ticks", "<= 2 bps", "Mean", "Median", *(f"{name} bps" for name in TOUCH_BUCKETS)),
        left=1,
        rows=rows,
        note="bps of mid while our offer stood; negative is behind the touch. At or inside it is 0-2.",
    )


def _gates(gates: tuple[GateCount, ...], ticks: int) -> Section:
    rows = tuple(
        (gate.name, gate.side, _short(gate.last_detail), f"{gate.ticks:,}", pct(gate.ticks, ticks))
        for gate in gates[:MAX_REASONS]
    )
    return Section(
        title="Why there was no quote",
        columns=("Gate", "Side", "Last detail", "Ticks", "Share"),
        left=3,
        rows=rows,
        note=_beyond(len(gates)) if gates else "No gate closed.",
    )


def _faults(items: tuple[NamedCount, ...]) -> Section:
    rows = tuple((item.name, _short(item.last_detail), f"{item.count:,}") for item in items)
    return Section(
        title="Feed faults",
        columns=("Kind", "Last detail", "Faults"),
        left=2,
        rows=rows,
        note="" if rows else "No feed faults.",
    )


def _findings(items: tuple[NamedCount, ...]) -> Section:
    rows = tuple((item.name, item.group, _short(item.last_detail), f"{item.count:,}") for item in items)
    return Section(
        title="Reconciliation findings",
        columns=("Finding", "Severity", "Last detail", "Findings"),
        left=3,
        rows=rows,
        note="" if rows else "No findings.",
    )


def sections(summary: SessionSummary) -> tuple[Section, ...]:
    """Return every table of the report, in reading order."""
    quote = summary.facts.quote_symbol
    return (
        _facts(summary.facts),
        _inventory(summary.xrp, summary.quote),
        _pnl(summary.pnl, quote),
        _fills(summary.fills, quote),
        *_orders(summary.orders),
        _uptime(summary.uptime),
        _touch(summary.touch),
        _gates(summary.gates, summary.uptime.ticks),
        _faults(summary.faults),
        _findings(summary.findings),
    )


def sessions_section(lines: tuple[SessionLine, ...]) -> Section:
    """Return the list of all sessions as a table."""
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
    return Section(
        title="Sessions",
        columns=("Id", "Mode", "Feed", "Started (UTC)", "Halt reason", "Ticks", "Fills"),
        left=5,
        rows=rows,
        note="" if rows else "No sessions.",
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
