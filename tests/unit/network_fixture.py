"""A network in a test: the recorded submits sent to one, and signed transactions of accounts of our own.

`RECORDED` are the transactions that were sent to a real stand-alone server, in their order, with the
preliminary answer and the ledger they ended in.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from xrpl.constants import CryptoAlgorithm
from xrpl.core.addresscodec import encode_seed
from xrpl.core.keypairs import derive_classic_address, derive_keypair

from neo_engine.simulator.model.genesis import genesis
from neo_engine.simulator.model.ledger import Chain
from neo_engine.simulator.model.tx import Tx
from neo_engine.simulator.server.client import Client
from neo_engine.simulator.server.genesis import ISSUER_ACCOUNT, RLUSD, fresh_chain
from neo_engine.simulator.server.network import Network
from neo_engine.simulator.server.signing import encode, sign

Json = dict[str, Any]

DATA = Path(__file__).parent.parent / "data"
FIRST_CLOSE = 848_513_700  # the recorded closes were seconds apart: each is its parent's time and one second
RECORDED: list[Json] = [
    json.loads(line) for line in (DATA / "model_submits.jsonl").read_text(encoding="utf-8").splitlines()
]
_PLACES = {told["hash"]: told["meta"]["TransactionIndex"] for told in RECORDED if told.get("meta")}


class RecordedOrder(Chain):
    """A chain whose ledgers are built in the recorded order, which a real one draws from a hash."""

    def _one_pass(self, txs: Sequence[Tx], *rest: Any) -> list[Tx]:
        return super()._one_pass(sorted(txs, key=lambda tx: _PLACES[tx.hash]), *rest)


def recorded_network(chain: type[Chain] = Chain) -> Network:
    """Return a network as the recorded server was when it started."""
    state, header = genesis(close_time=FIRST_CLOSE)
    return Network(chain(state, header), seconds_per_ledger=0)


def sending_ledgers() -> list[int]:
    """Return the open ledger in which each recorded transaction was sent.

    It is the first ledger that took in any of those sent from then on.
    """
    ledgers, soonest = [], 2**32
    for told in reversed(RECORDED):
        soonest = min(soonest, told["ledger_index"] or soonest)
        ledgers.append(soonest)
    return ledgers[::-1]


def replay(network: Network, *, first: int = 0, end: int = 2**33) -> list[Json]:
    """Send the recorded transactions of the ledgers `first` to before `end`; return the answers."""
    answers = []
    for told, ledger in zip(RECORDED, sending_ledgers(), strict=True):
        if not first <= ledger < end:
            continue
        while network.open_ledger.index < ledger < 2**32:
            network.close()
        answers.append(network.submit(told["tx_json"], encode(told["tx_json"]), fail_hard=False))
    return answers


@cache
def seed_of(name: str) -> str:
    """Return the seed of a test's account."""
    return str(encode_seed(name.encode("ascii").ljust(16, b"."), CryptoAlgorithm.ED25519))


@cache
def address_of(name: str) -> str:
    """Return the address of a test's account."""
    return str(derive_classic_address(derive_keypair(seed_of(name))[0]))


def fresh_network(*names: str, escalation: bool = False, xrp: str = "1000") -> Network:
    """Return a fresh network on which each of `names` owns so much XRP."""
    network = Network(fresh_chain(FIRST_CLOSE), seconds_per_ledger=4, escalation=escalation)
    for name in names:
        network.faucet({"destination": address_of(name), "xrp": xrp})
    network.close()
    return network


def sequence_of(network: Network, name: str) -> int:
    """Return the account's next sequence in the open ledger."""
    return network.open_ledger.account(address_of(name))[0]


def send(
    network: Network, name: str, *, fail_hard: bool = False, key: str | None = None, **fields: Any
) -> Json:
    """Sign a transaction of `name` (with another's key if given) and submit it; return the answer."""
    tx_json = {"Account": address_of(name), "Fee": "10", **fields}
    tx_json.setdefault("Sequence", sequence_of(network, name))
    signed = sign(tx_json, seed_of(key or name))
    return network.submit(signed, encode(signed), fail_hard=fail_hard)


def ask(drops: int = 1_000_000, rlusd: str = "3") -> Json:
    """Return the fields of an order that sells XRP for the network's token."""
    pays = {"currency": RLUSD, "issuer": ISSUER_ACCOUNT, "value": rlusd}
    return {"TransactionType": "OfferCreate", "TakerGets": str(drops), "TakerPays": pays}


def messages_of(client: Client) -> list[Json]:
    """Return what a client was sent, decoded."""
    return [json.loads(message) for message in client.take()]
