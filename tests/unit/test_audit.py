"""The audit: what adds up against the server's own balances, and what must be found when it does not."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from neo_engine.domain.account_events import OfferEvent
from neo_engine.domain.assets import IssuedAsset, Pair, Side, currency_code
from neo_engine.domain.errors import FeedError, UsageError
from neo_engine.domain.fills import LiquiditySide
from neo_engine.domain.ledger import CheckData, LedgerUpdate
from neo_engine.domain.number import plain, xrp_from_drops
from neo_engine.ops.clock import SystemClock
from neo_engine.report.audit import Audit, Auditor, Entry, FindingKind, Money, fill_label
from neo_engine.report.audit_sources import Audited, audit_recording, audit_server, token_of
from neo_engine.report.audit_text import audit_json, print_audit
from neo_engine.xrpl.codec import Codec
from neo_engine.xrpl.history import offers_elsewhere
from neo_engine.xrpl.server import RequestRefused
from neo_engine.xrpl.wire import TransactionMessage, transaction_decoder
from tests.style.test_docs import documented_names
from tests.unit.audit_fixture import (
    CLAWED_BACK,
    LAST,
    MAKER,
    TAKER,
    TOKEN,
    Json,
    recorded_hashes,
    recorded_server,
)

DATA = Path(__file__).parent.parent / "data"
CALM, HOSTILE = DATA / "calm_cut.jsonl.gz", DATA / "hostile_cut.jsonl.gz"
WATCHED = ("neo", "maker1", "maker2", "maker4", "maker6")
ALL = (None, None)


@cache
def lines_of(path: Path) -> tuple[Json, ...]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return tuple(json.loads(line) for line in file)


def written(folder: Path, lines: list[Json]) -> Path:
    path = folder / "recording.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def audited(path: Path, who: str, ledgers: tuple[int | None, int | None] = ALL) -> Audited:
    return audit_recording(path, who, ledgers, SystemClock())


def recorded_balance(path: Path, line: int, who: str) -> tuple[int, Decimal]:
    """Return an account's balances in the check data of a line (-1: the last)."""
    header = lines_of(path)[0]
    told = lines_of(path)[line]["accounts"][header["accounts"][who]]
    quote = header["pair"]["quote"]
    [held] = [
        one["balance"]
        for one in told["lines"]
        if (one["account"], one["currency"]) == (quote["issuer"], quote["currency"])
    ] or ["0"]
    return int(told["account_data"]["Balance"]), Decimal(held)


def opening_balance(path: Path, who: str) -> tuple[int, Decimal]:
    """Return an account's balances in the header's state."""
    header = lines_of(path)[0]
    address, quote = header["accounts"][who], header["pair"]["quote"]
    drops, held = 0, Decimal(0)
    for entry in header["state"]:
        if entry.get("Account") == address and entry["LedgerEntryType"] == "AccountRoot":
            drops = int(entry["Balance"])
        elif entry["LedgerEntryType"] == "RippleState" and entry["Balance"]["currency"] == quote["currency"]:
            ends = entry["LowLimit"]["issuer"], entry["HighLimit"]["issuer"]
            if set(ends) == {address, quote["issuer"]}:
                held = Decimal(entry["Balance"]["value"]) * (1 if ends[0] == address else -1)
    return drops, held


def kinds(audit: Audit) -> set[FindingKind]:
    return {one.kind for one in audit.findings}


def missing(audit: Audit) -> set[str]:
    return {one.missing for one in audit.findings} - {""}


# recordings


@pytest.mark.parametrize("who", WATCHED)
@pytest.mark.parametrize("path", [CALM, HOSTILE], ids=["calm", "hostile"])
def test_every_watched_account_adds_up_to_the_recorded_balances_of_the_last_ledger(
    path: Path, who: str
) -> None:
    audit = audited(path, who).audit
    assert audit.findings == ()
    drops, held = opening_balance(path, who)
    for money in audit.changes.values():
        drops += money.drops
        held += money.quote
    assert (drops, held) == recorded_balance(path, -1, who)
    assert audit.closing.from_source
    assert audit.difference == Money(drops=0, quote=Decimal(0))
    assert audit.states == len(lines_of(path)) - 1  # every line has the server's own balances


