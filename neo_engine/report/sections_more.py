"""The tables beyond the books: where the P&L came from, how good the fills were, what was risked."""

from __future__ import annotations

from decimal import Decimal

from neo_engine.domain.number import NEAREST, plain
from neo_engine.report.measures import Attribution, Execution, Markout, MarkoutGroup, Risk, Spread
from neo_engine.report.section import NONE, Section, bps, money

SPANS_SHOWN = 12  # of the longest stretches in a table; the JSON form has more
EVENTS_SHOWN = 15
_TWO, _ONE = Decimal("0.01"), Decimal("0.1")


def _number(value: Decimal | None, digits: Decimal = _TWO) -> str:
    return NONE if value is None else f"{value.quantize(digits, rounding=NEAREST):,f}"


def _percent(value: Decimal | None) -> str:
    return NONE if value is None else f"{_number(value)} %"


def _attribution(parts: Attribution | None, quote: str) -> tuple[Section, ...]:
    if parts is None:
        note = "No price was seen, so nothing can be valued."
        return (Section(title="Where it came from", columns=(), left=1, rows=(), note=note),)
    horizon = f"{parts.horizon_ledgers} ledgers"
    rows = (
        ("Spread captured", money(parts.spread_captured)),
        (f"Adverse selection (mid, first {horizon})", money(parts.adverse_selection)),
        ("Fills held on (mid, afterwards)", money(parts.fills_drift)),
        ("Capital held (mid)", money(parts.hold)),
        ("Trust line rounding", plain(parts.rounding)),
        ("Transfer fees", money(parts.transfer_fees)),
        ("Network fees", money(parts.network_fees)),
        ("Total", money(parts.total)),
    )
    exact = "exactly 0" if parts.residue == 0 else f"{plain(parts.residue)}: ERROR, the parts do not add up"
    without = f" {parts.fills_without_mid:,} fills had no mid." if parts.fills_without_mid else ""
    beside = (
        ("This session", money(parts.total)),
        ("... less what holding earned: trading", money(parts.trading)),
        ("Hold: the capital as it came", money(parts.hold)),
        ("Half XRP, half token, rebalanced for free", money(parts.fifty_fifty)),
        ("The pool: a share of its liquidity", money(parts.pool)),
    )
    fifo = (
        ("Realised", money(parts.realised_fifo)),
        ("Unrealised", money(parts.unrealised_fifo)),
    )
    return (
        Section(
            title="Where it came from",
            columns=("Part", quote),
            left=1,
            rows=rows,
            note=f"P&L - sum of the parts: {exact}.{without}",
        ),
        Section(
            title="Beside other uses of the same capital",
            columns=("P&L", quote),
            left=1,
            rows=beside,
            note="Half and half and the pool are comparisons, not money.",
        ),
        Section(title="By FIFO", columns=("", quote), left=1, rows=fifo, note=""),
    )


def _interval(one: Markout) -> str:
    if one.ci_low_bps is None:
        return NONE
    return f"{bps(one.ci_low_bps)} to {bps(one.ci_high_bps)}"


def markout_sections(groups: tuple[MarkoutGroup, ...]) -> tuple[Section, ...]:
    """Return the tables of the markouts, none where there is no fill."""
    all_fills = groups[0]
    if not all_fills.fills:
        return ()
    rows = tuple(
        (
            f"{one.ledgers}",
            f"{one.count:,}",
            bps(one.mean_bps),
            NONE if one.sd_bps is None else _number(one.sd_bps),
            _interval(one),
        )
        for one in all_fills.markouts
    )
    ledgers = tuple(f"{one.ledgers}" for one in all_fills.markouts)
    by_group = tuple(
        (
            f"{group.name} h" if group.group == "hour" else group.name,
            f"{group.fills:,}",
            bps(group.half_spread_bps),
            *(bps(one.mean_bps) for one in group.markouts),
        )
        for group in groups
    )
    return (
        Section(
            title="Markouts",
            columns=("Ledgers after", "Fills", "Mean", "Deviation", "95 % interval"),
            left=0,
            rows=rows,
            note="The mid after our fills against their own price, in bps; positive is good for us.",
        ),
        Section(
            title="Markouts by side, size and hour (UTC)",
            columns=("Fills of", "Fills", "Spread", *ledgers),
            left=1,
            rows=by_group,
            note="Mean in bps so many ledgers after; spread: captured against the mid of the fill's ledger.",
        ),
    )


def _spread(name: str, spread: Spread, unit: str) -> tuple[str, ...]:
    cells = (spread.mean, spread.p10, spread.median, spread.p90)
    return (f"{name}, {unit}", f"{spread.count:,}", *(_number(one) for one in cells))


