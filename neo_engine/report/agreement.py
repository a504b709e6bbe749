"""The report's numbers beside the engine's own: equal, or named with both.

Three engine sources are compared with what the report rebuilt from the rows: the last row of `ticks`
(also while the session runs), the last `inventory_ledger` balance of each asset, and
`sessions.summary_json`, written when the session ended.

All of them must be equal to the last digit: both sides follow the same rules of rounding. In live mode
alone, what is valued at a mark may differ by LIVE_MARK_SHARE of the account value: there the marks of the
two readings need not be the same.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from decimal import Decimal

import msgspec

from neo_engine.domain.errors import BadNumber
from neo_engine.domain.number import ZERO, parse_number, plain
from neo_engine.report.accounts import XRP, Books
from neo_engine.report.model import Agreement, Comparison, ProfitAndLoss, SessionFacts, TouchSide
from neo_engine.state.queries import TICKS_OF_SESSION

LIVE_MARK_SHARE = Decimal("0.01")  # ARCHITECTURE invariant 4: under 1 % of the total live, where marks differ
_VALUED = frozenset({"mark", "unrealised_rlusd", "account_value_rlusd"})


class EngineWord(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine stored: its last snapshot, the last tick's row and the last ledger balances.

    Each maps a name of the report to the stored value; empty where nothing is stored yet.
    """

    snapshot: Mapping[str, object]
    last_tick: Mapping[str, object]
    ledger: Mapping[str, object]

    def total_drops(self) -> int | None:
        """Return the engine's XRP inventory in drops, from its snapshot or else its last tick."""
        if {"fills_base_drops", "overlay_base_drops"} <= self.snapshot.keys():
            fills = _number(self.snapshot["fills_base_drops"])
            overlay = _number(self.snapshot["overlay_base_drops"])
            return None if fills is None or overlay is None else int(fills + overlay)
        value = _number(self.last_tick.get("inventory_base_drops"))
        return None if value is None else int(value)

    def total_quote(self) -> Decimal | None:
        """Return the engine's RLUSD inventory, from its snapshot or else its last tick."""
        if {"fills_rlusd", "overlay_rlusd"} <= self.snapshot.keys():
            fills, overlay = _number(self.snapshot["fills_rlusd"]), _number(self.snapshot["overlay_rlusd"])
            return None if fills is None or overlay is None else fills + overlay
        return _number(self.last_tick.get("inventory_rlusd"))


def _number(value: object) -> Decimal | None:
    try:
        return parse_number(value, "engine value")
    except BadNumber:
        return None


def _flatten(snapshot: Mapping[str, object]) -> dict[str, object]:
    flat = {name: value for name, value in snapshot.items() if name != "touch"}
    touch = snapshot.get("touch")
    if isinstance(touch, Mapping):
        flat.update({f"touch.{name}": value for name, value in touch.items()})
    return flat


def read_engine_word(connection: sqlite3.Connection, session_id: int) -> EngineWord:
    """Return the engine's own numbers for the session."""
    (text,) = connection.execute(
        "SELECT summary_json FROM sessions WHERE session_id = ?", (session_id,)
    ).fetchone()
    try:
        parsed = json.loads(text, parse_float=Decimal) if text else {}
    except ValueError:
        parsed = {"mark": f"unreadable summary_json: {text[:40]}"}
    row = connection.execute(
        "SELECT inventory_xrp_drops, inventory_rlusd, fees_drops, mark, net_capital_rlusd, realised_rlusd, "
        "unrealised_rlusd, account_value_rlusd FROM ticks "
        f"WHERE {TICKS_OF_SESSION} ORDER BY id DESC LIMIT 1",
        (session_id,),
    ).fetchone()
    names = (
        "inventory_base_drops",
        "inventory_rlusd",
        "fees_drops",
        "mark",
        "net_capital_rlusd",
        "realised_rlusd",
        "unrealised_rlusd",
        "account_value_rlusd",
    )
    ledger = connection.execute(
        "SELECT asset, new_balance FROM inventory_ledger WHERE id IN "
        "(SELECT MAX(id) FROM inventory_ledger WHERE session_id = ? GROUP BY asset)",
        (session_id,),
    ).fetchall()
    return EngineWord(
        snapshot=_flatten(parsed) if isinstance(parsed, dict) else {},
        last_tick=dict(zip(names, row, strict=True)) if row else {},
        ledger=dict(ledger),
    )


