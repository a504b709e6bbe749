"""The network behind the server: the open ledger, what waits for it, and how ledgers close.

Theory (rippled NetworkOPs.cpp, OpenLedger.cpp; docs "Transaction Submission", "Finality of Results"). What
comes in runs at once on a copy of the last closed state, the open ledger, and gets a preliminary result.
At the close the same transactions run again on the closed state in the canonical order, and those results
are final: they may differ. What could not go in (a sequence is missing, the fee was too low) is kept and
tried again in each following open ledger until its LastLedgerSequence.

No sockets and no clock: each close moves the network's time by the same number of seconds, so equal
inputs make equal ledgers.

1. The open ledger's state is the closed one plus its transactions, each of which ended in tes or tec.
2. A transaction is in the open ledger, in the queue, or held, never in two of them.
3. A close that the model cannot do leaves the closed state as it was.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from neo_engine.domain.errors import BadNumber, InvariantViolation
from neo_engine.simulator.history import History
from neo_engine.simulator.model import keys
from neo_engine.simulator.model.context import Rules
from neo_engine.simulator.model.ledger import Chain, ClosedLedger, LedgerTx
from neo_engine.simulator.model.registry import HANDLERS
from neo_engine.simulator.model.results import RESULTS, SUCCESS, is_applied, is_tec
from neo_engine.simulator.model.state import State, View
from neo_engine.simulator.model.transactor import Applied, apply, check
from neo_engine.simulator.model.tx import Tx
from neo_engine.simulator.server import faucet, reports, signing
from neo_engine.simulator.server.client import Client
from neo_engine.simulator.server.errors import RpcError
from neo_engine.simulator.server.genesis import ISSUER_ACCOUNT
from neo_engine.simulator.server.queue import BASE_LEVEL, FeeQueue, HeldTransactions, fee_level, xrp_spend
from neo_engine.simulator.server.streams import Streams

Json = dict[str, Any]

BAD_HASHES_KEPT = 4_096  # malformed transactions remembered, so that a second try is refused unseen
DIFFERENCES_KEPT = 1_000
HELD_CHAIN_MAX = 10  # held transactions that one success may free at once (NetworkOPs.cpp)
MODEL_FAULTS = (ArithmeticError, AttributeError, InvariantViolation, LookupError, TypeError, ValueError)
_log = logging.getLogger("neo_engine.simulator")
#: Results that come before the signer's authority is looked at (Transactor.cpp, invokePreclaim).
_BEFORE_AUTHORITY = ("tem", "terNO_ACCOUNT", "terPRE_", "tefPAST_SEQ", "tefNO_TICKET", "tefWRONG_PRIOR")
_NETWORK_RESULTS = ("telNETWORK_ID_MAKES_TX_NON_CANONICAL", "telREQUIRES_NETWORK_ID", "telWRONG_NETWORK")


class Market(Protocol):
    """Agents that trade on the network."""

    chain: Chain
    accounts: dict[str, str]

    def transactions(self) -> list[Tx]:
        """Return what they send for the next ledger."""

    def closed(self, closed: ClosedLedger) -> None:
        """Tell them what became of it."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction whose final result is not the preliminary one; final: None if it did not get in."""

    tx_hash: str
    preliminary: str
    final: str | None


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a transaction on arrival."""

    result: str
    applied: bool
    queued: bool = False


class OpenLedger:
    """The ledger that is being filled. state: with the tentative transactions applied."""

    def __init__(self, state: State, rules: Rules) -> None:
        self.state = state
        self.rules = rules
        self.index = rules.ledger_index
        self.transactions: list[LedgerTx] = []

    def run(self, tx: Tx, *, dry: bool = False) -> Applied:
        """Apply a transaction; unless `dry` it is in the ledger if its result is tes or tec."""
        applied = apply(self.state, tx, self.rules, open_ledger=True, dry=dry)
        if applied.meta is not None:
            index = len(self.transactions)
            applied.meta["TransactionIndex"] = index
            if not dry:
                item = LedgerTx(tx=tx, result=applied.result, meta=applied.meta, index=index)
                self.transactions.append(item)
        return applied

    def account(self, address: str) -> tuple[int, int]:
        """Return an account's sequence and drops, zeros if there is none."""
        root = self.state.entries.get(keys.account_root(address))
        return (0, 0) if root is None else (root["Sequence"], root["Balance"])


