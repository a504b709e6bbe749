"""The worked example of docs/paper.md, run."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from neo_engine.domain.ledger import NodeAction, OfferChange, TakerKind
from neo_engine.domain.number import plain, xrp_from_drops
from tests.unit.paper_fixture import START_DROPS, START_QUOTE, Venue, ask, buys, drops, market

ROOT = Path(__file__).resolve().parents[2]
OLDER = ask(1, "10", "2")


def documented() -> list[list[str]]:
    text = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    table = text.split("## An example")[1].split("## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def taken_whole() -> OfferChange:
    gone = replace(OLDER, base_drops=0, quote=OLDER.quote - OLDER.quote)
    return OfferChange(
        action=NodeAction.DELETED,
        index=gone.index,
        side=gone.side,
        owner=gone.owner,
        sequence=gone.sequence,
        base_drops=0,
        quote=gone.quote,
        previous_base_drops=OLDER.base_drops,
        previous_quote=OLDER.quote,
        touched=True,
        rate=gone.rate,
        book_directory=gone.book_directory,
        book_node="0",
        owner_node="0",
        flags=0,
        expiration=None,
        chain_txn_id="",
    )


def test_the_example_of_the_paper_page_comes_out_as_written() -> None:
    assert (drops("101.2"), 300) == (START_DROPS, START_QUOTE)
    venue = Venue(market(OLDER, ask(2, "10", "2.01")))
    ours = venue.sells("10", "2")
    reports = [
        venue.ledger(buys("16", "32.32", taken_whole())),
        venue.ledger(buys("3", "50", kind=TakerKind.PAYMENT)),
        venue.ledger(buys("5", "9.95")),
        venue.ledger(buys("5", "10.05")),
    ]
    left, shown = drops("10"), []
    for report in reports:
        assert len(report.fills) <= 1
        left -= sum(one.base_drops for one in report.fills)
        fill = report.fills[0] if report.fills else None
        of_ours = (
            f"{plain(xrp_from_drops(fill.base_drops))} XRP for {plain(fill.quote)}" if fill else "nothing"
        )
        shown.append(
            [
                str(report.snapshot.ledger_index),
                of_ours,
                plain(xrp_from_drops(report.account.balance_drops)),
                plain(report.account.quote_balance),
                f"{plain(xrp_from_drops(left))} XRP" if left else "nothing",
            ]
        )
    rows = documented()
    assert [[row[0], row[3].split(":")[0], *row[4:]] for row in rows] == shown
    assert ours not in venue.standing()