@pytest.mark.parametrize("path", [CALM, HOSTILE], ids=["calm", "hostile"])
def test_an_account_that_trades_other_pairs_too_adds_up(path: Path) -> None:
    audit = audited(path, "maker5").audit
    assert audit.findings == ()
    assert audit.changes["other markets"].drops < 0


def test_part_of_a_recording_opens_and_closes_with_the_balances_of_its_ends() -> None:
    first, last = lines_of(CALM)[21]["ledger"]["ledger_index"], lines_of(CALM)[40]["ledger"]["ledger_index"]
    audit = audited(CALM, "maker1", (first, last)).audit
    assert audit.findings == ()
    assert {first <= entry.ledger_index <= last for entry in audit.entries} == {True}
    ends = [(one.money.drops, one.money.quote) for one in (audit.opening, audit.closing)]
    assert ends == [recorded_balance(CALM, 20, "maker1"), recorded_balance(CALM, 40, "maker1")]


def test_an_address_means_the_same_as_its_name() -> None:
    address = lines_of(CALM)[0]["accounts"]["maker4"]
    assert audited(CALM, address) == audited(CALM, "maker4")


def hashes_of(path: Path, who: str) -> list[str]:
    """Return the transactions of a recording that changed the account's AccountRoot."""
    address = lines_of(path)[0]["accounts"][who]
    return [
        tx["hash"]
        for line in lines_of(path)[1:]
        for tx in line["transactions"]
        if any(
            body.get("FinalFields", {}).get("Account") == address and body["LedgerEntryType"] == "AccountRoot"
            for node in tx["meta"]["AffectedNodes"]
            for body in node.values()
        )
    ]


def without(path: Path, tx_hash: str, *, told: bool) -> list[Json]:
    """Return a recording's lines without one transaction. told: its ledger still counts it."""
    lines = []
    for line in lines_of(path):
        kept = [tx for tx in line.get("transactions", []) if tx["hash"] != tx_hash]
        if len(kept) < len(line.get("transactions", [])):
            count = line["ledger"]["txn_count"] - (not told)
            line = {**line, "transactions": kept, "ledger": {**line["ledger"], "txn_count": count}}
        lines.append(line)
    return lines


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("place", [0, 1, 57, -2, -1])
def test_a_transaction_taken_out_of_a_recording_is_found_and_named(
    tmp_path: Path, place: int, told: bool
) -> None:
    gone = hashes_of(CALM, "maker1")[place]
    audit = audited(written(tmp_path, without(CALM, gone, told=told)), "maker1").audit
    assert not audit.adds_up
    assert missing(audit) == {gone}
    assert FindingKind.CHAIN_BREAK in kinds(audit)
    assert audit.difference.drops != 0


def test_a_transaction_of_another_account_is_not_missed(tmp_path: Path) -> None:
    gone = (set(hashes_of(CALM, "maker1")) - set(hashes_of(CALM, "maker2"))).pop()
    audit = audited(written(tmp_path, without(CALM, gone, told=True)), "maker2")
    assert audit.audit.adds_up
    assert "faults of the recording: 1" in " ".join(audit.notes)


def test_lost_data_is_a_finding_where_nothing_proves_the_account_whole(tmp_path: Path) -> None:
    gone = hashes_of(CALM, "maker3")[-1]
    audit = audited(written(tmp_path, without(CALM, gone, told=True)), "maker3").audit
    assert kinds(audit) == {FindingKind.SOURCE_FAULT}


def test_a_changed_balance_is_found(tmp_path: Path) -> None:
    lines = list(lines_of(CALM))
    address = lines[0]["accounts"]["maker1"]
    accounts = json.loads(json.dumps(lines[-1]["accounts"]))
    accounts[address]["account_data"]["Balance"] = str(recorded_balance(CALM, -1, "maker1")[0] + 1)
    audit = audited(written(tmp_path, [*lines[:-1], {**lines[-1], "accounts": accounts}]), "maker1").audit
    assert kinds(audit) == {FindingKind.BALANCE_DIFFERS}
    assert audit.difference == Money(drops=1, quote=Decimal(0))


