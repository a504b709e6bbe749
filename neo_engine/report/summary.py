"""The summary of one session, rebuilt from the rows of its database.

`summarize` reads fills, capital, ticks, snapshots, orders and transactions, one row at a time, inside
one read transaction: the numbers belong to one moment even while the engine goes on writing. It then
sets them beside what the engine itself stored (agreement.py).

Raises of every public function here: UsageError for a session that does not exist, StateError for a
database that cannot be read as one.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np

from neo_engine.domain.errors import StateError
from neo_engine.domain.halt import MEANING, HaltReason
from neo_engine.domain.number import NEAREST, WORK, ZERO, issued, parse_number, plain, xrp_from_drops
from neo_engine.report.accounts import EXACT_DIGITS, XRP, Books, fees_paid, keep_books, value_at
from neo_engine.report.agreement import EngineWord, compare, read_engine_word
from neo_engine.report.attribution import attribution, parts_of
from neo_engine.report.choose import one_moment
from neo_engine.report.columns import KINDS, QUOTING, Columns
from neo_engine.report.data import SessionData, quote_symbol_of, read_session
from neo_engine.report.execution import execution
from neo_engine.report.gates import read_gates
from neo_engine.report.model import (
    AssetInventory,
    FillGroup,
    FillStats,
    NamedCount,
    OrderOutcome,
    OrderStats,
    ProfitAndLoss,
    Refusal,
    SessionFacts,
    SessionSummary,
    TransactionGroup,
    Uptime,
)
from neo_engine.report.risks import risks
from neo_engine.report.touch import touch_stats
from neo_engine.state.lock import database_lock_path, holder, is_held
from neo_engine.state.queries import ORDERS_OF_SESSION, PRUNED, TICKS_OF_SESSION, which_session

_FULL_CODE = "CASE result_code WHEN 'tes' THEN 'tesSUCCESS' ELSE result_code END"
_NUMBERS = re.compile(r"\d+(\.\d+)?")
_MEANINGS = {reason.value: MEANING[reason] for reason in HaltReason}


def _tick_counts(columns: Columns) -> tuple[dict[str, int], Uptime]:
    kinds = np.bincount(columns.ticks.kind, minlength=len(KINDS)).tolist()
    quoting = dict(
        zip(QUOTING, np.bincount(columns.ticks.quoting, minlength=len(QUOTING)).tolist(), strict=True)
    )
    uptime = Uptime(ticks=len(columns.ticks), **quoting)
    return {name: count for name, count in sorted(zip(KINDS, kinds, strict=True)) if count}, uptime


def _tick_span(
    connection: sqlite3.Connection, session_id: int
) -> tuple[int | None, int | None, str | None, str | None, str | None]:
    query = f"SELECT ledger_index, close_time, fingerprint FROM ticks WHERE {TICKS_OF_SESSION} ORDER BY id"
    first = connection.execute(f"{query} LIMIT 1", (session_id,)).fetchone()
    last = connection.execute(f"{query} DESC LIMIT 1", (session_id,)).fetchone()
    if first is None:
        return None, None, None, None, None
    return first[0], last[0], first[1], last[1], bytes(last[2]).hex()


def _is_written(connection: sqlite3.Connection, session_id: int) -> bool | None:
    """Return whether a living process writes the session; None where its lock file cannot be looked at."""
    (path,) = (row[2] for row in connection.execute("PRAGMA database_list") if row[1] == "main")
    if not path:  # in memory
        return False
    lock = database_lock_path(Path(path))
    try:
        return is_held(lock) and holder(lock).get("session") == session_id
    except StateError:
        return None


def _facts(
    connection: sqlite3.Connection, session_id: int, kinds: dict[str, int]
) -> tuple[SessionFacts, int]:
    """Return the facts and the count of ticks that the session's own row claims."""
    names = (
        "mode, feed, pair, account, recording, speed, seed, engine_version, config_hash, pid, started_at, "
        "ended_at, market_start, market_end, first_ledger, last_ledger, halt_reason, halt_detail, "
        "fingerprint, hypothesis, ticks"
    )
    row = connection.execute(f"SELECT {names} FROM sessions WHERE session_id = ?", (session_id,)).fetchone()
    stored = dict(zip(names.split(", "), row, strict=True))
    first_ledger, last_ledger, first_time, last_time, fingerprint = _tick_span(connection, session_id)
    reason = stored["halt_reason"]
    facts = SessionFacts(
        session_id=session_id,
        mode=stored["mode"],
        feed=stored["feed"],
        pair=stored["pair"],
        quote_symbol=quote_symbol_of(connection, session_id),
        account=stored["account"],
        recording=stored["recording"],
        speed=stored["speed"],
        seed=stored["seed"],
        engine_version=stored["engine_version"],
        config_hash=stored["config_hash"],
        pid=stored["pid"],
        started_at=stored["started_at"],
        ended_at=stored["ended_at"],
        ended=stored["ended_at"] is not None,
        running=stored["ended_at"] is None and _is_written(connection, session_id),
        market_start=stored["market_start"] or first_time,
        market_end=stored["market_end"] or last_time,
        first_ledger=stored["first_ledger"] or first_ledger,
        last_ledger=stored["last_ledger"] or last_ledger,
        ticks=sum(kinds.values()),
        ticks_by_kind=tuple(kinds.items()),
        halt_reason=reason,
        halt_meaning=_MEANINGS.get(reason, "not a known halt reason") if reason else None,
        halt_detail=stored["halt_detail"],
        fingerprint=stored["fingerprint"] or fingerprint,
        pruned=_pruned(connection, session_id),
        hypothesis=stored["hypothesis"],
        notes=tuple(
            str(note)
            for (note,) in connection.execute(
                "SELECT note FROM session_notes WHERE session_id = ? ORDER BY id", (session_id,)
            )
        ),
    )
    return facts, stored["ticks"]