def _report_numbers(
    books: Books, pnl: ProfitAndLoss, touch: tuple[TouchSide, ...], counts: Mapping[str, int]
) -> dict[str, Decimal | None]:
    numbers: dict[str, Decimal | None] = {
        "fills_base_drops": Decimal(books.fills_drops),
        "fills_rlusd": books.fills_quote,
        "overlay_base_drops": Decimal(books.overlay_drops),
        "overlay_rlusd": books.overlay_quote,
        "inventory_base_drops": Decimal(books.drops),
        "inventory_rlusd": books.quote,
        "fees_drops": Decimal(pnl.fees_drops),
        "realised_rlusd": pnl.realised,
        "unrealised_rlusd": pnl.unrealised,
        "account_value_rlusd": pnl.account_value,
        "net_capital_rlusd": pnl.net_capital,
        "mark": pnl.mark,
        "rounding_rlusd": pnl.rounding,
        "cost_basis_rlusd": pnl.cost_basis,
        **{name: Decimal(count) for name, count in counts.items()},
    }
    for side in touch:
        numbers[f"touch.{side.side}_ticks"] = Decimal(side.measured_ticks)
        numbers[f"touch.{side.side}_within_2bps"] = Decimal(side.within_2bps)
    return numbers


_SNAPSHOT_NAMES = (
    "fills_base_drops",
    "fills_rlusd",
    "overlay_base_drops",
    "overlay_rlusd",
    "fees_drops",
    "realised_rlusd",
    "unrealised_rlusd",
    "account_value_rlusd",
    "net_capital_rlusd",
    "mark",
    "rounding_rlusd",
    "cost_basis_rlusd",
    "touch.bid_ticks",
    "touch.bid_within_2bps",
    "touch.ask_ticks",
    "touch.ask_within_2bps",
    "fills",
    "feed_faults",
)

_NEEDS_TICKS = frozenset(name for name in _SNAPSHOT_NAMES if name.startswith("touch.")) | {"feed_faults"}


def _tolerance(name: str, live: bool, account_value: Decimal) -> Decimal:
    if live and name in _VALUED:
        return abs(account_value) * LIVE_MARK_SHARE
    return ZERO


def _compare(label: str, report: Decimal | None, engine: object, tolerance: Decimal) -> Comparison:
    number = _number(engine)
    if report is None or number is None:
        equal = report is None and engine is None
    else:
        equal = abs(report - number) <= tolerance
    return Comparison(
        name=label,
        report="none" if report is None else plain(report),
        engine=str(engine) if number is None else plain(number),
        equal=equal,
    )


def compare(
    *,
    facts: SessionFacts,
    stored_ticks: int,
    counts: Mapping[str, int],
    books: Books,
    pnl: ProfitAndLoss,
    touch: tuple[TouchSide, ...],
    word: EngineWord,
) -> Agreement:
    """Return every comparison that can be made; see the module's text for what may differ.

    stored_ticks: what the session's row says. counts: the report's own count of `fills` and `feed_faults`.
    """
    numbers = _report_numbers(books, pnl, touch, counts)
    live = facts.mode == "live"
    comparisons: list[Comparison] = []

    def add(source: str, name: str, engine: object, report: Decimal | None) -> None:
        if name in _VALUED and pnl.mark is None:
            return  # without any mid there is nothing to value at, on either side
        tolerance = _tolerance(name, live, pnl.account_value or ZERO)
        comparisons.append(_compare(f"{name} ({source})", report, engine, tolerance))

    if pnl.mark is not None and pnl.mark_time is None:
        comparisons.append(
            Comparison(
                name="mark (stored prices)", report="no such price", engine=plain(pnl.mark), equal=False
            )
        )
    for name, value in word.last_tick.items():
        add("last tick", name, value, numbers[name])
    expected = {XRP: Decimal(books.fills_drops).scaleb(-6), facts.quote_symbol: books.fills_quote}
    for asset, balance in word.ledger.items():
        label = f"fills-only {asset} (inventory_ledger)"
        comparisons.append(_compare(label, expected.get(asset), balance, ZERO))
    missing: list[str] = []
    if facts.ended:
        if facts.pruned is None:
            comparisons.append(_compare("ticks (sessions row)", Decimal(facts.ticks), stored_ticks, ZERO))
        for name in _SNAPSHOT_NAMES:
            if facts.pruned is not None and name in _NEEDS_TICKS:
                continue  # what they were counted from is gone
            if name in word.snapshot:
                add("summary_json", name, word.snapshot[name], numbers[name])
            else:
                missing.append(name)
    agrees = all(item.equal for item in comparisons) if comparisons else None
    return Agreement(agrees=agrees, comparisons=tuple(comparisons), missing=tuple(missing))