def test_an_offer_that_the_source_does_not_list_is_found(tmp_path: Path) -> None:
    lines = list(lines_of(CALM))
    address = lines[0]["accounts"]["maker1"]
    accounts = json.loads(json.dumps(lines[-1]["accounts"]))
    gone = accounts[address]["offers"].pop()
    audit = audited(written(tmp_path, [*lines[:-1], {**lines[-1], "accounts": accounts}]), "maker1").audit
    [finding] = audit.findings
    assert finding.kind is FindingKind.OFFERS_DIFFER
    assert f"offer {gone['seq']}:" in finding.text


@pytest.mark.parametrize(
    ("who", "ledgers", "told"),
    [
        ("nobody", ALL, "neither an address nor a name"),
        ("issuer", ALL, "audit a holder"),
        ("maker1", (1, None), "begins with ledger"),
        ("maker1", (None, 9_999), "holds ledgers"),
        ("maker1", (9_998, 9_999), "holds ledgers"),
    ],
)
def test_what_a_recording_does_not_hold_is_refused(
    who: str, ledgers: tuple[int | None, int | None], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        audited(CALM, who, ledgers)


def test_a_file_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="nowhere"):
        audited(tmp_path / "nowhere", "maker1")


# the main network

MAINNET = DATA / "mainnet" / "transactions_2026-05.jsonl.gz"
EVENTS = DATA / "mainnet" / "xrp_rlusd_events_2026-05.csv"
RLUSD = IssuedAsset(currency=currency_code("RLUSD"), issuer="rMxCKbEDwqr76QuheSUMdEGf4B9xJ8m5De")


@cache
def mainnet_events() -> tuple[dict[str, str], ...]:
    with EVENTS.open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


@cache
def mainnet_ledgers() -> dict[int, tuple[TransactionMessage, ...]]:
    """Return the transactions of each ledger; the ledgers do not follow each other."""
    with gzip.open(MAINNET) as file:
        messages = [transaction_decoder.decode(line) for line in file]
    indexes = sorted({one.ledger_index for one in messages})
    return {index: tuple(one for one in messages if one.ledger_index == index) for index in indexes}


def mainnet_audit(owner: str, ledger: int) -> Audit:
    codec = Codec(pair=Pair(quote=RLUSD))
    auditor = Auditor(owner, None)
    update = LedgerUpdate(
        ledger_index=ledger,
        ledger_hash="",
        close_time=0,
        fee_base_drops=10,
        base_reserve_drops=1_000_000,
        owner_reserve_drops=200_000,
        transactions=(),
        check=CheckData(asks=None, bids=None, pool=None, accounts=None),
        line=0,
    )
    for message in mainnet_ledgers()[ledger]:
        drops, quote = offers_elsewhere(codec, message, owner)
        auditor.take(
            update,
            codec.transaction(message),
            parent_close_time=0,
            transfer_rate=Decimal(1),
            elsewhere=Money(drops=drops, quote=quote),
        )
    return auditor.result((ledger, ledger), None)


def maker_fills(entries: tuple[Entry, ...]) -> Iterator[tuple[str, ...]]:
    for entry in entries:
        for fill in entry.events.fills:
            if fill.liquidity is LiquiditySide.MAKER:
                side = "ask" if fill.side is Side.SELL else "bid"
                amounts = plain(xrp_from_drops(fill.base_drops)), plain(fill.quote)
                yield (fill.tx_hash, str(fill.offer_sequence), side, *amounts)


@pytest.mark.parametrize("owner", sorted({row["owner"] for row in mainnet_events()}))
def test_a_main_network_makers_fills_creates_and_ends_are_those_derived_independently(owner: str) -> None:
    audits = [mainnet_audit(owner, ledger) for ledger in mainnet_ledgers()]
    assert [audit.findings for audit in audits] == [()] * 5
    entries = tuple(entry for audit in audits for entry in audit.entries)
    listed = [row for row in mainnet_events() if row["owner"] == owner]
    assert sorted(maker_fills(entries)) == sorted(
        (
            row["tx_hash"],
            row["offer_sequence"],
            row["side"],
            plain(Decimal(row["xrp"])),
            plain(Decimal(row["rlusd"])),
        )
        for row in listed
        if row["event"].startswith("fill")
    )
    touched = [
        (entry.events.tx_hash, str(offer.offer_sequence), offer.event)
        for entry in entries
        for offer in entry.events.offers
    ]
    placed = {one[:2] for one in touched if one[2] is OfferEvent.PLACED}
    traded = (OfferEvent.PLACED, OfferEvent.FILLED, OfferEvent.REDUCED)
    ended = {one[:2] for one in touched if one[2] not in traded}
    for event, found in (("create", placed), ("cancel", ended)):
        assert found == {(row["tx_hash"], row["offer_sequence"]) for row in listed if row["event"] == event}


