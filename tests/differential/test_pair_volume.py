"""The pair's volume as a session stores it, against a count by hand of the recording's own metadata."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.e2e.helpers import ROOT, rows, session

RECORDING = ROOT / "neo_engine" / "feed" / "data" / "calm.jsonl.gz"
TRADES = ("OfferCreate", "Payment")
SIDES = ("TakerGets", "TakerPays")
Json = dict[str, Any]


def taken(node: Json, taker: str, kind: str, currency: str) -> int:
    """Return the drops that a transaction took by one entry: another's offer of the pair, or the pool."""
    (what,) = node
    entry = node[what]
    after, before = entry.get("FinalFields", {}), entry.get("PreviousFields", {})
    if entry["LedgerEntryType"] == "Offer" and what != "CreatedNode":
        tokens = [after[side]["currency"] for side in SIDES if isinstance(after[side], dict)]
        if "TakerGets" not in before or after["Account"] == taker or tokens != [currency]:
            return 0
        return sum(int(before[side]) - int(after[side]) for side in SIDES if isinstance(after[side], str))
    if "AMMID" in after and "Balance" in before and kind in TRADES:
        return abs(int(before["Balance"]) - int(after["Balance"]))
    return 0


def test_what_a_session_stores_of_the_pairs_volume_is_what_the_metadata_says(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    assert session(db, recording=RECORDING, duration="30m").code == 0
    query = "SELECT t.ledger_index, m.traded_xrp_drops FROM market_snapshots m JOIN ticks t ON t.id = m.id"
    stored = dict(rows(db, query))
    lines = [json.loads(line) for line in gzip.decompress(RECORDING.read_bytes()).splitlines()]
    currency = lines[0]["pair"]["quote"]["currency"]
    counted: Counter[int] = Counter()
    for line in lines:
        for one in line.get("transactions", ()):
            sent, meta = one["tx_json"], one["meta"]
            if meta["TransactionResult"] == "tesSUCCESS":
                counted[line["ledger"]["ledger_index"]] += sum(
                    taken(node, sent["Account"], sent["TransactionType"], currency)
                    for node in meta["AffectedNodes"]
                )
    assert len(stored) > 300
    assert sum(drops > 0 for drops in stored.values()) > 50
    assert stored == {index: counted[index] for index in stored}
