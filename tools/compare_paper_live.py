"""Paper against live: one market seed, once traded live on a local server, once on paper without us.

    python -m tools.compare_paper_live --market calm --seed 1 --ledgers 200 [--repeat 4] [--json] [--keep DIR]

Three servers run the same market from the same seed, each ledger closed by hand as soon as everybody has
had the one before it, so nothing hangs on the machine's speed:

1. live: an account is funded and the live engine trades with it; the network is recorded.
2. without: the same account is funded in the same ledgers and then does nothing; recorded.
3. bystander: as `without`, but where the engine sent something, the account sends a transaction that
   changes nothing. What differs from `without` is only the order inside ledgers and what follows from it.

Then a paper session with live's own configuration and balances runs on the recording without us, from the
same ledger on. Fills are paired one by one, and each that differs gets a cause read off the data.

To tell the causes apart live's very commands also run through the paper exchange (rows `live's orders`): on
the ledgers that live traded in, ours taken out, at the place they really had (what is left is the paper
venue's own error); there at a drawn place; and on the market without us (the others' reaction comes in).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from neo_engine.domain.fills import Fill
from neo_engine.domain.ledger import LedgerUpdate
from neo_engine.domain.number import ZERO, xrp_from_drops
from neo_engine.execution.paper import drawn_place
from tools.check_paper_truth import Market
from tools.compare_fills import (
    BPS,
    Cause,
    Comparison,
    TakerKey,
    alike,
    cause,
    compare,
    diverged,
    taker_key,
    volume,
)
from tools.paper_live_runs import (
    Choice,
    Json,
    Played,
    echoed,
    real_places,
    three_markets,
    traded_on_paper,
    without_us,
)

PAPER = "PAPER on the market without us"


def takers(*markets: Market) -> dict[str, TakerKey]:
    """Return what each transaction of the markets asked for, by hash."""
    return {
        tx.tx_hash: key
        for market in markets
        for update in market.updates
        for tx in update.transactions
        if (key := taker_key(tx)) is not None
    }


def causes(found: Comparison, first: Played, second: Played, markets: tuple[Market, Market]) -> list[Json]:
    """Return one row a cause: fills and XRP that only one session has, and pairs of other sizes."""
    wishes = [
        {(update.ledger_index, taker_key(tx)) for update in market.updates for tx in update.transactions}
        for market in markets
    ]
    known = takers(*markets)
    rows = {one: {"only_live": 0, "live_xrp": ZERO, "only_paper": 0, "paper_xrp": ZERO} for one in Cause}

    def why(fill: Fill, here: Played, there: Played, other: int, sizes: bool) -> dict[str, Any]:
        ledger = fill.ledger_index
        came = (ledger, known.get(fill.tx_hash)) in wishes[other]
        at = ledger - 1
        return rows[
            cause(
                fill,
                here.standing.get(at, ()),
                there.standing.get(at, ()),
                taker_came=came,
                sizes=sizes,
            )
        ]

    for fill in found.only_first:
        row = why(fill, first, second, 1, False)
        row["only_live"] += 1
        row["live_xrp"] += xrp_from_drops(fill.base_drops)
    for fill in found.only_second:
        row = why(fill, second, first, 0, False)
        row["only_paper"] += 1
        row["paper_xrp"] += xrp_from_drops(fill.base_drops)
    for pair in found.pairs:
        if pair.same_size and pair.distance == 0:
            continue
        row = why(pair.first, first, second, 1, pair.distance == 0)
        apart = xrp_from_drops(pair.second.base_drops - pair.first.base_drops)
        row["paper_xrp" if apart > 0 else "live_xrp"] += abs(apart)
        row["unlike"] = row.get("unlike", 0) + 1
    return [
        {"cause": one.value, "unlike_pairs": 0, **_renamed(row)}
        for one, row in rows.items()
        if any(row.values())
    ]


def _renamed(row: dict[str, Any]) -> Json:
    told = {name: value for name, value in row.items() if name != "unlike"}
    return {**told, "unlike_pairs": row.get("unlike", 0)}


def compared(name: str, live: Sequence[Fill], other: Sequence[Fill], found: Comparison) -> Json:
    """Return one line of the table of volumes."""
    real, paper = volume(live), volume(other)
    return {
        "name": name,
        "fills": len(other),
        "paired": len(found.pairs),
        "same": found.same,
        "xrp": xrp_from_drops(int(paper)),
        "volume_pct": (paper / real - 1) * 100 if real else None,
    }


def measured(choice: Choice) -> Json:
    """Run everything and return the figures."""
    three = three_markets(choice)
    live, account = three.live, three.account
    known = takers(three.with_us, three.without, three.bystander)
    recording, beside = choice.folder / "without.jsonl.gz", choice.folder / "bystander.jsonl.gz"
    papers = [
        traded_on_paper(choice, recording, three.config, seed) for seed in range(1, choice.paper_seeds + 1)
    ]
    paper = papers[0]
    moved = traded_on_paper(choice, beside, three.config, 1)
    stripped, places = without_us(three.with_us, account), real_places(three.with_us, account)

    def row(name: str, fills: Sequence[Fill]) -> Json:
        return compared(name, live.fills, fills, compare(live.fills, fills, choice.within, known))

    def really(update: LedgerUpdate) -> int:
        return places[update.ledger_index]

    drawn = partial(drawn_place, 1)
    table = [
        row("live", live.fills),
        row("live's orders, live's ledgers, real place", echoed(stripped, live.commands, really)),
        row("live's orders, live's ledgers, drawn place", echoed(stripped, live.commands, drawn)),
        row("live's orders, market without us", echoed(three.without, live.commands, drawn)),
        *(row(f"{PAPER}, seed {n}", one.fills) for n, one in enumerate(papers, 1)),
        row("paper on the market with a bystander, seed 1", moved.fills),
    ]
    between = compare(paper.fills, moved.fills, choice.within, known)
    found = compare(live.fills, paper.fills, choice.within, known)
    return {
        "market": choice.market,
        "seed": choice.seed,
        "ledgers": choice.ledgers,
        "size_rlusd": choice.size,
        "first_ledger": three.with_us.start.ledger_index + 1,
        "first_order_in": min(live.commands, default=0) + 1,
        "divergence": _divergence(three.with_us, three.without, account),
        "divergence_bystander": _divergence(three.bystander, three.without, account),
        "volumes": table,
        "bystander_against_without": compared("", paper.fills, moved.fills, between),
        "quotes": quotes_alike(live, paper),
        "pnl": _pnl(live, papers, moved),
        "causes": causes(found, live, paper, (three.with_us, three.without)),
        "fills": [*_fills(found)],
    }


def _divergence(first: Market, second: Market, account: str) -> Json:
    return dict(msgspec.structs.asdict(diverged(first.updates, second.updates, account)))


def quotes_alike(live: Played, paper: Played) -> Json:
    """Return in how many ledgers both sessions had the same orders standing, and the first without."""
    both = [ledger for ledger in live.standing if ledger in paper.standing]
    unlike = [ledger for ledger in both if not alike(live.standing[ledger], paper.standing[ledger])]
    return {"ledgers": len(both), "alike": len(both) - len(unlike), "first_unlike": min(unlike, default=None)}


def _pnl(live: Played, papers: Sequence[Played], moved: Played) -> Json:
    traded = sum((fill.quote for fill in live.fills), ZERO)
    return {
        "traded_rlusd": traded,
        "live": live.pnl,
        "paper": [one.pnl for one in papers],
        "bystander": moved.pnl,
        "live_bps": live.pnl / traded * BPS if traded else None,
        "difference_bps_of_volume": (papers[0].pnl - live.pnl) / traded * BPS if traded else None,
        "halts": [str(one.result and one.result.halt.reason.value) for one in (live, papers[0], moved)],
    }


def _fills(found: Comparison) -> list[Json]:
    """Return every fill once, pairs together, by ledger."""
    rows: list[tuple[int, Json | None, Json | None]]
    rows = [(pair.first.ledger_index, _fill(pair.first), _fill(pair.second)) for pair in found.pairs]
    rows += [(fill.ledger_index, _fill(fill), None) for fill in found.only_first]
    rows += [(fill.ledger_index, None, _fill(fill)) for fill in found.only_second]
    return [{"live": live, "paper": paper} for _, live, paper in sorted(rows, key=lambda row: row[0])]


def _fill(fill: Fill) -> Json:
    return {
        "ledger": fill.ledger_index,
        "close_time": fill.close_time,
        "side": fill.side.value,
        "price": fill.price,
        "xrp": xrp_from_drops(fill.base_drops),
        "tx_hash": fill.tx_hash,
    }


def total(runs: Sequence[Json]) -> Json:
    """Return the sums over all runs; a paper figure is the mean of its seeds."""
    live = sum((row["xrp"] for run in runs for row in run["volumes"][:1]), ZERO)
    rows: dict[str, Json] = {}
    for run in runs:
        seeds = len(run["pnl"]["paper"])
        for row in run["volumes"]:
            paper = row["name"].startswith(PAPER)
            name = f"{PAPER}, mean of its seeds" if paper else row["name"]
            into = rows.setdefault(name, {"fills": ZERO, "same": ZERO, "xrp": ZERO})
            for what, so_far in into.items():
                into[what] = so_far + Decimal(row[what]) / (seeds if paper else 1)
    money = [run["pnl"] for run in runs]
    traded = sum((one["traded_rlusd"] for one in money), ZERO)
    earned = sum((one["live"] for one in money), ZERO)
    paper_earned = sum((sum(one["paper"], ZERO) / len(one["paper"]) for one in money), ZERO)
    return {
        "runs": len(runs),
        "volumes": [
            {"name": name, **row, "volume_pct": (row["xrp"] / live - 1) * 100 if live else None}
            for name, row in rows.items()
        ],
        "live_xrp": [run["volumes"][0]["xrp"] for run in runs],
        "traded_rlusd": traded,
        "live_pnl": earned,
        "paper_pnl": paper_earned,
        "bystander_pnl": sum((one["bystander"] for one in money), ZERO),
        "difference_bps_of_volume": (paper_earned - earned) / traded * BPS if traded else None,
    }


def show_total(told: Json) -> None:
    """Print the sums for people."""
    volumes = ", ".join(f"{one:.1f}" for one in told["live_xrp"])
    print(f"all {told['runs']} runs (live XRP: {volumes})")
    for row in told["volumes"]:
        share = "" if row["volume_pct"] is None else f"{row['volume_pct']:+.1f} %"
        print(
            f"  {row['name']:<57} {row['fills']:>6.1f} fills {row['same']:>6.1f} same "
            f"{row['xrp']:>9.2f} XRP {share:>9}"
        )
    apart = told["difference_bps_of_volume"]
    print(
        f"  P&L RLUSD: live {told['live_pnl']:+.4f}, paper {told['paper_pnl']:+.4f}, "
        f"bystander {told['bystander_pnl']:+.4f}"
        + (
            ""
            if apart is None
            else f", paper less live {apart:+.2f} bps of {told['traded_rlusd']:.2f} traded"
        )
    )


def show(told: Json) -> None:
    """Print the figures for people."""
    print(
        f"market {told['market']}, seed {told['seed']}, {told['ledgers']} ledgers from {told['first_ledger']}"
        f", orders of {told['size_rlusd']} RLUSD, the first in ledger {told['first_order_in']}"
    )
    for name, what in (("divergence", "with us"), ("divergence_bystander", "with a bystander")):
        one = told[name]
        print(
            f"  {what:<17} first differs from the market without us: order {one['order']}, "
            f"effects {one['effects']}, other transactions {one['wishes']}; "
            f"takers' orders kept {one['kept'] * 100:.1f} %"
        )
    quotes = told["quotes"]
    print(
        f"  our quotes the same in {quotes['alike']} of {quotes['ledgers']} ledgers, first not in "
        f"{quotes['first_unlike']}"
    )
    print(f"  {'':<46} {'fills':>5} {'paired':>6} {'same':>5} {'XRP':>10} {'volume':>9}")
    for row in told["volumes"]:
        share = "" if row["volume_pct"] is None else f"{row['volume_pct']:+.1f} %"
        print(
            f"  {row['name']:<46} {row['fills']:>5} {row['paired']:>6} {row['same']:>5} "
            f"{row['xrp']:>10.2f} {share:>9}"
        )
    beside = told["bystander_against_without"]
    print(f"  paper with a bystander against paper without: {beside['same']} of {beside['fills']} the same")
    _show_money(told["pnl"])
    _show_causes(told)


def _show_money(pnl: Json) -> None:
    papers = ", ".join(f"{one:+.4f}" for one in pnl["paper"])
    print(
        f"  P&L RLUSD: live {pnl['live']:+.4f}, paper {papers}, bystander {pnl['bystander']:+.4f}; traded "
        f"{pnl['traded_rlusd']:.2f}; ended {', '.join(pnl['halts'])}"
    )
    if pnl["live_bps"] is not None:
        apart = pnl["difference_bps_of_volume"]
        print(f"  live P&L {pnl['live_bps']:+.2f} bps of volume, paper less live {apart:+.2f} bps of it")


def _show_causes(told: Json) -> None:
    print(f"  {'why live and paper (seed 1) differ':<58} {'only live':>14} {'only paper':>14} {'unlike':>6}")
    for row in told["causes"]:
        live, paper = (f"{row[f'only_{who}']} ({row[f'{who}_xrp']:.1f})" for who in ("live", "paper"))
        print(f"  {row['cause']:<58} {live:>14} {paper:>14} {row['unlike_pairs']:>6}")


def main(arguments: list[str]) -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(prog="compare_paper_live", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--market", default="calm")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ledgers", type=int, default=200, help="length of the sessions")
    parser.add_argument("--size", type=Decimal, default=Decimal(15), help="order_size.base_size_rlusd")
    parser.add_argument("--within", type=int, default=3, help="ledgers between two fills that pair")
    parser.add_argument("--paper-seeds", type=int, default=5, help="paper sessions, each with other places")
    parser.add_argument("--repeat", type=int, default=1, help="runs, each with another account of ours")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="new folder for recordings and databases")
    options = parser.parse_args(arguments)
    runs = []
    with tempfile.TemporaryDirectory() as scratch:
        for account in range(1, options.repeat + 1):
            folder = (options.keep or Path(scratch)) / f"account-{account}"
            folder.mkdir(parents=True)
            runs.append(
                measured(
                    Choice(
                        market=options.market,
                        seed=options.seed,
                        ledgers=options.ledgers,
                        size=options.size,
                        within=options.within,
                        paper_seeds=options.paper_seeds,
                        account=account,
                        folder=folder,
                    )
                )
            )
            if not options.json:
                show(runs[-1])
    sums = total(runs)
    if options.json:
        print(msgspec.json.encode({"runs": runs, "total": sums}).decode())
    else:
        show_total(sums)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
