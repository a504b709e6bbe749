"""What waits: transactions held for a missing one before them, and the fee queue.

Theory (rippled TxQ.cpp, TxQ.h; docs "Transaction Queue", "Transaction Cost"). An open ledger takes
transactions at the base fee up to a soft limit; above it the fee level asked for rises with the square of
what is in it. Who pays less is queued, best fee level first, one account's by sequence. A level of 256 is
the base fee. The queue's limits protect the account from promising more than it has: 10 transactions, fees
below the reserve, and every XRP an ask could spend counted in full.

Worked example: 32 expected, multiplier 128000, 40 in the ledger: 128000 * 40 * 40 / 32 / 32 = 200000,
which is 7812.5 drops; the fee asked for is the next whole drop.

>>> metrics = FeeMetrics()
>>> metrics.required_level(40), drops_asked(200000, 10)
(200000, 7813)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from neo_engine.simulator.model.amounts import Token
from neo_engine.simulator.model.context import Rules
from neo_engine.simulator.model.transactor import base_fee_of
from neo_engine.simulator.model.tx import Tx

BASE_LEVEL = 256
QUEUE_PER_ACCOUNT = 10  # TxQ.h, maximumTxnPerAccount
RETRIES_ALLOWED = 10  # TxQ.h, MaybeTx::retriesAllowed
LEDGERS_IN_QUEUE = 20
QUEUE_SIZE_MIN = 2000
LAST_LEDGER_BUFFER = 2  # TxQ.h, minimumLastLedgerBuffer: a queued transaction needs some ledgers of life
REPLACE_PERCENT = 25  # TxQ.h, retrySequencePercent
MULTIPLIER_MIN = BASE_LEVEL * 500
EXPECTED_MIN = 32  # TxQ.h, minimumTxnInLedger
EXPECTED_TARGET = 256  # TxQ.h, targetTxnInLedger
EXPECTED_ALONE = 1000  # TxQ.h, minimumTxnInLedgerSA: what a server without a network tells
GROWTH_PERCENT = 20
RECENT_LEDGERS = 20
HOLD_LEDGERS = 5  # LocalTxs.h, holdLedgers: without a LastLedgerSequence nothing is kept for ever
HELD_LIMIT = 4096  # in all; the oldest goes first


def fee_level(tx: Tx, rules: Rules) -> int:
    """Return the fee level a transaction pays: 256 for its base fee, rounded down."""
    base = base_fee_of(tx, rules)
    return tx.fee * BASE_LEVEL // base if base else BASE_LEVEL


def drops_of(level: int, base_fee: int) -> int:
    """Return the drops of a fee level, rounded down."""
    return level * base_fee // BASE_LEVEL


def drops_asked(level: int, base_fee: int) -> int:
    """Return the least drops that reach a fee level (the quotient rounded up)."""
    return drops_of(level - 1, base_fee) + 1


def xrp_spend(tx: Tx) -> int:
    """Return the drops beside its fee that a transaction could spend (rippled makeTxConsequences)."""
    name = "TakerGets" if tx.kind == "OfferCreate" else "SendMax" if "SendMax" in tx.fields else "Amount"
    if tx.kind not in ("OfferCreate", "Payment"):
        return 0
    amount = tx.fields.get(name, 0)
    return 0 if isinstance(amount, Token) else int(amount)


class FeeMetrics:
    """How many transactions a ledger takes at the base fee, and how steeply the fee rises after that."""

    def __init__(self) -> None:
        self.expected = EXPECTED_MIN
        self.multiplier = MULTIPLIER_MIN
        self._recent: deque[int] = deque(maxlen=RECENT_LEDGERS)

    def required_level(self, in_ledger: int) -> int:
        """Return the level to get into an open ledger that holds so many already, rounded down."""
        if in_ledger <= self.expected:
            return BASE_LEVEL
        return self.multiplier * in_ledger * in_ledger // (self.expected * self.expected)

    def ledger_closed(self, levels: Iterable[int]) -> None:
        """Learn from the fee levels of a closed ledger (TxQ.cpp, FeeMetrics::update)."""
        ordered = sorted(levels)
        size = len(ordered)
        if size > self.expected or size > EXPECTED_TARGET:
            self._recent.append(size * (100 + GROWTH_PERCENT) // 100)
            most = max(self._recent)
            self.expected = most if most >= self.expected else (self.expected * 9 + most) // 10
        median = (ordered[size // 2] + ordered[(size - 1) // 2] + 1) // 2 if size else 0
        self.multiplier = max(median, MULTIPLIER_MIN)


class Queued(msgspec.Struct, kw_only=True):
    """A transaction in the queue. level: what it pays. retries: attempts left."""

    tx: Tx
    level: int
    last_ledger: int | None
    retries: int = RETRIES_ALLOWED


class FeeQueue:
    """The queue of transactions that pay too little for the open ledger, by account and sequence."""

    def __init__(self) -> None:
        self.metrics = FeeMetrics()
        self._accounts: dict[str, dict[tuple[bool, int], Queued]] = {}

    def __len__(self) -> int:
        return sum(len(mine) for mine in self._accounts.values())

    @property
    def size_max(self) -> int:
        """How many transactions the queue takes."""
        return max(self.metrics.expected * LEDGERS_IN_QUEUE, QUEUE_SIZE_MIN)

    def of(self, account: str) -> list[Queued]:
        """Return an account's transactions in the order they would be applied."""
        mine = self._accounts.get(account, {})
        return [mine[place] for place in sorted(mine)]

    def next_sequence(self, account: str, sequence: int) -> int:
        """Return the first sequence that is neither used in the ledger nor queued."""
        for one in self.of(account):
            if one.tx.ticket is None and one.tx.sequence == sequence:
                sequence += int(one.tx.fields.get("TicketCount", 0)) + 1
        return sequence

    def refusal(self, tx: Tx, rules: Rules, sequence: int, balance: int) -> str | None:
        """Return why the queue does not take a transaction (a result code), None if it may.

        sequence, balance (drops): the sender's, in the open ledger.
        """
        queued = self.of(tx.account)
        old = self._accounts.get(tx.account, {}).get(_place(tx))
        if old is not None and fee_level(tx, rules) <= old.level * (100 + REPLACE_PERCENT) // 100:
            return "telCAN_NOT_QUEUE_FEE"
        wanted = self.next_sequence(tx.account, sequence)
        in_turn = old is not None or tx.ticket is not None or tx.sequence == wanted
        if not queued and not in_turn:
            return "terPRE_SEQ"
        last = tx.fields.get("LastLedgerSequence")
        if "AccountTxnID" in tx.fields or (
            last is not None and last < rules.ledger_index + LAST_LEDGER_BUFFER
        ):
            return "telCAN_NOT_QUEUE"
        if old is None and len(queued) >= QUEUE_PER_ACCOUNT:
            return "telCAN_NOT_QUEUE_FULL"
        if not in_turn:
            return "telCAN_NOT_QUEUE"
        others = [one.tx for one in queued if one is not old]
        fees = sum(one.fee for one in others)
        reserve_counts = rules.base_reserve > 10 * rules.base_fee
        if others and (fees >= balance or (reserve_counts and fees >= rules.base_reserve)):
            return "telCAN_NOT_QUEUE_BALANCE"
        return self._no_room(tx, rules) if old is None else None

    def balance_left(self, tx: Tx, rules: Rules, balance: int) -> int:
        """Return the drops left when everything else queued has spent what it could."""
        others = [one.tx for one in self.of(tx.account) if _place(one.tx) != _place(tx)]
        liquid = max(balance - rules.base_reserve, 0)
        spend = min(liquid, sum(xrp_spend(one) for one in others))
        return balance - sum(one.fee for one in others) - spend

    def _no_room(self, tx: Tx, rules: Rules) -> str | None:
        if len(self) < self.size_max:
            return None
        worst = min((one for mine in self._accounts.values() for one in mine.values()), key=_rank)
        if worst.tx.account == tx.account or fee_level(tx, rules) <= worst.level:
            return "telCAN_NOT_QUEUE_FULL"
        self.remove(self.of(worst.tx.account)[-1].tx)
        return None

    def add(self, tx: Tx, rules: Rules) -> None:
        """Queue a transaction; one with the same sequence or ticket goes."""
        last = tx.fields.get("LastLedgerSequence")
        entry = Queued(tx=tx, level=fee_level(tx, rules), last_ledger=last)
        self._accounts.setdefault(tx.account, {})[_place(tx)] = entry

    def remove(self, tx: Tx) -> None:
        """Take a transaction, or whatever has its place, off the queue."""
        mine = self._accounts.get(tx.account, {})
        mine.pop(_place(tx), None)
        if not mine:
            self._accounts.pop(tx.account, None)

    def expire(self, ledger_index: int) -> None:
        """Drop what can no longer get into the open ledger of this index."""
        for one in self.in_order():
            if one.last_ledger is not None and one.last_ledger < ledger_index:
                self.remove(one.tx)

    def in_order(self) -> list[Queued]:
        """Return all, best fee level first; an account's only ever in its own order."""
        heads = {account: deque(self.of(account)) for account in self._accounts}
        ordered = []
        while heads:
            best = max(heads, key=lambda account: (heads[account][0].level, heads[account][0].tx.hash))
            ordered.append(heads[best].popleft())
            if not heads[best]:
                del heads[best]
        return ordered


