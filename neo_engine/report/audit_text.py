"""An audit as text for people and as one JSON object: the same numbers, none of them rounded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, TextIO

from rich.text import Text

from neo_engine.domain.account_events import OwnOffer
from neo_engine.domain.assets import Side
from neo_engine.domain.number import plain, xrp_from_drops
from neo_engine.report.audit import Audit, Balance, Entry, Finding, Money, fill_label, fill_money
from neo_engine.report.audit_sources import Audited
from neo_engine.report.render_text import console_on, has_line_drawing, print_section
from neo_engine.report.section import Section

HASH_CHARS = 12  # of a transaction's 64: enough to find it among a ledger's; the JSON form has all
ADDS_UP = "Everything adds up."

Row = tuple[str, ...]


def print_audit(audited: Audited, stream: TextIO) -> None:
    """Write the report to `stream`. Raises OSError when the stream cannot be written."""
    console, fancy = console_on(stream), has_line_drawing(stream)
    for section in _sections(audited):
        print_section(console, section, fancy)
    for finding in audited.audit.findings:
        # Not in a table: a hash broken over two lines could not be copied.
        console.print(Text(_finding_text(finding)), soft_wrap=True)
    for note in audited.notes:
        console.print(Text(f"Note: {note}."))
    good = audited.audit.adds_up
    verdict = ADDS_UP if good else f"It does NOT add up: {len(audited.audit.findings)} findings."
    console.print(Text(verdict, style="bold" if good else "bold red"))


def _sections(audited: Audited) -> list[Section]:
    audit, quote = audited.audit, audited.pair.quote.symbol
    return [_facts(audited), _events(audit, quote), _counts(audit), _sums(audit, quote)]


def _facts(audited: Audited) -> Section:
    audit = audited.audit
    rows = (
        ("Account", f"{audited.account} ({audited.name})" if audited.name else audited.account),
        ("Pair", f"{audited.pair.symbol}, issuer {audited.pair.quote.issuer}"),
        ("Source", audited.source),
        ("Ledgers", f"{audit.first_ledger} to {audit.last_ledger}"),
        ("Transactions", f"{audit.transactions:,} read, {len(audit.entries):,} changed the account"),
        ("Links compared", f"{audit.links:,} of AccountRoot, trust line and offers"),
        ("States compared", f"{audit.states:,} ledgers after which the source tells the balances itself"),
    )
    return Section(title="Audit", columns=("", ""), left=2, rows=rows, note="")


def _events(audit: Audit, quote: str) -> Section:
    rows = tuple(row for entry in audit.entries for row in _event_rows(entry, quote))
    return Section(
        title="Events",
        columns=("Ledger", "Transaction", "What", "XRP", quote),
        left=3,
        rows=rows,
        note=f"Transactions by the first {HASH_CHARS} digits of their hash. Positive came in.",
    )


def _event_rows(entry: Entry, quote: str) -> Iterator[Row]:
    """Yield one row for each fill, each offer touched and each other change of the balance."""
    where = f"{entry.ledger_index}.{entry.events.transaction_index}", entry.events.tx_hash[:HASH_CHARS]
    for offer in entry.events.offers:
        yield (*where, _offer_text(offer, quote), "", "")
    fills = [(fill_label(fill), fill_money(fill)) for fill in entry.events.fills]
    filled = {label for label, _money in fills}
    others = [(label, money) for label, money in entry.parts.items() if label not in filled]
    for label, money in [*fills, *others]:
        yield (*where, label, _xrp(money.drops), _token(money.quote))


def _offer_text(offer: OwnOffer, quote: str) -> str:
    verb = "buy" if offer.side is Side.BUY else "sell"
    amounts = f"{plain(xrp_from_drops(offer.base_drops))} XRP for {plain(offer.quote)} {quote}"
    return f"{offer.event.value} offer {offer.offer_sequence}: {verb} {amounts}"


def _xrp(drops: int) -> str:
    return f"{xrp_from_drops(drops):+,f}" if drops else ""


def _token(value: Decimal) -> str:
    if not value:
        return ""
    return plain(value) if value < 0 else f"+{plain(value)}"


def _counts(audit: Audit) -> Section:
    counts: Counter[str] = Counter()
    for entry in audit.entries:
        counts.update(f"{fill_label(fill)}: fills" for fill in entry.events.fills)
        counts.update(f"offers {offer.event.value}" for offer in entry.events.offers)
        counts["transactions sent"] += entry.own
    rows = tuple((name, f"{count:,}") for name, count in sorted(counts.items()) if count)
    note = f"{len(audit.open_offers)} offers stand at the end."
    return Section(title="Counts", columns=("", ""), left=1, rows=rows, note=note)


def _sums(audit: Audit, quote: str) -> Section:
    def exact(name: str, money: Money) -> Row:
        return name, f"{xrp_from_drops(money.drops):,f}", plain(money.quote)

    rows = (
        exact(f"Opening balance, {_told(audit.opening)}", audit.opening.money),
        *((label, _xrp(money.drops), _token(money.quote)) for label, money in audit.changes.items()),
        exact(f"Closing balance, {_told(audit.closing)}", audit.closing.money),
        exact("Difference", audit.difference),
    )
    note = "Difference = closing balance - (opening balance + every change); nothing is rounded here."
    return Section(title="Sums", columns=("", "XRP", quote), left=1, rows=rows, note=note)


def _told(balance: Balance) -> str:
    return "as the source says" if balance.from_source else "derived"


def _finding_text(finding: Finding) -> str:
    where = f"ledger {finding.ledger_index}"
    if finding.tx_hash:
        where += f", transaction {finding.tx_hash}"
    return f"Finding: {finding.kind.value} in {where}: {finding.text}"


def audit_json(audited: Audited) -> str:
    """Return the audit as one JSON object, ASCII only: drops and counts are numbers, tokens exact text."""
    return json.dumps(_audit_object(audited), indent=2)


def _audit_object(audited: Audited) -> dict[str, Any]:
    audit = audited.audit
    return {
        "adds_up": audit.adds_up,
        "account": audited.account,
        "name": audited.name,
        "pair": {"currency": audited.pair.quote.currency, "issuer": audited.pair.quote.issuer},
        "source": audited.source,
        "first_ledger": audit.first_ledger,
        "last_ledger": audit.last_ledger,
        "opening": {**_money(audit.opening.money), "from_source": audit.opening.from_source},
        "changes": {label: _money(money) for label, money in audit.changes.items()},
        "closing": {**_money(audit.closing.money), "from_source": audit.closing.from_source},
        "difference": _money(audit.difference),
        "transactions": audit.transactions,
        "links": audit.links,
        "states": audit.states,
        "events": [_event(entry) for entry in audit.entries],
        "open_offers": [
            {
                "sequence": offer.sequence,
                "side": offer.side.value,
                "drops": offer.base_drops,
                "token": plain(offer.quote),
            }
            for offer in audit.open_offers
        ],
        "findings": [_finding(one) for one in audit.findings],
        "notes": list(audited.notes),
    }


def _money(money: Money) -> dict[str, Any]:
    return {"drops": money.drops, "token": plain(money.quote)}


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind.value,
        "ledger_index": finding.ledger_index,
        "tx_hash": finding.tx_hash,
        "missing": finding.missing,
        "text": finding.text,
    }


def _event(entry: Entry) -> dict[str, Any]:
    events = entry.events
    return {
        "ledger_index": entry.ledger_index,
        "transaction_index": events.transaction_index,
        "close_time": entry.close_time,
        "tx_hash": events.tx_hash,
        "transaction": entry.kind,
        "result": entry.result,
        "own": entry.own,
        "changes": {label: _money(money) for label, money in entry.parts.items()},
        "balance": _money(entry.balance),
        "fills": [
            {
                "liquidity": fill.liquidity.value,
                "side": fill.side.value,
                "drops": fill.base_drops,
                "token": plain(fill.quote),
                "offer_sequence": fill.offer_sequence,
            }
            for fill in events.fills
        ],
        "offers": [
            {
                "event": offer.event.value,
                "sequence": offer.offer_sequence,
                "side": offer.side.value,
                "drops": offer.base_drops,
                "token": plain(offer.quote),
                "expiration": offer.expiration,
                "index": offer.index,
            }
            for offer in events.offers
        ],
    }