def _execution(execution: Execution, quote: str) -> tuple[Section, ...]:
    requotes = execution.requotes
    rows = (
        ("Orders the ledger took", f"{execution.orders_on_ledger:,}"),
        ("... with a fill", _percent(execution.orders_filled_pct)),
        ("... XRP filled of the XRP offered", _percent(execution.fill_ratio_pct)),
        ("Orders replaced by a newer one", f"{requotes.replaced:,}"),
        ("... for each fill", _number(requotes.per_fill)),
        ("Cancels sent", f"{requotes.canceled:,}"),
        (f"Fees of replaces and cancels, {quote}", money(requotes.fees)),
        ("... of the spread captured", _percent(requotes.share_of_spread_pct)),
        ("Volume of the pair, XRP", money(execution.pair_volume_xrp)),
        ("... our volume against it", _percent(execution.our_share_of_volume_pct)),
        ("Net flow of the pool, XRP", money(execution.pool_flow_xrp)),
        ("... our share of that and ours", _percent(execution.our_share_of_flow_pct)),
    )
    spreads = [
        _spread("Time to first fill", execution.time_to_fill_seconds, "s"),
        _spread("Queue ahead at a fill, at most", execution.queue_ahead_xrp, "XRP"),
    ]
    for one in execution.latency:
        spreads.append(_spread(f"From sending a {one.kind} to its ledger", one.ledgers, "ledgers"))
        spreads.append(_spread(f"From sending a {one.kind} to its ledger", one.seconds, "s"))
    lost = sum(one.in_no_ledger for one in execution.latency)
    older = execution.pair_volume_xrp is None
    return (
        Section(
            title="Execution",
            columns=("", ""),
            left=1,
            rows=rows,
            note="The pair's volume was not stored when this session ran." if older else "",
        ),
        Section(
            title="Waiting",
            columns=("", "Count", "Mean", "10 %", "Median", "90 %"),
            left=1,
            rows=tuple(spreads),
            note=f"{lost:,} transactions are in no ledger (yet)." if lost else "",
        ),
    )


def _clock(text: str) -> str:
    return text.replace("T", " ").removesuffix("Z")


def _risk(risk: Risk, quote: str) -> tuple[Section, ...]:
    sections = []
    if risk.exposure:
        rows = tuple(
            (
                path.asset,
                *(_number(one) for one in (path.lowest, path.mean, path.highest, path.limit)),
                _percent(path.highest_pct_of_limit),
                f"{path.ticks_above_limit:,}",
            )
            for path in risk.exposure
        )
        sections.append(
            Section(
                title="Exposure",
                columns=("Asset", "Lowest", "Mean", "Highest", "Limit", "Of limit", "Ticks above"),
                left=1,
                rows=rows,
                note="",
            )
        )
    fall = risk.drawdown
    if fall is not None:
        limit = NONE if fall.limit_pct is None else _percent(fall.limit_pct)
        sections.append(
            Section(
                title="Drawdown",
                columns=("", ""),
                left=1,
                rows=(
                    ("Deepest", _percent(fall.worst_pct)),
                    ("Limit", limit),
                    (f"Value then ({_clock(fall.worst_at)}), {quote}", money(fall.value)),
                    (f"Peak before ({_clock(fall.peak_at)}), {quote}", money(fall.peak)),
                    ("At the last tick", _percent(fall.now_pct)),
                ),
                note="Of the account value net of capital, as risk.max_drawdown_pct measures it.",
            )
        )
    if risk.worst_minutes:
        rows = tuple(
            (_clock(one.at), money(one.profit), bps(one.mid_move_bps), f"{one.fills:,}")
            for one in risk.worst_minutes
        )
        sections.append(
            Section(
                title="Worst minutes",
                columns=("Minute (UTC)", quote, "Mid, bps", "Fills"),
                left=1,
                rows=rows,
                note="",
            )
        )
    return (*sections, *_time_line(risk))


def _time_line(risk: Risk) -> tuple[Section, ...]:
    sections = []
    longest = sorted(risk.spans, key=lambda span: (-span.ticks, span.start))[:SPANS_SHOWN]
    if longest:
        rows = tuple(
            (_clock(one.start), one.name, one.side, one.detail, f"{one.ticks:,}")
            for one in sorted(longest, key=lambda span: (span.start, span.name))
        )
        sections.append(
            Section(
                title="Gates by time",
                columns=("From (UTC)", "Gate", "Side", "First detail", "Ticks"),
                left=4,
                detail=3,
                rows=rows,
                note=f"The {len(rows)} longest of {risk.span_count:,} stretches.",
            )
        )
    if risk.events:
        shown = risk.events[-EVENTS_SHOWN:]
        sections.append(
            Section(
                title="Monitors, findings and the end",
                columns=("At (UTC)", "What", "Severity", "Detail"),
                left=4,
                detail=3,
                rows=tuple((_clock(one.at), one.what, one.severity, one.detail) for one in shown),
                note=f"The last {len(shown)} of {risk.event_count:,}."
                if risk.event_count > len(shown)
                else "",
            )
        )
    return tuple(sections)


def profit_sections(parts: Attribution | None, quote: str) -> tuple[Section, ...]:
    """Return the tables of where the P&L came from."""
    return _attribution(parts, quote)


def execution_sections(execution: Execution, quote: str) -> tuple[Section, ...]:
    """Return the tables of how good fills and quoting were."""
    return (*markout_sections(execution.markouts), *_execution(execution, quote))


def risk_sections(risk: Risk, quote: str) -> tuple[Section, ...]:
    """Return the tables of what was risked and what stopped the quoting."""
    return _risk(risk, quote)
