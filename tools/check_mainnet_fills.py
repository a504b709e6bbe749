"""Check what is read from main network transactions against events derived independently from them.

    python tools/check_mainnet_fills.py TRANSACTIONS.jsonl.gz EVENTS.csv

TRANSACTIONS: one validated transaction with metadata a line. EVENTS: every create, cancel and fill on
the XRP/RLUSD books (columns ledger_index, tx_index, tx_hash, tx_type, result, tx_account, event, side, owner,
offer_sequence, price_rlusd_per_xrp, xrp, rlusd). Each must be found with the same amounts, and no other.
"""

from __future__ import annotations

import csv
import gzip
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from neo_engine.domain.account_events import OfferEvent
from neo_engine.domain.assets import IssuedAsset, Pair, Side, currency_code
from neo_engine.domain.ledger import CheckData, LedgerTransaction, LedgerUpdate, NodeAction, OfferChange
from neo_engine.domain.number import WORK, plain, xrp_from_drops
from neo_engine.xrpl.codec import Codec
from neo_engine.xrpl.metadata import account_events
from neo_engine.xrpl.wire import transaction_decoder

ISSUER = "rMxCKbEDwqr76QuheSUMdEGf4B9xJ8m5De"
PRICE_DIGITS = Decimal("1e-24")  # prices are amounts divided, at 28 digits; the last ones are rounded
Event = tuple[str, ...]


def transactions(path: Path) -> Iterator[tuple[int, LedgerTransaction]]:
    """Yield (ledger index, transaction) of a file of stream messages."""
    codec = Codec(pair=Pair(quote=IssuedAsset(currency=currency_code("RLUSD"), issuer=ISSUER)))
    with gzip.open(path) as file:
        for line in file:
            message = transaction_decoder.decode(line)
            yield message.ledger_index, codec.transaction(message)


def _event(ledger_index: int, tx: LedgerTransaction, change: OfferChange, event: str) -> Event:
    filled = event.startswith("fill")
    base_drops = change.previous_base_drops - change.base_drops if filled else change.base_drops
    quote = change.previous_quote - change.quote if filled else change.quote
    price = WORK.divide(quote, xrp_from_drops(base_drops))
    return (
        str(ledger_index),
        str(tx.index),
        tx.tx_hash,
        tx.kind,
        tx.result,
        tx.account,
        event,
        "ask" if change.side is Side.SELL else "bid",
        change.owner,
        str(change.sequence),
        plain(price.quantize(PRICE_DIGITS)),
        plain(xrp_from_drops(base_drops)),
        plain(quote),
    )


def our_events(path: Path) -> Iterator[Event]:
    """Yield what this engine reads: one event an offer changed, and the owner's fills besides."""
    for ledger_index, tx in transactions(path):
        for change in tx.changes:
            if not isinstance(change, OfferChange):
                continue
            if change.action is NodeAction.CREATED:
                yield _event(ledger_index, tx, change, "create")
            elif change.touched:
                gone = change.action is NodeAction.DELETED
                yield _event(ledger_index, tx, change, "fill_full" if gone else "fill")
            elif change.action is NodeAction.DELETED:
                yield _event(ledger_index, tx, change, "cancel")


def listed_events(path: Path) -> Iterator[Event]:
    """Yield the events of the CSV in the same form."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield (
                row["ledger_index"],
                row["tx_index"],
                row["tx_hash"],
                row["tx_type"],
                row["result"],
                row["tx_account"],
                row["event"],
                row["side"],
                row["owner"],
                row["offer_sequence"],
                plain(Decimal(row["price_rlusd_per_xrp"]).quantize(PRICE_DIGITS)),
                plain(Decimal(row["xrp"])),
                plain(Decimal(row["rlusd"])),
            )


def owner_fills(path: Path) -> Iterator[Event]:
    """Yield (hash, owner, sequence, side, xrp, rlusd) of every maker fill as its owner's parser reads it."""
    blank = LedgerUpdate(
        ledger_index=1,
        ledger_hash="",
        close_time=1,
        fee_base_drops=10,
        base_reserve_drops=1_000_000,
        owner_reserve_drops=200_000,
        transactions=(),
        check=CheckData(asks=None, bids=None, pool=None, accounts=None),
        line=0,
    )
    for ledger_index, tx in transactions(path):
        update = replace(blank, ledger_index=ledger_index)
        for owner in {change.owner for change in tx.changes if isinstance(change, OfferChange)}:
            events = account_events(update, tx, owner, 0)
            if events is None:
                continue
            reduced = {o.index for o in events.offers if o.event in (OfferEvent.REDUCED, OfferEvent.FILLED)}
            for fill in events.fills:
                if fill.node in reduced:
                    side = "ask" if fill.side is Side.SELL else "bid"
                    amounts = (plain(xrp_from_drops(fill.base_drops)), plain(fill.quote))
                    yield (tx.tx_hash, owner, str(fill.offer_sequence), side, *amounts)


def differences(path: Path, events: Path) -> tuple[int, list[str]]:
    """Return how many events are listed, and each that only one of the two knows."""
    ours, listed = Counter(our_events(path)), Counter(listed_events(events))
    wrong = [f"not found: {event}" for event in (listed - ours).elements()]
    wrong += [f"not listed: {event}" for event in (ours - listed).elements()]
    fills: Counter[Event] = Counter(
        (e[2], e[8], e[9], e[7], e[11], e[12]) for e in listed if e[6].startswith("fill")
    )
    read = Counter(owner_fills(path))
    wrong += [f"fill differs: {fill}" for fill in ((fills - read) + (read - fills)).elements()]
    return listed.total(), wrong


def main(arguments: list[str]) -> int:
    """Compare the two files and return the exit code."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    total, wrong = differences(Path(arguments[0]), Path(arguments[1]))
    print(f"{arguments[1]}: {total} events, {len(wrong)} differences")
    for text in wrong[:10]:
        print(f"  {text}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