def _place(tx: Tx) -> tuple[bool, int]:
    return tx.ticket is not None, tx.order_sequence


def _rank(one: Queued) -> tuple[int, str]:
    return one.level, one.tx.hash


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction that could not go into an open ledger yet. until: last open ledger to try it in."""

    tx: Tx
    until: int


class HeldTransactions:
    """Transactions kept for a later try: the sequence before them is missing, or the fee was too low."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, tx: Tx, ledger_index: int) -> None:
        """Keep a transaction until its LastLedgerSequence, or for some ledgers without one."""
        until = tx.fields.get("LastLedgerSequence", ledger_index + HOLD_LEDGERS)
        self._held.setdefault(tx.hash, Held(tx=tx, until=until))
        if len(self._held) > HELD_LIMIT:
            del self._held[next(iter(self._held))]

    def take_next(self, account: str, sequence: int) -> Tx | None:
        """Return and forget the account's held transaction that is due at this sequence, if any."""
        for one in self._held.values():
            tx = one.tx
            if tx.account == account and tx.ticket is None and tx.sequence == sequence:
                del self._held[tx.hash]
                return tx
        return None

    def take_all(self, ledger_index: int) -> Sequence[Held]:
        """Return and forget all that may still go into the open ledger of this index, by sequence."""
        held = sorted(self._held.values(), key=lambda one: (one.tx.account, *_place(one.tx)))
        self._held.clear()
        return [one for one in held if one.until >= ledger_index]

    def put_back(self, one: Held) -> None:
        """Hold on to one that was tried again in vain."""
        self._held[one.tx.hash] = one
