"""A gateway that plays a recording: its ledgers as bundles, its state and lists as answers to requests."""

from __future__ import annotations

import gzip
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from neo_engine.xrpl.bundles import LedgerBundle
from neo_engine.xrpl.gateway import GatewayEvent
from neo_engine.xrpl.server import Json, RequestLost, RequestRefused
from neo_engine.xrpl.wire import LedgerClosed

CUT = Path(__file__).resolve().parents[1] / "data" / "calm_cut.jsonl.gz"
NOT_LAST = "0" * 63 + "1"  # a marker this low, after hundreds of entries: there must be very many


class _Line(msgspec.Struct):
    ledger: msgspec.Raw
    transactions: list[msgspec.Raw]
    asks: Any = None
    bids: Any = None
    amm: Any = None
    accounts: Any = None


class StillClock:
    """Time passes by sleeping only."""

    def __init__(self) -> None:
        self.now = 0.0

    def utc_now(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class PlayedGateway:
    """Answers about the ledger before the first and every one handed out.

    small: gives its whole state; refused, lost: commands answered so. items: what `next` will give.
    limits: the time limits of all that was waited for, seconds.
    """

    def __init__(self, path: Path = CUT, *, small: bool = True, ledgers: int = 60) -> None:
        with gzip.open(path) as file:
            rows = file.read().splitlines()
        self.header: Json = msgspec.json.decode(rows[0])
        lines = [msgspec.json.decode(row, type=_Line) for row in rows[1 : ledgers + 1]]
        self.bundles = [bundle_of(line) for line in lines]
        self.items: deque[LedgerBundle | GatewayEvent] = deque(self.bundles)
        self.small = small
        self.refused: dict[str, str] = {}
        self.lost: set[str] = set()
        self.asked: list[tuple[str, Json]] = []
        self.started = self.closed = 0
        self.limits: list[float] = []
        start = self.header["start_ledger"]
        self._heads = {start["ledger_index"]: (start["ledger_hash"], start["close_time"])}
        self._lines: dict[int, _Line] = {}
        for bundle, line in zip(self.bundles, lines, strict=True):
            closed = bundle.closed
            self._heads[closed.ledger_index] = (closed.ledger_hash, closed.ledger_time)
            self._lines[closed.ledger_index] = line
        self._lines[start["ledger_index"]] = lines[0]
        self.validated = int(start["ledger_index"])

    def start(self) -> None:
        self.started += 1

    def close(self) -> None:
        self.closed += 1

    def forget(self, ledger_index: int) -> None:
        """Lack that ledger from now on."""
        del self._heads[ledger_index]

    def next(self, timeout_seconds: float) -> LedgerBundle | GatewayEvent | None:
        self.limits.append(timeout_seconds)
        return self.items.popleft() if self.items else None

    def request(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Json:
        self.limits.append(timeout_seconds)
        self.asked.append((command, parameters))
        if command in self.refused:
            raise RequestRefused(command, self.refused[command], "no", {})
        if command in self.lost:
            raise RequestLost(command, "the socket closed", sent=True)
        if command == "server_info":
            return {"info": {"build_version": "3.1.1"}}
        wanted = parameters["ledger_index"]
        index = self.validated if wanted == "validated" else wanted
        if index not in self._heads:
            raise RequestRefused(command, "lgrNotFound", "no such ledger", {})
        ledger_hash, close_time = self._heads[index]
        where = {"ledger_index": index, "ledger_hash": ledger_hash, "validated": True}
        if command == "ledger":
            return {**where, "ledger": {"close_time": close_time}}
        return {**where, **self._told(command, index, parameters)}

    def _told(self, command: str, index: int, parameters: Json) -> Json:
        line = self._lines[index]
        if command == "ledger_data":
            return {"state": self.header["state"]} | ({} if self.small else {"marker": NOT_LAST})
        if command == "book_offers":
            name = "asks" if parameters["taker_gets"]["currency"] == "XRP" else "bids"
            return {"offers": getattr(line, name)}
        if command == "amm_info":
            return {"amm": line.amm}
        if command == "ledger_entry":
            return self._entry(command, parameters)
        watched = line.accounts.get(parameters["account"])
        if watched is None:
            raise RequestRefused(command, "actNotFound", "no such account", {})
        name = {"account_info": "account_data", "account_lines": "lines", "account_offers": "offers"}[command]
        return {name: watched[name]}

    def _entry(self, command: str, parameters: Json) -> Json:
        for entry in self.header["state"]:
            if _is_named(entry, parameters):
                return {"index": entry["index"], "node": entry}
        raise RequestRefused(command, "entryNotFound", "no such entry", {})


def _is_named(entry: Json, parameters: Json) -> bool:
    kind, line = entry["LedgerEntryType"], parameters.get("ripple_state")
    if line is not None:
        ends = {(entry.get(name) or {}).get("issuer") for name in ("LowLimit", "HighLimit")}
        mine = kind == "RippleState" and ends == set(line["accounts"])
        return mine and bool(entry["Balance"]["currency"] == line["currency"])
    if "amm" in parameters:
        return kind == "AMM" and parameters["amm"]["asset2"]["issuer"] in str(
            (entry["Asset"], entry["Asset2"])
        )
    if "account_root" in parameters:
        return kind == "AccountRoot" and bool(entry["Account"] == parameters["account_root"])
    return bool(entry["index"] == parameters["index"])


def bundle_of(line: _Line) -> LedgerBundle:
    """Return a recorded line as the gateway would hand it over."""
    raw = bytes(line.ledger)
    return LedgerBundle(
        closed=msgspec.json.decode(raw, type=LedgerClosed),
        transactions=tuple(bytes(one) for one in line.transactions),
        raw_closed=raw,
        backfilled=False,
    )