# servers


def served(account: str, ledgers: tuple[int | None, int | None] = ALL, bend: Any = None) -> Audited:
    return audit_server(recorded_server(bend), "test", account, TOKEN, ledgers)


def server_balance(account: str, ledger: int) -> tuple[int, Decimal]:
    server = recorded_server()
    root = server.request("account_info", account=account, ledger_index=ledger)["account_data"]
    lines = server.request("account_lines", account=account, ledger_index=ledger)["lines"]
    held = [one["balance"] for one in lines if one["account"] == TOKEN.issuer] or ["0"]
    return int(root["Balance"]), Decimal(held[0])


@pytest.mark.parametrize("account", [MAKER, TAKER, CLAWED_BACK])
@pytest.mark.parametrize("ledgers", [ALL, (5, 9), (9, LAST)])
def test_what_a_server_remembers_adds_up_to_its_own_balances(
    account: str, ledgers: tuple[int | None, int | None]
) -> None:
    audit = served(account, ledgers).audit
    assert audit.findings == ()
    before = server_balance(account, ledgers[0] - 1) if ledgers[0] else (0, Decimal(0))
    drops = before[0] + sum(money.drops for money in audit.changes.values())
    held = before[1] + sum((money.quote for money in audit.changes.values()), Decimal(0))
    assert (drops, held) == server_balance(account, ledgers[1] or LAST)


def test_an_opening_balance_that_the_server_lacks_is_derived_and_said_so() -> None:
    whole = served(MAKER)
    assert not whole.audit.opening.from_source
    assert whole.audit.opening.money.drops == 0  # the account was funded in the range
    assert "the opening balance is derived" in whole.notes[0]
    assert served(MAKER, (5, 9)).notes == ()


def test_a_clawback_is_a_change_of_its_own_name() -> None:
    assert served(CLAWED_BACK).audit.changes["Clawback out"] == Money(drops=0, quote=Decimal(-5))


def skipping(rows: int) -> Any:
    """Return a server with pages of so many rows that loses the last row of each page but the last one."""

    def bend(command: str, parameters: Json, result: Json) -> Json:
        if command != "account_tx" or "transactions" not in result:
            return result
        if parameters["limit"] != rows:
            result = server.request("account_tx", **{**parameters, "limit": rows})
        elif "marker" in result:
            result = {**result, "transactions": result["transactions"][:-1]}
        return result

    server = recorded_server(bend)
    return server


@pytest.mark.parametrize("rows", [2, 3, 5])
def test_a_server_that_skips_a_row_between_pages_is_found_and_the_row_named(rows: int) -> None:
    server = skipping(rows)
    audit = audit_server(server, "test", MAKER, TOKEN, (5, 9)).audit
    every = {entry.events.tx_hash for entry in served(MAKER, (5, 9)).audit.entries}
    lost = every - {entry.events.tx_hash for entry in audit.entries}
    assert lost
    assert not audit.adds_up
    assert missing(audit) <= lost
    assert missing(audit)


@pytest.mark.parametrize("place", range(len(recorded_hashes(MAKER))))
@pytest.mark.parametrize("ledgers", [ALL, (5, LAST)])
def test_whatever_row_a_server_leaves_out_is_found_and_named(
    place: int, ledgers: tuple[int | None, int | None]
) -> None:
    gone = sorted(recorded_hashes(MAKER))[place]

    def bend(command: str, _parameters: Json, result: Json) -> Json:
        if command == "account_tx":
            rows = [one for one in result["transactions"] if one["hash"] != gone]
            return {**result, "transactions": rows}
        return result

    inside = gone in {entry.events.tx_hash for entry in served(MAKER, ledgers).audit.entries}
    audit = served(MAKER, ledgers, bend).audit
    assert missing(audit) == ({gone} if inside else set())
    assert audit.adds_up is not inside


