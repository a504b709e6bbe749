"""How many transactions the model ledger runs in a second. Run: python -m benchmarks.bench_model [--series N]

The book is the embedded recording's, and so is the flow: 3,200 OfferCreate transactions, mostly makers that
replace an offer, some takers of book and pool, each applied to the state that the ones before it left, with
its metadata. Payments, cancels and the pool's own transactions keep their places in between, but their time
does not count. "From JSON" adds the parsing of the transaction.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import time
from typing import Any

import msgspec

from benchmarks.measure import SERIES, centile, figure, title
from neo_engine.bootstrap import EMBEDDED_RECORDING
from neo_engine.simulator.model import keys
from neo_engine.simulator.model.context import Rules
from neo_engine.simulator.model.genesis import state_from_wire
from neo_engine.simulator.model.state import State
from neo_engine.simulator.model.transactor import apply
from neo_engine.simulator.model.tx import Tx

AIM_A_SECOND = 3_000
_NOT_SENT = frozenset({"date", "owner_funds"})
Job = tuple[Rules, list[tuple[dict[str, Any], str]]]


def prepared() -> tuple[State, list[Job]]:
    """Return the recording's first state, and the transactions of each ledger as they were sent."""
    with gzip.open(EMBEDDED_RECORDING, "rb") as file:
        header = msgspec.json.decode(file.readline())
        lines = [msgspec.json.decode(line) for line in file]
    state = state_from_wire(header["state"])
    fees = state.entries[keys.FEE_SETTINGS]
    closed = header["start_ledger"]["close_time"]
    jobs = []
    for line in lines:
        rules = Rules(
            ledger_index=line["ledger"]["ledger_index"],
            parent_close_time=closed,
            parent_hash="",
            base_fee=int(fees["BaseFeeDrops"]),
            base_reserve=int(fees["ReserveBaseDrops"]),
            owner_reserve=int(fees["ReserveIncrementDrops"]),
        )
        sent = [
            ({name: value for name, value in tx["tx_json"].items() if name not in _NOT_SENT}, tx["hash"])
            for tx in line["transactions"]
        ]
        jobs.append((rules, sent))
        closed = line["ledger"]["ledger_time"]
    return state, jobs


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """One run. walls: nanoseconds of each OfferCreate. parsing: of all their parsing. processor: of both."""

    walls: list[int]
    parsing: int
    processor: int

    @property
    def applied(self) -> float:
        """OfferCreates a second, already parsed."""
        return len(self.walls) * 1e9 / sum(self.walls)

    @property
    def from_json(self) -> float:
        """OfferCreates a second, parsing included."""
        return len(self.walls) * 1e9 / (sum(self.walls) + self.parsing)

    @property
    def by_processor(self) -> float:
        """The same in processor time."""
        return len(self.walls) * 1e9 / self.processor


def run(state: State, jobs: list[Job]) -> Flow:
    """Run all on a copy of `state`."""
    state = state.copy()
    walls: list[int] = []
    parsing = processor = 0
    wall_clock, processor_clock = time.perf_counter_ns, time.process_time_ns
    for rules, sent in jobs:
        for fields, tx_hash in sent:
            before = processor_clock()
            begin = wall_clock()
            tx = Tx(fields, tx_hash)
            middle = wall_clock()
            apply(state, tx, rules)
            if tx.kind == "OfferCreate":
                walls.append(wall_clock() - middle)
                parsing += middle - begin
                processor += processor_clock() - before
    return Flow(walls=walls, parsing=parsing, processor=processor)


def main() -> int:
    """Print the figures, medians of the series."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=SERIES, help="runs, of which the median counts")
    series = parser.parse_args().series
    state, jobs = prepared()
    run(state, jobs[:50])  # the first calls fill the caches of addresses and indexes
    flows = [run(state, jobs) for _ in range(series)]
    title(f"model ledger, {len(flows[0].walls):,} OfferCreate on a book as recorded, median of {series}")
    for name, rates, least in (
        ("applied, with metadata", [flow.applied for flow in flows], AIM_A_SECOND),
        ("from JSON, with metadata", [flow.from_json for flow in flows], None),
        ("from JSON, by processor time", [flow.by_processor for flow in flows], None),
    ):
        figure(name, statistics.median(rates), "a second", least=least)
    for name, percent in (("one, median", 50), ("one, 99 of 100", 99)):
        figure(name, statistics.median(centile(flow.walls, percent) for flow in flows) / 1_000, "us")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
