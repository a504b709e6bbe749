"""Ledger messages and states written by hand, for tests of the codec, the tracker and the fills."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from neo_engine.domain.amm import Pool
from neo_engine.domain.assets import IssuedAsset, Pair, Side
from neo_engine.domain.book import AccountState, BookOffer, BookTracker, LedgerState, LineState
from neo_engine.domain.ledger import CheckData, LedgerTransaction, LedgerUpdate
from neo_engine.xrpl.codec import Codec
from neo_engine.xrpl.wire import transaction_decoder

CODE = "524C555344000000000000000000000000000000"
ISSUER = "rIssuer"
PAIR = Pair(quote=IssuedAsset(currency=CODE, issuer=ISSUER))
CODEC = Codec(pair=PAIR)
BASE_RESERVE, OWNER_RESERVE = 1_000_000, 200_000

ASKS = "A156AD8F38DA875D057A4C836B375BCDD79901130362E9A6"
BIDS = "896C3A492D54827416AEE9EDE2C7DC9D660B712D1D59C052"
# Directory tails as a server gave them, with the `quality` it printed beside each.
ASK_2_125833, ASK_2_125938 = ASKS + "4F078D6F10D11A00", ASKS + "4F078D87834DF400"
BID_200000, BID_472452_9 = BIDS + "5A071AFD498D0000", BIDS + "5A10C8EF20C6AA00"
RATES = {
    ASK_2_125833: Decimal("0.000002125833"),
    ASK_2_125938: Decimal("0.000002125938"),
    BID_200000: Decimal(200000),
    BID_472452_9: Decimal("472452.9"),
}


def rlusd(value: str) -> dict[str, str]:
    return {"currency": CODE, "issuer": ISSUER, "value": value}


def index_of(number: int) -> str:
    """A ledger index that tells its number."""
    return f"{number:064X}"


def node(action: str, kind: str, index: str, **parts: Any) -> dict[str, Any]:
    return {action: {"LedgerEntryType": kind, "LedgerIndex": index, **parts}}


def message(
    tx_json: dict[str, Any], nodes: list[dict[str, Any]], *, result: str = "tesSUCCESS", **meta: Any
) -> bytes:
    body = {"Account": "rTaker", "Fee": "10", "Sequence": 7, **tx_json}
    metadata = {"AffectedNodes": nodes, "TransactionIndex": 0, "TransactionResult": result, **meta}
    return json.dumps({"hash": "H1", "meta": metadata, "tx_json": body, "validated": True}).encode()


def transaction(
    tx_json: dict[str, Any], nodes: list[dict[str, Any]], *, result: str = "tesSUCCESS", **meta: Any
) -> LedgerTransaction:
    return CODEC.transaction(transaction_decoder.decode(message(tx_json, nodes, result=result, **meta)))


def ask_fields(gives: str, gets: str, **more: Any) -> dict[str, Any]:
    fields = {"Account": "rMaker", "BookDirectory": ASK_2_125833, "Flags": 0, "Sequence": 5}
    return fields | {"TakerGets": gives, "TakerPays": rlusd(gets)} | more


def bid_fields(gives: str, gets: str, **more: Any) -> dict[str, Any]:
    fields = {"Account": "rMaker", "BookDirectory": BID_472452_9, "Flags": 0, "Sequence": 6}
    return fields | {"TakerGets": rlusd(gives), "TakerPays": gets} | more


def root_node(account: str, before: int, after: int, **more: Any) -> dict[str, Any]:
    final = {"Account": account, "Balance": str(after), "Flags": 0, "OwnerCount": 0, "Sequence": 9}
    previous = {"Balance": str(before)} if before != after else {}
    return node(
        "ModifiedNode", "AccountRoot", "ROOT" + account, FinalFields=final | more, PreviousFields=previous
    )


def line_node(holder: str, before: str, after: str, flags: int = 0) -> dict[str, Any]:
    """A trust line with the issuer as the high account, so that balances are the holder's own view."""
    final = {
        "Balance": rlusd(after),
        "Flags": flags,
        "LowLimit": {"currency": CODE, "issuer": holder, "value": "1000"},
        "HighLimit": {"currency": CODE, "issuer": ISSUER, "value": "0"},
    }
    previous = {"Balance": rlusd(before)} if before != after else {}
    return node("ModifiedNode", "RippleState", "LINE" + holder, FinalFields=final, PreviousFields=previous)


def offer(number: int, directory: str, owner: str, base_drops: int, quote: str, **more: Any) -> BookOffer:
    fields: dict[str, Any] = {
        "index": index_of(number),
        "side": Side.SELL if directory.startswith(ASKS) else Side.BUY,
        "owner": owner,
        "sequence": number,
        "base_drops": base_drops,
        "quote": Decimal(quote),
        "rate": RATES[directory],
        "book_directory": directory,
        "book_node": "0",
        "owner_node": "0",
        "flags": 0,
        "expiration": None,
        "previous_txn_id": "T0",
        "previous_txn_ledger": 99,
        "arrival": number,
    }
    return BookOffer(**fields | more)


def account(address: str, balance_drops: int, **more: Any) -> AccountState:
    fields: dict[str, Any] = {
        "account": address,
        "balance_drops": balance_drops,
        "sequence": 1,
        "owner_count": 0,
        "flags": 0,
        "tick_size": None,
        "transfer_rate": None,
        "is_pool": False,
    }
    return AccountState(**fields | more)


def line(holder: str, balance: str, *, frozen: bool = False) -> LineState:
    return LineState(holder=holder, balance=Decimal(balance), frozen=frozen)


def tracker(
    *,
    offers: tuple[BookOffer, ...] = (),
    accounts: tuple[AccountState, ...] = (),
    lines: tuple[LineState, ...] = (),
    pool: Pool | None = None,
    complete: bool = True,
) -> BookTracker:
    chain = [(one.index, one.previous_txn_id) for one in offers]
    chain += [("ROOT" + one.account, "T0") for one in accounts] + [
        ("LINE" + one.holder, "T0") for one in lines
    ]
    return BookTracker(
        LedgerState(
            pair=PAIR,
            ledger_index=100,
            ledger_hash="",
            close_time=1_000,
            fee_base_drops=10,
            base_reserve_drops=BASE_RESERVE,
            owner_reserve_drops=OWNER_RESERVE,
            offers=offers,
            accounts=accounts,
            account_index=(),
            lines=lines,
            pool=pool,
            chain=tuple(chain),
            complete=complete,
        )
    )


def update(*transactions: LedgerTransaction, ledger_index: int = 101, **more: Any) -> LedgerUpdate:
    fields: dict[str, Any] = {
        "ledger_index": ledger_index,
        "ledger_hash": "",
        "close_time": 1_010,
        "fee_base_drops": 10,
        "base_reserve_drops": BASE_RESERVE,
        "owner_reserve_drops": OWNER_RESERVE,
        "transactions": transactions,
        "check": CheckData(asks=None, bids=None, pool=None, accounts=None),
        "line": 2,
    }
    return LedgerUpdate(**fields | more)