def _pruned(connection: sqlite3.Connection, session_id: int) -> str | None:
    """Return when and how much of the session's details `prune` took away, None when nothing."""
    row = connection.execute(
        "SELECT value FROM engine_state WHERE key = ?", (f"{PRUNED}{session_id}",)
    ).fetchone()
    if row is None:
        return None
    note = json.loads(row[0])
    return f"{note['at']}: {note['removed']['ticks']} of {note['ticks']} ticks removed"


def _mark(connection: sqlite3.Connection, session_id: int) -> tuple[Decimal | None, str | None]:
    """Return the price the last tick valued at and when the session last saw that price.

    Which mids are sound enough to value at is the engine's judgement, stored with each tick. The mark
    must be the mid of one of its snapshots, or the price of its first fill if there was no mid before;
    the time is None when it is neither.
    """
    row = connection.execute(
        f"SELECT mark FROM ticks WHERE {TICKS_OF_SESSION} ORDER BY id DESC LIMIT 1", (session_id,)
    ).fetchone()
    if row is None or row[0] is None:
        return None, None
    mark = parse_number(row[0], "ticks.mark of the last tick")
    seen = connection.execute(
        "SELECT t.close_time FROM market_snapshots m JOIN ticks t ON t.id = m.id "
        f"WHERE m.{TICKS_OF_SESSION} AND abs(m.mid / CAST(?2 AS REAL) - 1) < 1e-9 "
        "ORDER BY m.id DESC LIMIT 1",
        (session_id, row[0]),
    ).fetchone()
    if seen is None:
        seen = connection.execute(
            "SELECT close_time FROM (SELECT close_time, price FROM fills WHERE session_id = ? "
            "ORDER BY id LIMIT 1) WHERE price = ?",
            (session_id, plain(issued(mark, NEAREST))),
        ).fetchone()
    return mark, seen[0] if seen else None


def _profit_and_loss(
    books: Books, fees_drops: int, mark: Decimal | None, mark_time: str | None
) -> ProfitAndLoss:
    unrealised = fees = total = value = residue = None
    if mark is not None:
        unrealised = value_at(books.drops, mark) - books.cost
        fees = value_at(fees_drops, mark)
        total = books.realised + unrealised - fees
        value = value_at(books.drops - fees_drops, mark) + books.quote
        residue = total - (value - books.net_capital)
    return ProfitAndLoss(
        mark=mark,
        mark_time=mark_time,
        realised=books.realised,
        unrealised=unrealised,
        fees_drops=fees_drops,
        fees=fees,
        total=total,
        cost_basis=books.cost,
        account_value=value,
        net_capital=books.net_capital,
        rounding=books.rounding,
        residue=residue,
    )


