"""Compare the database of live sessions with the server's own word on the account, to the last digit.

    python -m tools.check_live --db FILE --endpoint ws://HOST:PORT --account r... [--from-ledger N] [--json]

Reads the account's whole history (account_tx, every page), its offers and its balances, with a reader of
metadata of its own: nothing of the engine's is used, so that an error in it cannot hide itself. Run it when
the last session has ended and has cleared the book (`flatten`): what the ledger does later, no row can know.

1. Each transaction of the account is one row of `submissions` or `upkeep`, with the same result, fee, ledger
   and place. A row without a result, or with one of a transaction that came too late, is not on the ledger.
2. Each trade that metadata shows is one row of `fills`, with the same amounts; the token that the rows of one
   transaction book is what the trust line moved.
3. The balances of the last session's last ledger tick, less its fees, are those of that ledger.
4. The offers that stand are the orders that the database holds to be working.
5. No order was placed twice, and the account's sequences follow each other.

Exit code 0 when everything agrees, 4 with every difference named.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sqlite3
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import msgspec
from websockets.sync.client import connect

Json = dict[str, Any]
Rows = list[tuple[Any, ...]]
EXIT_DIFFERENT = 4
REPLY_SECONDS = 15.0
PAGE = 400  # entries of account_tx: the most that a server gives who is no admin's
TAKER = "taker"
NODE_DIGITS = 16  # of an offer's ledger index, which is what `fills.node` keeps
SUCCESS = "tesSUCCESS"
TOO_LATE = "tefMAX_LEDGER"
STANDING = ("OPEN", "PARTIALLY_FILLED", "PENDING_CANCEL")
ON_THE_WAY = ("SUBMITTED", "UNKNOWN")


class Refused(Exception):
    """A request that the server refused; the text says which and why."""


class Wire:
    """A socket to a server: `result` asks and returns the result. Raises Refused, OSError, TimeoutError."""

    def __init__(self, url: str) -> None:
        self._socket = connect(url, max_size=None, compression=None, open_timeout=REPLY_SECONDS)
        self._id = 0

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()

    def result(self, command: str, **parameters: Any) -> Json:
        """Send a request and return its result."""
        self._id += 1
        request = {"id": self._id, "command": command, "api_version": 2, **parameters}
        self._socket.send(json.dumps(request))
        end = time.monotonic() + REPLY_SECONDS
        while True:
            reply = json.loads(self._socket.recv(timeout=max(end - time.monotonic(), 0)))
            if reply.get("id") == self._id:
                break
        if reply["status"] != "success":
            raise Refused(f"{command}: {reply.get('error')}: {reply.get('error_message')}")
        return dict(reply["result"])


class Asking(Protocol):
    """Whoever answers a command with its result, as `Wire` does. Raises Refused."""

    def result(self, command: str, **parameters: Any) -> Json:
        """Return the result of a command."""


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One fill as metadata shows it. drops, token: what changed hands, positive."""

    ledger_index: int
    transaction_index: int
    node: str
    side: str
    drops: int
    token: Decimal


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A validated transaction that touches the account.

    own: the account sent it. sequence: 0 for one with a ticket; next_sequence: the account's after it.
    balance, line: after it, None where it did not change; line_change: of the line.
    """

    ledger_index: int
    transaction_index: int
    tx_hash: str
    kind: str
    result: str
    own: bool
    sequence: int
    next_sequence: int
    fee_drops: int
    trades: tuple[Trade, ...]
    balance: int | None
    line: Decimal | None
    line_change: Decimal


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Something on which database and ledger do not agree. kind: which check found it."""

    kind: str
    detail: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was compared, and where it differs."""

    counts: dict[str, int]
    differences: tuple[Difference, ...]


# the ledger's word


def event_of(entry: Json, account: str, issuer: str) -> Event:
    """Return what one entry of account_tx (API version 2) did to `account` and its line to `issuer`."""
    tx, meta = entry["tx_json"], entry["meta"]
    where = (int(entry["ledger_index"]), int(meta["TransactionIndex"]))
    own = tx["Account"] == account
    balance, line = None, None
    xrp_change, line_change = 0, Decimal(0)
    made: list[Trade] = []
    for action, node in _nodes(meta):
        kind = node["LedgerEntryType"]
        final: Json = node.get("FinalFields") or node.get("NewFields") or {}
        before: Json = node.get("PreviousFields") or {}
        if kind == "AccountRoot" and final.get("Account") == account and "Balance" in final:
            balance = int(final["Balance"])
            xrp_change += balance - int(before.get("Balance", 0 if action == "CreatedNode" else balance))
        elif kind == "RippleState" and {final["LowLimit"]["issuer"], final["HighLimit"]["issuer"]} == {
            account,
            issuer,
        }:
            sign = 1 if final["LowLimit"]["issuer"] == account else -1
            line = sign * Decimal(final["Balance"]["value"])
            opened: Json = {"value": "0"} if action == "CreatedNode" else final["Balance"]
            old: Json = before.get("Balance") or opened
            line_change += line - sign * Decimal(old["value"])
        elif kind == "Offer" and action != "CreatedNode" and final.get("Account") == account:
            made += _maker(where, node["LedgerIndex"], final, before)
    fee = int(tx["Fee"]) if own else 0
    tickets = int(tx.get("TicketCount", 0))
    xrp_left, token_left = xrp_change + fee, line_change
    for one in made:
        sign = 1 if one.side == "buy" else -1
        xrp_left, token_left = xrp_left - sign * one.drops, token_left + sign * one.token
    trades = [one for one in made if one.drops and one.token]
    if own and tx["TransactionType"] == "OfferCreate" and xrp_left * token_left < 0:
        trades.append(_trade(where, TAKER, "buy" if xrp_left > 0 else "sell", abs(xrp_left), abs(token_left)))
    return Event(
        ledger_index=where[0],
        transaction_index=where[1],
        tx_hash=str(entry["hash"]),
        kind=tx["TransactionType"],
        result=meta["TransactionResult"],
        own=own,
        sequence=int(tx["Sequence"]),
        next_sequence=int(tx["Sequence"]) + 1 + (tickets if meta["TransactionResult"] == SUCCESS else 0),
        fee_drops=fee,
        trades=tuple(trades),
        balance=balance,
        line=line,
        line_change=line_change,
    )


def _nodes(meta: Json) -> Iterable[tuple[str, Json]]:
    for affected in meta["AffectedNodes"]:
        yield from affected.items()


def _trade(where: tuple[int, int], node: str, side: str, drops: int, token: Decimal) -> Trade:
    return Trade(
        ledger_index=where[0], transaction_index=where[1], node=node, side=side, drops=drops, token=token
    )


def _maker(where: tuple[int, int], index: str, final: Json, before: Json) -> list[Trade]:
    """Return what an offer of ours traded: the difference of its amounts; nothing where none was named."""
    moved = []
    for side in ("TakerGets", "TakerPays"):
        now = final[side]
        was: Any = before.get(side, now)
        token = isinstance(now, dict)
        moved.append(Decimal(was["value"]) - Decimal(now["value"]) if token else int(was) - int(now))
    sells = not isinstance(final["TakerGets"], dict)
    drops, quote = moved if sells else moved[::-1]
    if not drops and not quote:
        return []
    return [_trade(where, index, "sell" if sells else "buy", int(drops), Decimal(quote))]


def history(wire: Asking, account: str, issuer: str) -> list[Event]:
    """Return everything that ever touched the account, in the ledger's order, from every page."""
    found: list[Event] = []
    marker: Any = None
    while True:
        page = {} if marker is None else {"marker": marker}
        told = wire.result(
            "account_tx", account=account, ledger_index_min=-1, forward=True, limit=PAGE, **page
        )
        found += [event_of(one, account, issuer) for one in told["transactions"] if one["validated"]]
        marker = told.get("marker")
        if marker is None:
            return sorted(found, key=lambda one: (one.ledger_index, one.transaction_index))


