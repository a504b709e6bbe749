"""The ledgers of the recorded requests: its transactions run on the model, its headers as recorded.

`RECORDED` are requests to a real stand-alone server and its replies; the ledgers behind them hold the
transactions of `model_submits.jsonl` and one more that the replies tell. The history is put together of the
recorded metadata, so a reply made of it can be compared with the recorded one to the last letter.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from neo_engine.simulator.history import History
from neo_engine.simulator.model.genesis import genesis
from neo_engine.simulator.model.ledger import Chain, ClosedLedger, Header, LedgerTx
from neo_engine.simulator.model.results import SUCCESS
from neo_engine.simulator.model.state import State
from neo_engine.simulator.model.transactor import apply
from neo_engine.simulator.model.tx import Tx
from neo_engine.simulator.server.signing import make_tx

Json = dict[str, Any]

DATA = Path(__file__).parent.parent / "data"
FIRST_CLOSE = 848_513_700
RECORDED: list[Json] = [
    json.loads(line) for line in (DATA / "server_requests.jsonl").read_text(encoding="utf-8").splitlines()
]


def walk(value: Any) -> Iterator[Json]:
    """Yield every object inside a value."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from walk(one)


def _headers() -> dict[int, Json]:
    """Return what the replies tell of each ledger's header."""
    found: dict[int, Json] = defaultdict(dict)
    for told in (one for line in RECORDED for one in walk(line["reply"])):
        if "ledger_hash" not in told or "ledger_index" not in told:
            continue
        known = found[int(told["ledger_index"])]
        known["ledger_hash"] = told["ledger_hash"]
        if "close_time_iso" in told:
            closed = datetime.fromisoformat(told["close_time_iso"])
            epoch = datetime.fromisoformat("2000-01-01T00:00:00Z")
            known["close_time"] = int((closed - epoch).total_seconds())
        for name in ("account_hash", "parent_close_time", "parent_hash", "total_coins", "transaction_hash"):
            if name in told:
                known[name] = int(told[name]) if name == "total_coins" else told[name]
    return found


def _submitted() -> dict[int, list[Json]]:
    """Return the validated transactions of each ledger: {tx_json, hash, meta}, in their order."""
    ledgers: dict[int, list[Json]] = defaultdict(list)
    lines = (DATA / "model_submits.jsonl").read_text(encoding="utf-8").splitlines()
    for told in (json.loads(line) for line in lines):
        if told.get("meta"):
            ledgers[told["ledger_index"]].append(told)
    last = next(
        line["reply"]["result"]
        for line in RECORDED
        if line.get("request", {}).get("command") == "tx" and "tx_json" in line["reply"].get("result", {})
    )
    fields = {k: v for k, v in last["tx_json"].items() if k not in ("ctid", "date", "ledger_index")}
    ledgers[last["ledger_index"]].append({"tx_json": fields, "hash": last["hash"], "meta": last["meta"]})
    for items in ledgers.values():
        items.sort(key=lambda item: item["meta"]["TransactionIndex"])
    return ledgers


class OpenLedger:
    """The open ledger of a `SmallNetwork`."""

    def __init__(self, index: int, state: State) -> None:
        self.index = index
        self.state = state
        self.transactions: list[LedgerTx] = []


class SmallClient:
    """Somebody on a socket."""

    def __init__(self, *, admin: bool = True) -> None:
        self.admin = self.unlimited = admin


class SmallNetwork:
    """A network with a history and nothing behind it; what is handed to it is kept for a test to see."""

    network_id = 0

    def __init__(self, chain: Chain, history: History) -> None:
        self.chain = chain
        self.history = history
        self.open_ledger = OpenLedger(chain.header.ledger_index + 1, chain.state.copy())
        self.queued: list[Json] = []
        self.submitted: list[tuple[Json, str, bool]] = []
        self.subscribed: list[Json] = []

    def queue_of(self, account: str) -> list[Json]:  # noqa: ARG002
        return self.queued

    def fee_report(self) -> Json:
        return {"drops": {"open_ledger_fee": "10"}}

    def server_info(self) -> Json:
        return {"info": {}}

    def server_state(self) -> Json:
        return {"state": {}}

    def submit(self, tx_json: Json, blob: str, *, fail_hard: bool) -> Json:
        self.submitted.append((tx_json, blob, fail_hard))
        message = "The transaction was applied. Only final in a validated ledger."
        told = {"engine_result": SUCCESS, "engine_result_code": 0, "engine_result_message": message}
        return {**told, "applied": True}

    def simulate(self, tx_json: Json) -> Json:
        applied = apply(
            self.open_ledger.state, make_tx(tx_json, "0" * 64), self.chain.rules(), open_ledger=True, dry=True
        )
        told: Json = {"engine_result": applied.result, "engine_result_code": 0, "engine_result_message": ""}
        if applied.meta is not None:
            told["meta"] = {**applied.meta, "TransactionIndex": 0}
        return told

    def subscribe(self, client: Any, params: Json) -> Json:  # noqa: ARG002
        self.subscribed.append(params)
        return {}

    def unsubscribe(self, client: Any, params: Json) -> Json:  # noqa: ARG002
        self.subscribed.append(params)
        return {}

    def faucet(self, params: Json) -> Json:
        return {"account": params.get("destination")}

    def accept(self) -> Json:
        return {"ledger_current_index": self.open_ledger.index + 1}


def recorded_network() -> SmallNetwork:
    """Return the network as it was when the recorded requests were made: ledger 12 is the last."""
    state, header = genesis(close_time=FIRST_CLOSE)
    chain = Chain(state, header)
    history = History()
    history.add(ClosedLedger(header=header, transactions=()), state.copy())
    told = _headers()
    for index, items in sorted(_submitted().items()):
        done = [_run(chain, item, at) for at, item in enumerate(items)]
        before = chain.header
        usual = {
            "ledger_index": index,
            "ledger_hash": f"{index:064X}",
            "parent_hash": before.ledger_hash,
            "parent_close_time": before.close_time,
            "close_time": before.close_time + 1,
            "total_coins": before.total_coins - sum(item.tx.fee for item in done),
        }
        chain.header = msgspec.convert(
            {**msgspec.structs.asdict(before), **usual, **told.get(index, {})}, Header
        )
        history.add(ClosedLedger(header=chain.header, transactions=tuple(done)), chain.state.copy())
    return SmallNetwork(chain, history)


def _run(chain: Chain, item: Json, at: int) -> LedgerTx:
    tx: Tx = make_tx(item["tx_json"], item["hash"])
    applied = apply(chain.state, tx, chain.rules())
    wanted = item["meta"]["TransactionResult"]
    if applied.result != wanted:
        raise AssertionError(f"{item['hash']}: {applied.result}, recorded was {wanted}")
    return LedgerTx(tx=tx, result=applied.result, meta=item["meta"], index=at)