def _inventories(
    books: Books, fees_drops: int, word: EngineWord, quote_symbol: str
) -> tuple[AssetInventory, AssetInventory]:
    total_drops = word.total_drops()
    xrp = AssetInventory(
        asset=XRP,
        start=xrp_from_drops(books.opening_drops),
        fills_only=xrp_from_drops(books.fills_drops),
        capital_overlay=xrp_from_drops(books.overlay_drops),
        inventory=xrp_from_drops(books.drops),
        engine_total=None if total_drops is None else xrp_from_drops(total_drops),
        fees=xrp_from_drops(fees_drops),
        balance=xrp_from_drops(books.drops - fees_drops),
    )
    quote = AssetInventory(
        asset=quote_symbol,
        start=books.opening_quote,
        fills_only=books.fills_quote,
        capital_overlay=books.overlay_quote,
        inventory=books.quote,
        engine_total=word.total_quote(),
        fees=ZERO,
        balance=books.quote,
    )
    return xrp, quote


def _fill_stats(connection: sqlite3.Connection, session_id: int) -> FillStats:
    counts: Counter[tuple[str, str]] = Counter()
    drops: Counter[tuple[str, str]] = Counter()
    quotes: dict[tuple[str, str], Decimal] = {}
    rows = connection.execute(
        "SELECT id, side, liquidity, xrp_drops, rlusd FROM fills WHERE session_id = ?", (session_id,)
    )
    for row_id, side, liquidity, xrp_drops, text in rows:
        key = (side, liquidity)
        counts[key] += 1
        drops[key] += xrp_drops
        quotes[key] = quotes.get(key, ZERO) + parse_number(text, f"fills row {row_id}, rlusd")
    groups = tuple(
        FillGroup(
            side=key[0],
            liquidity=key[1],
            count=counts[key],
            volume_xrp=xrp_from_drops(drops[key]),
            volume_quote=quotes[key],
            average_price=WORK.divide(quotes[key], xrp_from_drops(drops[key])) if drops[key] else None,
        )
        for key in sorted(counts)
    )
    return FillStats(
        count=counts.total(),
        maker=sum(group.count for group in groups if group.liquidity == "maker"),
        taker=sum(group.count for group in groups if group.liquidity == "taker"),
        volume_xrp=xrp_from_drops(drops.total()),
        volume_quote=sum(quotes.values(), ZERO),
        groups=groups,
    )


def _refusals(connection: sqlite3.Connection, session_id: int) -> tuple[Refusal, ...]:
    counts: Counter[tuple[str, str]] = Counter()
    for status, reason, code, count in connection.execute(
        f"SELECT status, failure_reason, {_FULL_CODE}, COUNT(*) FROM orders WHERE {ORDERS_OF_SESSION} "
        "AND status IN ('DENIED', 'REJECTED', 'UNKNOWN') GROUP BY status, failure_reason, result_code",
        (session_id,),
    ):
        counts[status, _NUMBERS.sub("#", reason or code or "no reason stored")] += count
    return tuple(
        Refusal(status=status, reason=reason, count=count)
        for (status, reason), count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )


#: Every transaction of ours; payer: the session that learned its result.
_TRANSACTIONS = (
    "SELECT session_id, kind, result, fee_drops, COALESCE(result_session, session_id) AS payer "
    "FROM submissions UNION ALL "
    "SELECT session_id, 'upkeep', result, fee_drops, COALESCE(result_session, session_id) FROM upkeep"
)