def standing_offers(wire: Asking, account: str) -> tuple[set[int], int]:
    """Return the sequences of the offers that may still trade, and the ledger that shows them."""
    ledger = wire.result("ledger", ledger_index="validated")
    index, closed = int(ledger["ledger_index"]), int(ledger["ledger"]["close_time"])
    found: set[int] = set()
    marker: Any = None
    while True:
        page = {} if marker is None else {"marker": marker}
        told = wire.result("account_offers", account=account, ledger_index=index, limit=PAGE, **page)
        found |= {int(one["seq"]) for one in told["offers"] if one.get("expiration", closed + 1) > closed}
        marker = told.get("marker")
        if marker is None:
            return found, index


# the database's word


def ask(db: Path, query: str, *values: object) -> Rows:
    """Ask the database read-only, as any outside program may."""
    with closing(sqlite3.connect(f"{db.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
        return connection.execute(query, values).fetchall()


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A row of v_submissions or v_upkeep. order_id: None of upkeep."""

    tx_hash: str
    kind: str
    order_id: int | None
    result: str | None
    fee_drops: int
    place: tuple[int | None, int | None]


def sent_rows(db: Path) -> list[Sent]:
    """Return every transaction that the database knows to have prepared."""
    columns = "tx_hash, result, fee_drops, ledger_index, transaction_index"
    rows = ask(db, f"SELECT kind, order_id, {columns} FROM v_submissions")
    rows += ask(db, f"SELECT 'upkeep', NULL, {columns} FROM v_upkeep")
    return [
        Sent(
            tx_hash=str(row[2]).upper(),
            kind=row[0],
            order_id=row[1],
            result=row[3],
            fee_drops=row[4],
            place=(row[5], row[6]),
        )
        for row in rows
    ]


def issuer_of(db: Path) -> str:
    """Return the token's issuer, as the last session's configuration names it."""
    rows = ask(db, "SELECT config_json FROM sessions WHERE mode = 'live' ORDER BY session_id DESC LIMIT 1")
    if not rows:
        raise Refused(f"{db}: there is no live session in it; name the database that `live` was given")
    return str(json.loads(rows[0][0])["pair"]["quote_issuer"])


# the comparison


def check_transactions(events: Sequence[Event], rows: Sequence[Sent]) -> list[Difference]:
    """Compare the account's own transactions with the rows. events: of the sessions' time."""
    found = []
    known = {one.tx_hash: one for one in rows}
    if len(known) != len(rows):
        twice = [tx_hash for tx_hash, count in Counter(one.tx_hash for one in rows).items() if count > 1]
        found += [Difference(kind="row twice", detail=f"transaction {one}") for one in twice]
    ours = {one.tx_hash: one for one in events if one.own}
    for event in ours.values():
        row = known.get(event.tx_hash)
        at = (event.ledger_index, event.transaction_index)
        text = f"{event.kind} {event.tx_hash} ({event.result}, ledger {at[0]}, place {at[1]})"
        if row is None:
            found.append(Difference(kind="unknown transaction", detail=f"{text} is in no row"))
        elif (row.result, row.fee_drops, row.place) != (event.result, event.fee_drops, at):
            detail = f"{text}, fee {event.fee_drops}; its row says {row.result}, {row.place}, {row.fee_drops}"
            found.append(Difference(kind="other result", detail=detail))
    for row in rows:
        if row.tx_hash not in ours and row.result not in (None, TOO_LATE):
            detail = f"{row.kind} {row.tx_hash}: its row says {row.result}, ledger {row.place[0]}"
            found.append(Difference(kind="not on the ledger", detail=detail))
    return found


def check_fills(events: Sequence[Event], rows: Rows) -> list[Difference]:
    """Compare trades with rows (ledger, place, node, side, drops, token, booked token of the line)."""
    found = []
    stored: dict[tuple[int, int, str], list[tuple[Any, ...]]] = defaultdict(list)
    booked: dict[tuple[int, int], Decimal] = defaultdict(Decimal)
    for row in rows:
        stored[row[0], row[1], row[2]].append((row[3], row[4], Decimal(row[5])))
        booked[row[0], row[1]] += Decimal(row[6])
    for key, twice in stored.items():
        if len(twice) > 1:
            found.append(Difference(kind="doubled fill", detail=f"{key} is {len(twice)} rows"))
    for event in events:
        for trade in event.trades:
            key = (trade.ledger_index, trade.transaction_index, trade.node[-NODE_DIGITS:])
            real = (trade.side, trade.drops, trade.token)
            told = stored.pop(key, [])
            if not told:
                found.append(Difference(kind="lost fill", detail=f"{key}: {real} is in no row"))
            elif told[0] != real:
                found.append(Difference(kind="other fill", detail=f"{key}: {real}; its row says {told[0]}"))
        place = (event.ledger_index, event.transaction_index)
        if event.trades and place in booked and booked[place] != event.line_change:
            detail = f"{place}: the line moved by {event.line_change}, its rows by {booked[place]}"
            found.append(Difference(kind="other fill", detail=detail))
    found += [Difference(kind="invented fill", detail=f"{key} is no trade") for key in stored]
    return found


def balances_at(events: Iterable[Event], ledger_index: int) -> tuple[int, Decimal]:
    """Return drops and token after a ledger, as the last metadata up to it tells them."""
    drops, token = 0, Decimal(0)
    for event in events:
        if event.ledger_index <= ledger_index:
            drops = drops if event.balance is None else event.balance
            token = token if event.line is None else event.line
    return drops, token


def check_balances(events: Sequence[Event], db: Path) -> list[Difference]:
    """Compare the last session's last ledger tick with the balances of its ledger."""
    tick = ask(
        db,
        "SELECT t.ledger_index, t.inventory_xrp_drops - t.fees_drops, t.inventory_rlusd FROM ticks t "
        "WHERE t.kind = 'ledger' AND t.session_id = (SELECT max(session_id) FROM sessions) "
        "ORDER BY t.tick DESC LIMIT 1",
    )
    if not tick:
        return []
    said = (tick[0][1], Decimal(tick[0][2]))
    real = balances_at(events, tick[0][0])
    if said == real:
        return []
    detail = f"ledger {tick[0][0]}: {real[0]} drops and {real[1]}; the last tick says {said[0]} and {said[1]}"
    return [Difference(kind="other balance", detail=detail)]


def check_now(wire: Asking, account: str, issuer: str, events: Sequence[Event]) -> list[Difference]:
    """Check that this reader's own sums are what account_info and account_lines say now."""
    root = wire.result("account_info", account=account, ledger_index="validated")
    index = int(root["ledger_index"])
    lines = wire.result("account_lines", account=account, peer=issuer, ledger_index=index)["lines"]
    last = max((one.ledger_index for one in events), default=0)
    told = (int(root["account_data"]["Balance"]), sum((Decimal(one["balance"]) for one in lines), Decimal(0)))
    read = balances_at(events, last)
    if told == read:
        return []
    detail = (
        f"ledger {index}: the server says {told[0]} and {told[1]}, the history read {read[0]} and {read[1]}"
    )
    return [Difference(kind="other history", detail=f"{detail}; try again if the account still trades")]


def check_offers(standing: set[int], working: Rows) -> list[Difference]:
    """Compare the offers that stand with the working orders (id, status, offer_sequence)."""
    found = []
    named = {sequence for _number, _status, sequence in working if sequence is not None}
    found += [
        Difference(kind="unknown offer", detail=f"offer {one} stands and is no working order")
        for one in sorted(standing - named)
    ]
    for number, status, sequence in working:
        if status in STANDING and sequence not in standing:
            detail = f"order {number} is {status}, its offer {sequence} does not stand"
            found.append(Difference(kind="missing offer", detail=detail))
    return found


def check_once(events: Sequence[Event], rows: Sequence[Sent]) -> list[Difference]:
    """Check that no order has two validated creates, and that sequences follow each other."""
    succeeded = {one.tx_hash for one in events if one.own and one.result == SUCCESS}
    places = Counter(
        one.order_id for one in rows if one.kind in ("create", "replace") and one.tx_hash in succeeded
    )
    found = [
        Difference(kind="submitted twice", detail=f"order {order_id} was placed {count} times")
        for order_id, count in places.items()
        if count > 1
    ]
    used = sorted((one.sequence, one.next_sequence) for one in events if one.own and one.sequence)
    found += [
        Difference(kind="sequence", detail=f"after sequence {one[0]} comes {after[0]}, not {one[1]}")
        for one, after in itertools.pairwise(used)
        if after[0] != one[1]
    ]
    return found


def compare(wire: Asking, db: Path, account: str, from_ledger: int | None = None) -> Verdict:
    """Compare everything. from_ledger: the first one to look at; None: that of the first ledger tick."""
    issuer = issuer_of(db)
    if from_ledger is None:
        from_ledger = ask(db, "SELECT coalesce(min(ledger_index), 0) FROM ticks WHERE kind = 'ledger'")[0][0]
    standing, _ledger = standing_offers(wire, account)
    everything = history(wire, account, issuer)
    events = [one for one in everything if one.ledger_index >= from_ledger]
    rows = sent_rows(db)
    fills = ask(
        db,
        "SELECT ledger_index, transaction_index, node, side, xrp_drops, rlusd, rlusd_balance_delta "
        "FROM fills",
    )
    statuses = (*STANDING, *ON_THE_WAY)
    working = ask(
        db,
        f"SELECT id, status, offer_sequence FROM orders WHERE status IN ({', '.join('?' * len(statuses))})",
        *statuses,
    )
    differences = [
        *check_transactions(events, rows),
        *check_fills(events, fills),
        *check_balances(everything, db),
        *check_now(wire, account, issuer, everything),
        *check_offers(standing, working),
        *check_once(everything, rows),
    ]
    counts = {
        "transactions": sum(one.own for one in events),
        "rows": len(rows),
        "trades": sum(len(one.trades) for one in events),
        "fills": len(fills),
        "offers": len(standing),
        "working orders": len(working),
        "sessions": ask(db, "SELECT count(*) FROM sessions")[0][0],
    }
    return Verdict(counts=counts, differences=tuple(differences))


def main(arguments: list[str] | None = None) -> int:
    """Compare and print; 4 when anything differs."""
    parser = argparse.ArgumentParser(description="Compare a live database with the server's own word.")
    parser.add_argument("--db", type=Path, required=True)
    parser.add_argument("--endpoint", required=True, help="WebSocket address of a server with the history")
    parser.add_argument("--account", required=True)
    parser.add_argument("--from-ledger", type=int, help="first ledger; default: the first ledger tick's")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args(arguments)
    try:
        with Wire(options.endpoint) as wire:
            verdict = compare(wire, options.db, options.account, options.from_ledger)
    except (Refused, OSError, TimeoutError, sqlite3.Error) as error:
        print(f"error: nothing was compared: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({"agrees": not verdict.differences, **msgspec.to_builtins(verdict)}))
    else:
        print(", ".join(f"{count} {name}" for name, count in verdict.counts.items()))
        for one in verdict.differences:
            print(f"{one.kind}: {one.detail}")
        print(f"differences: {len(verdict.differences)}" if verdict.differences else "everything agrees")
    return EXIT_DIFFERENT if verdict.differences else 0


if __name__ == "__main__":
    sys.exit(main())
