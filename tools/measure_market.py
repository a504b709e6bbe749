"""What a market of agents looks like, measured as the main network was: from transactions and metadata alone.

Run: python -m tools.measure_market [--market NAME] [--seeds N] [--ledgers N]

It runs the market once with each seed from 1 to N and adds up. Only the books and the pool of XRP and RLUSD
count. The age of an offer is the ledgers since a transaction last touched it (PreviousTxnLgrSeq), which
for one that was cancelled untouched is its life.
"""

from __future__ import annotations

import argparse
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from neo_engine.simulator.agents import open_market
from neo_engine.simulator.agents.settings import DEFAULT_MARKET
from neo_engine.simulator.model.ledger import LedgerTx

SEEDS, LEDGERS = 4, 500  # runs, and ledgers of each
DROPS = 1_000_000
BPS = 10_000
Fields = dict[str, Any]


class Figures(msgspec.Struct, kw_only=True):
    """What was seen. Ages in ledgers, sizes in XRP, spreads in bps (one a ledger that has both sides)."""

    ledgers: int = 0
    transactions: int = 0
    cancelled: list[int] = msgspec.field(default_factory=list)
    filled: list[int] = msgspec.field(default_factory=list)
    asks: list[float] = msgspec.field(default_factory=list)
    bids: list[float] = msgspec.field(default_factory=list)
    spreads: list[float] = msgspec.field(default_factory=list)
    replacing: int = 0
    pool_ledgers: int = 0
    results: Counter[str] = msgspec.field(default_factory=Counter)

    @property
    def replace_percent(self) -> float:
        """Of the offers that came to stand in the book, those that replace an older one."""
        return 100 * self.replacing / max(1, len(self.asks) + len(self.bids))

    @property
    def pool_percent(self) -> float:
        """Of the ledgers, those in which the pool gave or took something."""
        return 100 * self.pool_ledgers / max(1, self.ledgers)


def centiles(values: Sequence[float], *wanted: int) -> tuple[float, ...]:
    """Return the values that so many of a hundred do not exceed."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return tuple(cuts[percent - 1] for percent in wanted)


def side_of(fields: Fields, issuer: str) -> str:
    """Return ask or bid for an offer of XRP against the issuer's token, "" for any other."""
    gives, wants = fields["TakerGets"], fields["TakerPays"]
    if isinstance(gives, str):
        return "ask" if isinstance(wants, dict) and wants["issuer"] == issuer else ""
    return "bid" if isinstance(wants, str) and gives["issuer"] == issuer else ""


def amounts(fields: Fields, side: str) -> tuple[Decimal, Decimal]:
    """Return XRP and price of an offer."""
    base, quote = fields["TakerGets"], fields["TakerPays"]
    if side == "bid":
        base, quote = quote, base
    xrp = Decimal(base) / DROPS
    return xrp, Decimal(quote["value"]) / xrp


def offers(meta: Fields, issuer: str) -> Iterator[tuple[str, str, Fields, Fields]]:
    """Yield (node kind, side, fields after, body) of every offer of the pair in metadata."""
    for node in meta["AffectedNodes"]:
        for kind, body in node.items():
            if body["LedgerEntryType"] != "Offer":
                continue
            fields = body.get("NewFields") or body.get("FinalFields")
            side = side_of(fields, issuer) if fields else ""
            if side:
                yield kind, side, fields, body


class Meter:
    """Adds up ledgers in `figures`. pool: the pool's account."""

    def __init__(self, issuer: str, pool: str, figures: Figures) -> None:
        self._issuer = issuer
        self._pool = pool
        self.figures = figures

    def add(self, transactions: Sequence[LedgerTx], ledger_index: int) -> None:
        """Count one ledger."""
        figures = self.figures
        figures.ledgers += 1
        figures.transactions += len(transactions)
        created: dict[str, list[Decimal]] = {"ask": [], "bid": []}
        touched = False
        for item in transactions:
            figures.results[f"{item.tx.kind} {item.result}"] += 1
            touched = touched or self._touches_pool(item.meta)
            for kind, side, fields, body in offers(item.meta, self._issuer):
                if kind == "CreatedNode":
                    xrp, price = amounts(fields, side)
                    created[side].append(price)
                    (figures.asks if side == "ask" else figures.bids).append(float(xrp))
                    figures.replacing += "OfferSequence" in item.tx.json
                elif "TakerGets" in body.get("PreviousFields", {}):
                    figures.filled.append(ledger_index - _last_touched(body))
                elif kind == "DeletedNode" and item.tx.json.get("OfferSequence") == fields["Sequence"]:
                    figures.cancelled.append(ledger_index - _last_touched(body))
        figures.pool_ledgers += touched
        if created["ask"] and created["bid"]:
            figures.spreads.append(float((min(created["ask"]) / max(created["bid"]) - 1) * BPS))

    def _touches_pool(self, meta: Fields) -> bool:
        return any(
            body["LedgerEntryType"] == "AccountRoot"
            and body.get("FinalFields", {}).get("Account") == self._pool
            and "Balance" in body.get("PreviousFields", {})
            for node in meta["AffectedNodes"]
            for body in node.values()
        )


def _last_touched(body: Fields) -> int:
    before = body.get("PreviousTxnLgrSeq") or body["FinalFields"]["PreviousTxnLgrSeq"]
    return int(before)


def measure(name: str, seeds: Iterable[int], ledgers: int) -> Figures:
    """Run a market of agents alone, so many ledgers with each seed, and return what was seen."""
    figures = Figures()
    for seed in seeds:
        market = open_market(name, seed)
        entries = market.chain.state.entries.values()
        pool = next(entry["Account"] for entry in entries if entry["LedgerEntryType"] == "AMM")
        meter = Meter(market.pair.quote.issuer, pool, figures)
        for _ in range(ledgers):
            closed = market.advance()
            meter.add(closed.transactions, closed.header.ledger_index)
    return figures


def rows(figures: Figures) -> Iterator[tuple[str, str]]:
    """Yield what and how much, as docs/simulator.md shows it."""
    half = (25, 50, 75)
    yield "life of a cancelled offer, ledgers", told(centiles(figures.cancelled, *half, 90))
    yield "age of an offer when taken, ledgers", told(centiles(figures.filled, *half))
    yield "new offers that replace an old one", f"{figures.replace_percent:.0f} %"
    yield "lowest new ask less highest new bid, bps", told(centiles(figures.spreads, *half))
    yield "new asks, XRP", told(centiles(figures.asks, *half))
    yield "new bids, XRP", told(centiles(figures.bids, *half))
    yield "ledgers that touch the pool", f"{figures.pool_percent:.1f} %"
    yield "transactions a ledger", f"{figures.transactions / figures.ledgers:.1f}"
    yield "offers taken a ledger", f"{len(figures.filled) / figures.ledgers:.2f}"
    for result, count in sorted(figures.results.items()):
        yield f"{result}, of 1,000 ledgers", f"{1000 * count / figures.ledgers:.0f}"


def told(values: Sequence[float]) -> str:
    """Return values of centiles as text."""
    return " / ".join(f"{value:,.0f}" if value >= 20 else f"{value:.1f}" for value in values)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--market", default=DEFAULT_MARKET)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="runs, each with its own seed")
    parser.add_argument("--ledgers", type=int, default=LEDGERS, help="of each run")
    options = parser.parse_args()
    for what, how_much in rows(measure(options.market, range(1, options.seeds + 1), options.ledgers)):
        print(f"{what:<48} {how_much}")


if __name__ == "__main__":
    main()