def _order_stats(connection: sqlite3.Connection, session_id: int) -> OrderStats:
    outcomes = tuple(
        OrderOutcome(status=status, result_code=code, count=count)
        for status, code, count in connection.execute(
            f"SELECT status, {_FULL_CODE}, COUNT(*) AS n FROM orders WHERE {ORDERS_OF_SESSION} "
            "GROUP BY 1, 2 ORDER BY n DESC, 1, 2",
            (session_id,),
        )
    )
    touched, filled = connection.execute(
        "SELECT COUNT(*), COALESCE(SUM(status = 'FILLED'), 0) FROM orders "
        f"WHERE {ORDERS_OF_SESSION} AND id IN (SELECT order_id FROM fills WHERE session_id = ?1)",
        (session_id,),
    ).fetchone()
    transactions = tuple(
        TransactionGroup(kind=kind, result=result, count=count, fees_drops=fees)
        for kind, result, count, fees in connection.execute(
            "SELECT kind, CASE result WHEN 'tes' THEN 'tesSUCCESS' ELSE result END AS code, COUNT(*), "
            "SUM(CASE WHEN payer = ?1 AND (result LIKE 'tes%' OR result LIKE 'tec%') "
            f"THEN fee_drops ELSE 0 END) FROM ({_TRANSACTIONS}) "
            "WHERE ?1 IN (session_id, payer) GROUP BY kind, code ORDER BY kind, code",
            (session_id,),
        )
    )
    return OrderStats(
        count=sum(item.count for item in outcomes),
        filled=filled,
        partly_filled=touched - filled,
        outcomes=outcomes,
        refusals=_refusals(connection, session_id),
        transactions=transactions,
    )


def _faults(connection: sqlite3.Connection, session_id: int) -> tuple[NamedCount, ...]:
    rows = connection.execute(
        "SELECT kind, COUNT(*) AS n, MAX(id), detail FROM feed_faults WHERE session_id = ? "
        "GROUP BY kind ORDER BY n DESC, kind",
        (session_id,),
    )
    return tuple(
        NamedCount(name=kind, group="", count=count, last_detail=detail) for kind, count, _, detail in rows
    )


def _findings(connection: sqlite3.Connection, session_id: int) -> tuple[NamedCount, ...]:
    rows = connection.execute(
        "SELECT finding, severity, COUNT(*) AS n, MAX(id), detail FROM reconciliations WHERE session_id = ? "
        "GROUP BY finding, severity ORDER BY severity, n DESC, finding",
        (session_id,),
    )
    return tuple(
        NamedCount(name=name, group=severity, count=count, last_detail=detail)
        for name, severity, count, _, detail in rows
    )


def summarize(connection: sqlite3.Connection, session: str | int) -> SessionSummary:
    """Return the summary of `session` (an id, or `latest`); raises as `summarize_with_data`."""
    return summarize_with_data(connection, session)[0]


def summarize_with_data(
    connection: sqlite3.Connection, session: str | int
) -> tuple[SessionSummary, SessionData]:
    """Return the summary of `session` (an id, or `latest`) and the columns it was made from.

    Raises UsageError when there is no such session, StateError when the database cannot be read.
    """
    with one_moment(connection), localcontext() as context:
        context.prec = EXACT_DIGITS  # no sum of money below is ever rounded
        session_id = which_session(connection, session)
        data = read_session(connection, session_id, quote_symbol_of(connection, session_id))
        columns, made = data.columns, data.fills
        kinds, uptime = _tick_counts(columns)
        facts, stored_ticks = _facts(connection, session_id, kinds)
        gates = read_gates(connection, session_id, uptime.ticks)
        mark, mark_time = _mark(connection, session_id)
        parts = None if mark is None else parts_of(connection, columns, mark)
        books = keep_books(connection, session_id, *(() if parts is None else (parts.take,)))
        pnl = _profit_and_loss(books, fees_paid(connection, session_id), mark, mark_time)
        divided = None if parts is None else attribution(connection, columns, parts, pnl)
        touch = touch_stats(columns)
        word = read_engine_word(connection, session_id)
        xrp, quote = _inventories(books, pnl.fees_drops, word, facts.quote_symbol)
        fills, faults = _fill_stats(connection, session_id), _faults(connection, session_id)
        summary = SessionSummary(
            facts=facts,
            xrp=xrp,
            quote=quote,
            pnl=pnl,
            fills=fills,
            orders=_order_stats(connection, session_id),
            uptime=uptime,
            touch=touch,
            gates=gates.counts,
            faults=faults,
            findings=_findings(connection, session_id),
            attribution=divided,
            execution=execution(
                connection,
                columns,
                made,
                gates,
                mark=pnl.mark,
                spread_captured=None if divided is None else divided.spread_captured,
            ),
            risk=risks(connection, columns, made, gates, facts=facts, found=data.limits),
            agreement=compare(
                facts=facts,
                stored_ticks=stored_ticks,
                counts={"fills": fills.count, "feed_faults": sum(item.count for item in faults)},
                books=books,
                pnl=pnl,
                touch=touch,
                word=word,
            ),
        )
        return summary, data
