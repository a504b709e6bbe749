"""The proof of the model ledger: every transaction of a recording, run again and compared with what it did.

Theory. A recording holds a ledger's whole state and then every transaction with the metadata of the server
that ran it. Two runs are made over it:

* each ledger alone: the model starts it from the true state (truth.py), applies its transactions in the
  recorded order, and each outcome is compared with the recorded one, so that one early difference does not
  hide the rest;
* chained: the model starts once and is never corrected; what it ends in is compared with the true state.

Three grades. The result code. The same effects: the same entries made, changed and removed, and every amount
told of them within `NEAR` of the recorded one. Exact: the metadata are equal as they stand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from neo_engine.domain.errors import FeedError, InvariantViolation, NeoError
from neo_engine.simulator.model import keys
from neo_engine.simulator.model.amounts import Token
from neo_engine.simulator.model.context import Rules
from neo_engine.simulator.model.fields import AMOUNT_FIELDS, Entry
from neo_engine.simulator.model.genesis import state_from_wire
from neo_engine.simulator.model.ledger import owner_funds
from neo_engine.simulator.model.registry import HANDLERS
from neo_engine.simulator.model.state import State
from neo_engine.simulator.model.transactions import set_fee
from neo_engine.simulator.model.transactor import Applied, apply
from neo_engine.simulator.model.tx import Tx
from neo_engine.simulator.truth import follow, missing_directories

NEAR = Decimal("1E-9")  # relative distance of two amounts that are taken for the same
MAX_CAUSES = 1_000  # kinds of difference kept: a file that shows more is not this model's
#: What a stream message adds to a transaction's own fields.
_STREAM_FIELDS = frozenset({"date", "ledger_index", "owner_funds", "hash"})
_BODIES = ("PreviousFields", "FinalFields", "NewFields")
#: Entries whose amounts must be the true ones at the end of the chained run, and which amounts.
_HELD = {
    "AccountRoot": ("Balance",),
    "AMM": ("LPTokenBalance",),
    "Offer": ("TakerPays", "TakerGets"),
    "RippleState": ("Balance",),
}
END_OF_RUN = "end state"
_MODELLED = HANDLERS.keys() | {set_fee.KIND}
_READ_ERRORS = (NeoError, msgspec.MsgspecError, KeyError, TypeError, ValueError)

Json = Mapping[str, Any]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Differences of one cause in one transaction type. example: the first one, with its place."""

    type: str
    cause: str
    count: int
    example: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording shows of the model; counts are of transactions, each ledger alone."""

    transactions: int
    exact_result_codes: int
    same_effects: int
    exact_metadata: int
    end_state_equal: bool
    differences: tuple[Difference, ...]


def verify(lines: Iterable[bytes], where: str) -> Verdict:
    """Run a recording through the model. `where` names it in errors.

    Raises FeedError naming the line and the fix for what is no recording of format 1 or has no whole state.
    """
    numbered = enumerate(lines, start=1)
    number, data = next(numbered, (1, b""))
    try:
        state, close_time = _header(msgspec.json.decode(data))
    except _READ_ERRORS as error:
        raise _unreadable(where, number, error) from error
    missing = missing_directories(state)
    if missing:
        raise FeedError(
            f"recording {where}, line 1: {missing} entries stand in directories that `state` lacks, so the "
            "model cannot run on it; use a recording whose header holds every entry of its ledger"
        )
    run = _Run(state, close_time)
    for number, data in numbered:
        if not data.strip():
            continue
        try:
            run.ledger(msgspec.json.decode(data))
        except _READ_ERRORS as error:
            raise _unreadable(where, number, error) from error
    return run.verdict()


def _unreadable(where: str, number: int, error: Exception) -> FeedError:
    why = f"{type(error).__name__}: {error}"[:200]
    return FeedError(
        f"recording {where}, line {number}: not of recording format 1 ({why}); name another file"
    )


def _header(line: Json) -> tuple[State, int]:
    if line["type"] != "header":
        raise FeedError(f"type is {line['type']!r}, not 'header'")
    return state_from_wire(line["state"]), int(line["start_ledger"]["close_time"])


class _Run:
    """Both runs over one recording, ledger by ledger."""

    def __init__(self, state: State, close_time: int) -> None:
        self._truth = state
        self._chained = state.copy()
        self._close_time = close_time
        self._counts: Counter[str] = Counter()
        self._causes: Counter[tuple[str, str]] = Counter()
        self._examples: dict[tuple[str, str], str] = {}

    def ledger(self, line: Json) -> None:
        """Run one ledger from the truth and in the chain, then let the truth follow it."""
        closed = line["ledger"]
        index = int(closed["ledger_index"])
        rules = _rules(self._truth, index, self._close_time)
        alone = self._truth.copy()
        for place, item in enumerate(line["transactions"]):
            fields = {name: value for name, value in item["tx_json"].items() if name not in _STREAM_FIELDS}
            tx = Tx(fields, item["hash"])
            at = f"ledger {index} transaction {place} {tx.hash}"
            self._compare(alone, tx, rules, item["meta"], at)
            if tx.kind in _MODELLED:
                _attempt(self._chained, tx, rules)
            else:
                follow(self._chained, item["meta"], tx.hash, index)
            follow(self._truth, item["meta"], tx.hash, index)
        self._compare_funds(alone, line["transactions"], rules)
        self._close_time = int(closed["ledger_time"])

    def _compare(self, state: State, tx: Tx, rules: Rules, told: Json, at: str) -> None:
        self._counts["transactions"] += 1
        if tx.kind not in _MODELLED:
            self._note(tx.kind, "type is no part of the model", at)
            follow(state, told, tx.hash, rules.ledger_index)
            return
        applied = _attempt(state, tx, rules)
        if isinstance(applied, str):
            self._note(tx.kind, "model failed", f"{at}: {applied}")
            return
        if applied.result != told["TransactionResult"]:
            cause = f"result {applied.result}, recorded {told['TransactionResult']}"
            self._note(tx.kind, cause, at)
            return
        self._counts["codes"] += 1
        meta = applied.meta or {}
        exact = meta | {"TransactionIndex": told["TransactionIndex"]} == told
        if exact:
            self._counts["effects"] += 1
            self._counts["exact"] += 1
            return
        cause, example, near = difference_of(meta, told)
        self._counts["effects"] += near
        self._note(tx.kind, cause, f"{at}: {example}")

    def _compare_funds(self, state: State, items: Iterable[Json], rules: Rules) -> None:
        """The streams tell what a sender has left of TakerGets when the ledger is done."""
        for item in items:
            told = item["tx_json"].get("owner_funds")
            if told is None or item["tx_json"]["TransactionType"] != "OfferCreate":
                continue
            tx = Tx(item["tx_json"], item["hash"])
            ours = owner_funds(state, tx, rules)
            if ours != told:
                self._note(tx.kind, "owner_funds of the stream", f"{tx.hash}: {ours} != {told}")

    def _note(self, kind: str, cause: str, example: str) -> None:
        place = (kind, cause)
        if place in self._causes or len(self._causes) < MAX_CAUSES:
            self._causes[place] += 1
            self._examples.setdefault(place, example)

    def verdict(self) -> Verdict:
        """Compare the end of the chained run and sum everything up."""
        ends = list(end_differences(self._chained, self._truth))
        for kind, example in ends:
            self._note(kind, END_OF_RUN, example)
        return Verdict(
            transactions=self._counts["transactions"],
            exact_result_codes=self._counts["codes"],
            same_effects=self._counts["effects"],
            exact_metadata=self._counts["exact"],
            end_state_equal=not ends,
            differences=tuple(
                Difference(type=kind, cause=cause, count=count, example=self._examples[kind, cause])
                for (kind, cause), count in self._causes.most_common()
            ),
        )


def _rules(state: State, ledger_index: int, parent_close_time: int) -> Rules:
    fees = state.entries[keys.FEE_SETTINGS]
    return Rules(
        ledger_index=ledger_index,
        parent_close_time=parent_close_time,
        parent_hash="",
        base_fee=int(fees["BaseFeeDrops"]),
        base_reserve=int(fees["ReserveBaseDrops"]),
        owner_reserve=int(fees["ReserveIncrementDrops"]),
    )


def _attempt(state: State, tx: Tx, rules: Rules) -> Applied | str:
    """Apply; a broken invariant is told as a text, because judging the model is what this is for."""
    try:
        return apply(state, tx, rules)
    except InvariantViolation as error:
        return str(error)


def near(one: Decimal, other: Decimal) -> bool:
    """True if two amounts differ by at most `NEAR` of the larger one."""
    return one == other or abs(one - other) <= NEAR * max(abs(one), abs(other))


def difference_of(ours: Json, told: Json) -> tuple[str, str, bool]:
    """Return (cause, example, whether the effects are the same) of two metadata that are not equal."""
    mine, theirs = _nodes(ours), _nodes(told)
    if mine.keys() != theirs.keys():
        extra, lacking = sorted(mine.keys() - theirs.keys()), sorted(theirs.keys() - mine.keys())
        kinds = sorted({f"{kind} {action}" for action, kind, _ in [*extra, *lacking]})
        return f"entries: {', '.join(kinds)}", f"too many {extra[:3]}, missing {lacking[:3]}", False
    cause, example, same = "order of nodes", "", True
    pairs = [(f"{kind}.", mine[node], theirs[node]) for node in theirs for kind in (node[1],)]
    pairs.append(("", ours, told))
    for prefix, one, other in pairs:
        for path, value, expected in _unequal(one, other):
            far = _is_amount(path) and not _near_amounts(value, expected)
            if far or not example:
                grade = "beyond 1e-9" if far else "last digits" if _is_amount(path) else "field"
                cause, example = f"{prefix}{path}: {grade}", f"{value} != {expected}"
            same = same and not far
    return cause, example, same


def _nodes(meta: Json) -> dict[tuple[str, str, str], Json]:
    nodes = {}
    for node in meta["AffectedNodes"]:
        ((action, body),) = node.items()
        nodes[action, body["LedgerEntryType"], body["LedgerIndex"]] = body
    return nodes


def _unequal(one: Json, other: Json) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted(one.keys() | other.keys()):
        value, expected = one.get(name), other.get(name)
        if name in ("AffectedNodes", "TransactionIndex") or value == expected:
            continue
        if name in _BODIES:
            for path, mine, theirs in _unequal(value or {}, expected or {}):
                yield f"{name}.{path}", mine, theirs
        else:
            yield name, value, expected


def _is_amount(path: str) -> bool:
    return path.rpartition(".")[2] in AMOUNT_FIELDS or path in ("delivered_amount", "DeliveredAmount")


def _near_amounts(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return near(Decimal(one), Decimal(other))
    if isinstance(one, dict) and isinstance(other, dict):
        same = all(one.get(name) == other.get(name) for name in ("currency", "issuer"))
        return same and near(Decimal(one["value"]), Decimal(other["value"]))
    return False


def end_differences(ours: State, truth: State) -> Iterator[tuple[str, str]]:
    """Yield (entry type, what differs) for every offer, balance and pool that did not end as it truly did."""
    for index in sorted(ours.entries.keys() | truth.entries.keys()):
        one, other = ours.entries.get(index), truth.entries.get(index)
        kind = (one or other or {})["LedgerEntryType"]
        names = _HELD.get(kind)
        if names is None:
            continue
        if one is None or other is None:
            yield kind, f"{index} is {'missing' if one is None else 'too many'}"
            continue
        for name in names:
            if not near(_number(one, name), _number(other, name)):
                yield kind, f"{index} {name}: {_number(one, name)} != {_number(other, name)}"


def _number(entry: Entry, name: str) -> Decimal:
    value = entry[name]
    return value.value if isinstance(value, Token) else Decimal(value)