class Network:
    """Chain, open ledger, queue, history and streams. See the module's text for how they belong together.

    now: the network's time, seconds since 2000-01-01; a close adds `seconds_per_ledger`. escalation: fees
    rise when many transactions come. ports: (number, protocol) pairs that server_info tells.
    """

    def __init__(
        self,
        chain: Chain,
        *,
        seconds_per_ledger: int,
        escalation: bool = False,
        market: Market | None = None,
    ) -> None:
        self.chain = chain
        self.market = market
        self.history = History()
        self.streams = Streams()
        self.now = chain.header.close_time
        self.ports: tuple[tuple[int, str], ...] = ()
        self.amendment_blocked = False
        self.differences: deque[Difference] = deque(maxlen=DIFFERENCES_KEPT)
        self.held = HeldTransactions()
        self.queue = FeeQueue() if escalation else None
        self._started = self.now
        self._step = seconds_per_ledger
        self._bad: dict[str, None] = {}
        self._told_level = BASE_LEVEL
        self.history.add(ClosedLedger(header=chain.header, transactions=()), chain.state.copy())
        self.open_ledger = OpenLedger(chain.state.copy(), chain.rules())

    @property
    def network_id(self) -> int:
        """0 for the main network."""
        return self.chain.network_id

    @property
    def issuer(self) -> str:
        """Who issues the network's token: its market's issuer, or the fresh network's own."""
        return (self.market.accounts if self.market else {}).get("issuer", ISSUER_ACCOUNT)

    def situation(self) -> reports.Situation:
        """Return what the server's reports are made of."""
        return reports.Situation(
            now=self.now,
            started=self._started,
            header=self.chain.header,
            first_ledger=self.history.first,
            rules=self.open_ledger.rules,
            network_id=self.network_id,
            in_ledger=len(self.open_ledger.transactions),
            queue=self.queue,
            ports=self.ports,
            amendment_blocked=self.amendment_blocked,
        )

    def fee_report(self) -> Json:
        """Return the result of `fee`."""
        return reports.fee_report(self.situation())

    def server_info(self) -> Json:
        """Return the result of `server_info`."""
        return reports.server_info(self.situation())

    def server_state(self) -> Json:
        """Return the result of `server_state`."""
        return reports.server_state(self.situation())

    def queue_of(self, account: str) -> list[Json]:
        """Return the account's queued transactions as `queue_data.transactions` has them."""
        told = []
        for one in [] if self.queue is None else self.queue.of(account):
            tx = one.tx
            place = {"seq": tx.sequence} if tx.ticket is None else {"ticket": tx.ticket}
            entry: Json = {
                **place,
                "auth_change": False,
                "fee": str(tx.fee),
                "fee_level": str(one.level),
                "max_spend_drops": str(tx.fee + xrp_spend(tx)),
            }
            if one.last_ledger is not None:
                entry["LastLedgerSequence"] = one.last_ledger
            told.append(entry)
        return told

    def submit(self, tx_json: Json, blob: str, *, fail_hard: bool) -> Json:
        """Take in a signed transaction and return the result of `submit`.

        Raises RpcError (invalidTransaction) for a bad signature or fields that no ledger can hold.
        """
        tx_hash = signing.blob_hash(blob)
        try:
            signing.check_signature(tx_json)
            tx = signing.make_tx(tx_json, tx_hash)
        except (signing.BadTransaction, BadNumber) as error:
            raise RpcError("invalidTransaction", fields={"error_exception": str(error)}) from error
        except KeyError as error:
            text = f"Field {error} is required but missing."
            raise RpcError("invalidTransaction", fields={"error_exception": text}) from error
        told = self._receive(tx, fail_hard=fail_hard)
        return {**told, "tx_blob": blob, "tx_json": {**tx_json, "hash": tx_hash}}

    def _receive(self, tx: Tx, *, fail_hard: bool) -> Json:
        if tx.hash in self._bad:
            return {**outcome("temBAD_SIGNATURE"), **_submit_flags(applied=False, queued=False, kept=False)}
        denied = self._denied(tx)
        entered = Entered(result=denied, applied=False) if denied else self._enter(tx, fail_hard=fail_hard)
        hard = fail_hard and entered.result != SUCCESS
        if entered.result.startswith("tem"):
            self._remember_bad(tx.hash)
        elif entered.result.startswith(("ter", "tel")) and not entered.queued and not hard:
            self.held.hold(tx, self.open_ledger.index)
        if entered.applied:
            self._free_held(tx.account)
        self._tell_load()
        sequence, _ = self.open_ledger.account(tx.account)
        available = sequence if self.queue is None else self.queue.next_sequence(tx.account, sequence)
        return {
            **outcome(entered.result),
            **_submit_flags(applied=entered.applied, queued=entered.queued, kept=not hard),
            "account_sequence_available": available,
            "account_sequence_next": sequence,
            "open_ledger_cost": str(self.situation().open_cost),
            "validated_ledger_index": self.chain.header.ledger_index,
        }

    def _denied(self, tx: Tx) -> str:
        """Return the result if the signing key may not speak for the account, else nothing."""
        result = signing.authority(self.open_ledger.state, tx.json)
        if result == SUCCESS:
            return ""
        first = self.open_ledger.run(tx, dry=True).result
        earlier = first.startswith(_BEFORE_AUTHORITY) or first in (*_NETWORK_RESULTS, "tefMAX_LEDGER")
        return first if earlier else result

    def _remember_bad(self, tx_hash: str) -> None:
        self._bad[tx_hash] = None
        if len(self._bad) > BAD_HASHES_KEPT:
            del self._bad[next(iter(self._bad))]

    def _enter(self, tx: Tx, *, fail_hard: bool = False) -> Entered:
        """Put a transaction into the open ledger or the queue, and tell its subscribers."""
        if self.queue is not None:
            verdict = self._queue_first(tx, self.queue, fail_hard=fail_hard)
            if verdict is not None:
                return verdict
        if fail_hard and is_tec(tried := self.open_ledger.run(tx, dry=True).result):
            return Entered(result=tried, applied=False)
        applied = self.open_ledger.run(tx)
        if not is_applied(applied.result):
            return Entered(result=applied.result, applied=False)
        if self.queue is not None:
            self.queue.remove(tx)
        self.streams.proposed(self.open_ledger.transactions[-1], self.open_ledger)
        return Entered(result=applied.result, applied=True)

    def _queue_first(self, tx: Tx, queue: FeeQueue, *, fail_hard: bool) -> Entered | None:
        """Return how the queue deals with a transaction, None if it may go straight into the ledger."""
        ledger = self.open_ledger
        handler = HANDLERS.get(tx.kind)
        level = fee_level(tx, ledger.rules)
        sequence, balance = ledger.account(tx.account)
        in_turn = tx.ticket is not None or tx.sequence == sequence
        if handler is None or (in_turn and level >= queue.metrics.required_level(len(ledger.transactions))):
            return None
        result = check(View(ledger.state), tx, ledger.rules, handler, open_ledger=True)
        if result.startswith(("tem", "tef", "tel", "terNO_ACCOUNT", "terPRE_TICKET")):
            return Entered(result=result, applied=False)
        refused = "telCAN_NOT_QUEUE" if fail_hard else queue.refusal(tx, ledger.rules, sequence, balance)
        if refused is None:
            view = View(ledger.state)
            root = view.edit(keys.account_root(tx.account))
            root["Balance"] = queue.balance_left(tx, ledger.rules, balance)
            root["Sequence"] = tx.sequence or queue.next_sequence(tx.account, sequence)
            likely = check(view, tx, ledger.rules, handler, open_ledger=True)
            refused = None if is_applied(likely) else likely
        if refused is not None:
            return Entered(result=refused, applied=False)
        queue.add(tx, ledger.rules)
        return Entered(result="terQUEUED", applied=False, queued=True)

    def _free_held(self, account: str) -> None:
        """Let held transactions follow the one that came just before them in their account's sequence."""
        for _ in range(HELD_CHAIN_MAX):
            if not len(self.held):
                return
            sequence, _balance = self.open_ledger.account(account)
            tx = self.held.take_next(account, sequence)
            if tx is None or not self._enter(tx).applied:
                return

    def add_internal(self, tx: Tx) -> str:
        """Take in a transaction of a party of the model itself, unsigned; return its preliminary result."""
        entered = self._enter(tx)
        if entered.applied:
            self._free_held(tx.account)
        return entered.result

    def simulate(self, tx_json: Json) -> Json:
        """Run a transaction on the open ledger and forget it; missing Fee and Sequence are filled in.

        Raises RpcError as the command does for an account that is not there or impossible fields.
        """
        filled = {"SigningPubKey": "", "TxnSignature": "", **tx_json}
        filled.setdefault("Fee", str(self.situation().open_cost))
        sequence, _ = self.open_ledger.account(str(filled.get("Account", "")))
        if "Sequence" not in filled:
            if "TicketSequence" not in filled and not sequence:
                raise RpcError("srcActNotFound")
            filled["Sequence"] = 0 if "TicketSequence" in filled else sequence
        try:
            tx_hash = signing.hash_of(filled)
            applied = self.open_ledger.run(signing.make_tx(filled, tx_hash), dry=True)
        except (signing.BadTransaction, BadNumber, KeyError) as error:
            raise RpcError("invalidTransaction", fields={"error_exception": str(error)}) from error
        told = {**outcome(applied.result), "applied": False, "ledger_index": self.open_ledger.index}
        if applied.result == SUCCESS:
            told["engine_result_message"] = "The simulated transaction would have been applied."
        if applied.meta is not None:
            told["meta"] = {**applied.meta, "TransactionIndex": 0}
        return {**told, "tx_json": {**filled, "hash": tx_hash}}

    def subscribe(self, client: Client, params: Json) -> Json:
        """Subscribe a client (his parameters are checked) and return what the streams tell at once."""
        return self.streams.subscribe(client, params, self.situation())

    def unsubscribe(self, client: Client, params: Json) -> Json:
        """End subscriptions; the parameters are checked."""
        self.streams.unsubscribe(client, params)
        return {}

    def faucet(self, params: Json) -> Json:
        """Fund an account with XRP and tokens; return the result of `faucet`. Raises RpcError."""
        return faucet.faucet(self, params)

    def accept(self) -> Json:
        """Close the open ledger now; return the result of `ledger_accept`."""
        self.close()
        return {"ledger_current_index": self.open_ledger.index}

    def close(self) -> ClosedLedger:
        """Close the open ledger with what is in it, publish it and open the next."""
        if self.market is not None:
            for tx in self.market.transactions():
                self.add_internal(tx)
        self.now += self._step
        tentative = self.open_ledger.transactions
        closed = self._closed([item.tx for item in tentative])
        self.history.add(closed, self.chain.state.copy())
        self._compare(tentative, closed)
        self.open_ledger = OpenLedger(self.chain.state.copy(), self.chain.rules())
        self.streams.closed(closed, self.situation())
        if self.market is not None:
            self.market.closed(closed)
        self._refill(closed)
        self._tell_load()
        return closed

    def _closed(self, txs: list[Tx]) -> ClosedLedger:
        try:
            return self.chain.close(txs, self.now)
        except MODEL_FAULTS:
            # The history's last state is the one before this close: transactions are lost, not the chain.
            _log.exception("ledger %d: cannot be closed with its transactions", self.open_ledger.index)
            before = self.history.ledger(self.chain.header.ledger_index)
            if before is None or before.state is None:
                raise
            self.chain.state = before.state.copy()
            return self.chain.close([], self.now)

    def _compare(self, tentative: Iterable[LedgerTx], closed: ClosedLedger) -> None:
        final = {item.tx.hash: item.result for item in closed.transactions}
        for item in tentative:
            result = final.get(item.tx.hash)
            if result != item.result:
                tx_hash = item.tx.hash
                found = Difference(tx_hash=tx_hash, preliminary=item.result, final=result)
                self.differences.append(found)
                _log.debug("transaction %s: preliminary %s, final %s", tx_hash, item.result, result)

    def _refill(self, closed: ClosedLedger) -> None:
        """Bring what was left over into the new open ledger: retries, then the queue, then held ones."""
        index = self.open_ledger.index
        for tx in closed.retry:
            if not self._enter(tx).applied:
                self.held.hold(tx, index)
        if self.queue is not None:
            rules = self.open_ledger.rules
            self.queue.metrics.ledger_closed(fee_level(item.tx, rules) for item in closed.transactions)
            self.queue.expire(index)
            self._drain(self.queue)
        for one in self.held.take_all(index):
            entered = self._enter(one.tx)
            if entered.result.startswith(("ter", "tel")) and not entered.queued:
                self.held.put_back(one)

    def _drain(self, queue: FeeQueue) -> None:
        ledger = self.open_ledger
        for one in queue.in_order():
            sequence, _ = ledger.account(one.tx.account)
            due = one.tx.ticket is not None or one.tx.sequence <= sequence
            if not due or one.level < queue.metrics.required_level(len(ledger.transactions)):
                continue
            result = ledger.run(one.tx).result
            one.retries -= 1
            if is_applied(result):
                self.streams.proposed(ledger.transactions[-1], ledger)
            if is_applied(result) or result.startswith(("tef", "tem")) or one.retries <= 0:
                queue.remove(one.tx)

    def _tell_load(self) -> None:
        """Tell the `server` stream when the fee asked for has changed."""
        situation = self.situation()
        if situation.open_level != self._told_level:
            self._told_level = situation.open_level
            self.streams.server_status(situation)


def outcome(result: str) -> Json:
    """Return engine_result, its number and its message."""
    code, message = RESULTS[result]
    return {"engine_result": result, "engine_result_code": code, "engine_result_message": message}


def _submit_flags(*, applied: bool, queued: bool, kept: bool) -> Json:
    broadcast = (applied or queued) and kept
    return {
        "accepted": applied or broadcast or queued or kept,
        "applied": applied,
        "broadcast": broadcast,
        "kept": kept,
        "queued": queued,
    }