def test_a_server_without_the_last_ledgers_entries_gives_a_derived_closing_balance() -> None:
    def bend(command: str, parameters: Json, result: Json) -> Json:
        if command == "account_info" and parameters["ledger_index"] == LAST:
            raise RequestRefused(command, "lgrNotFound", "ledgerNotFound", {})
        return result

    found = served(MAKER, ALL, bend)
    assert found.audit.adds_up
    closing = found.audit.closing
    assert not closing.from_source
    assert (closing.money.drops, closing.money.quote) == server_balance(MAKER, LAST)
    assert any("the closing balance is derived" in note for note in found.notes)


def test_a_token_is_named_by_its_issuer_or_by_the_accounts_only_line() -> None:
    server = recorded_server()
    assert token_of(server, MAKER, "RLUSD", None) == TOKEN
    assert token_of(server, MAKER, "RLUSD", MAKER).issuer == MAKER
    for account, symbol in ((MAKER, "USD"), ("rrrrrrrrrrrrrrrrrrrrBZbvji", "RLUSD")):
        with pytest.raises(UsageError, match="--issuer"):
            token_of(server, account, symbol, None)


@pytest.mark.parametrize(
    ("account", "ledgers", "told"),
    [
        (MAKER, (1, 9), "change --from or --to"),
        (MAKER, (5, 99), "change --from or --to"),
        (TOKEN.issuer, ALL, "audit a holder"),
        ("rrrrrrrrrrrrrrrrrrrrBZbvji", ALL, "no such account"),
    ],
)
def test_what_a_server_does_not_have_is_refused(
    account: str, ledgers: tuple[int | None, int | None], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        served(account, ledgers)


@pytest.mark.parametrize("named", [False, True])
def test_the_oldest_ledger_of_a_server_may_be_held_in_part_unless_it_is_asked_for(named: bool) -> None:
    oldest = 8

    def bend(command: str, parameters: Json, result: Json) -> Json:
        if command == "account_info" and parameters["ledger_index"] == oldest - 1:
            raise RequestRefused(command, "lgrNotFound", "ledgerNotFound", {})
        if command != "account_tx":
            return result
        rows = [one for one in result["transactions"] if one["ledger_index"] > oldest]
        return {**result, "transactions": rows, "ledger_index_min": oldest}

    whole = served(MAKER, (oldest, None)).audit
    lost = {entry.events.tx_hash for entry in whole.entries if entry.ledger_index == oldest}
    assert lost
    audit = served(MAKER, (oldest, None) if named else ALL, bend).audit
    assert audit.adds_up is not named
    assert missing(audit) <= lost


# what is told


def test_docs_commands_names_the_keys_and_the_findings_of_an_audit() -> None:
    assert documented_names("Audit key") == set(json.loads(audit_json(audited(CALM, "maker1"))))
    assert documented_names("Finding") == {kind.value for kind in FindingKind}


def test_the_text_shows_each_fill_and_offer_and_every_finding(tmp_path: Path) -> None:
    gone = hashes_of(CALM, "maker1")[3]
    found = audited(written(tmp_path, without(CALM, gone, told=True)), "maker1")
    stream = io.StringIO()
    print_audit(found, stream)
    text = stream.getvalue()
    rows = [line for line in text.splitlines() if re.match(r"\d+\.\d+ ", line)]
    parts = sum(len(entry.parts) for entry in found.audit.entries)
    offers = sum(len(entry.events.offers) for entry in found.audit.entries)
    twice = sum(
        len(entry.events.fills) - len({fill_label(fill) for fill in entry.events.fills})
        for entry in found.audit.entries
    )
    assert len(rows) == parts + offers + twice
    assert all(one.text in text for one in found.audit.findings)
    assert f"changed before by {gone}," in text
    assert f"It does NOT add up: {len(found.audit.findings)} findings." in text
