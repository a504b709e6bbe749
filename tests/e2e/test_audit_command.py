"""The command `audit` as a user runs it: on a recording, and on a server in another process."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest
from xrpl.constants import CryptoAlgorithm
from xrpl.core.addresscodec import encode_seed
from xrpl.core.keypairs import derive_classic_address, derive_keypair

from neo_engine.simulator.server.genesis import ISSUER_ACCOUNT
from tests.e2e.helpers import CUT, Argument, Done, finish, start
from tests.e2e.server_process import Wire, holder, server, token

SECONDS = 60


def audit(*arguments: Argument) -> Done:
    return finish(start(["-m", "neo_engine", "audit", *arguments]), SECONDS)


def test_a_recorded_account_adds_up_and_the_report_says_so() -> None:
    done = audit("maker1", "--recording", CUT)
    assert done.code == 0, done.err
    assert done.err == ""
    assert done.out.rstrip().endswith("Everything adds up.")
    for heading in ("Audit", "Events", "Counts", "Sums"):
        assert f"\n{heading}\n" in f"\n{done.out}"
    assert max(len(line) for line in done.out.splitlines()) <= 100


def test_json_is_one_object_whose_parts_add_up() -> None:
    told = audit("maker1", "--recording", CUT, "--from", 960, "--to", 980, "--json").json
    assert (told["adds_up"], told["first_ledger"], told["last_ledger"]) == (True, 960, 980)
    for asset, zero in (("drops", 0), ("token", Decimal(0))):
        kind = type(zero)
        parts = [kind(one[asset]) for one in told["changes"].values()]
        by_event = [kind(one[asset]) for event in told["events"] for one in event["changes"].values()]
        moved = kind(told["closing"][asset]) - kind(told["opening"][asset])
        assert sum(parts, zero) == sum(by_event, zero) == moved
    assert told["difference"] == {"drops": 0, "token": "0"}


def test_a_recording_that_lacks_a_transaction_ends_with_4_and_its_hash(tmp_path: Path) -> None:
    with gzip.open(CUT, "rt", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    maker = lines[0]["accounts"]["maker1"]
    line = next(
        one for one in lines[5:] if any(tx["tx_json"]["Account"] == maker for tx in one["transactions"])
    )
    gone = next(tx for tx in line["transactions"] if tx["tx_json"]["Account"] == maker)
    line["transactions"].remove(gone)
    path = tmp_path / "lacking.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
    done = audit("maker1", "--recording", path)
    assert done.code == 4
    assert gone["hash"] in done.out
    assert "does NOT add up" in done.out
    told = audit("maker1", "--recording", path, "--json")
    assert told.code == 4
    assert {one["missing"] for one in told.json["findings"]} - {""} == {gone["hash"]}


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["nobody", "--recording", CUT], 2, "neither an address nor a name"),
        (["maker1"], 2, "required"),
        (["maker1", "--recording", CUT, "--from", 980, "--to", 960], 2, "swap"),
        (["maker1", "--recording", CUT, "--from", "x"], 2, "no ledger index"),
        (["maker1", "--recording", CUT, "--issuer", ISSUER_ACCOUNT], 2, "--endpoint"),
        (["maker1", "--endpoint", "ws://127.0.0.1:1"], 2, "no address"),
        (["maker1", "--recording", "nowhere.jsonl"], 3, "nowhere.jsonl"),
        ([ISSUER_ACCOUNT, "--endpoint", "ws://127.0.0.1:1"], 3, "127.0.0.1:1"),
    ],
)
def test_what_cannot_be_audited_is_one_line_and_a_code(
    arguments: list[Argument], code: int, told: str
) -> None:
    assert told in audit(*arguments).error(code)


def wallet(name: str) -> tuple[str, str]:
    seed = str(encode_seed(name.encode().ljust(16, b"."), CryptoAlgorithm.ED25519))
    return str(derive_classic_address(derive_keypair(seed)[0])), seed


def test_an_account_on_a_server_adds_up_to_what_the_server_says_of_it() -> None:
    maker, maker_seed = wallet("maker")
    taker, taker_seed = wallet("taker")
    with server("--close-every", "manual") as running, Wire(running.ws) as wire:
        holder(running, wire, maker, maker_seed, "1000")
        holder(running, wire, taker, taker_seed, "1000")
        offer = {"TransactionType": "OfferCreate", "TakerGets": "30000000", "TakerPays": token("69")}
        wire.sign_and_submit(maker_seed, Account=maker, **offer)
        wire.result("ledger_accept")
        taken = {"TransactionType": "OfferCreate", "TakerGets": token("23.4"), "TakerPays": "10000000"}
        wire.sign_and_submit(taker_seed, Account=taker, **taken)
        last = wire.result("ledger_accept")["ledger_current_index"] - 1
        done = audit(maker, "--endpoint", running.ws, "--to", last, "--json")
        assert done.code == 0, (done.err, done.out)
        told = done.json
        root = wire.result("account_info", account=maker, ledger_index=last)["account_data"]
        [line] = wire.result("account_lines", account=maker, ledger_index=last)["lines"]
        assert audit(maker, "--endpoint", running.ws, "--issuer", ISSUER_ACCOUNT, "--to", last).code == 0
        assert audit(taker, "--endpoint", running.ws).code == 0
        assert "change --from or --to" in audit(maker, "--endpoint", running.ws, "--from", 999).error(2)
    assert (told["closing"]["drops"], told["closing"]["token"]) == (int(root["Balance"]), line["balance"])
    assert told["opening"]["drops"] + sum(one["drops"] for one in told["changes"].values()) == int(
        root["Balance"]
    )
    # 10 XRP at the maker's own price of 2.3 RLUSD, whatever the taker would have paid.
    assert told["changes"]["maker sells"] == {"drops": -10_000_000, "token": "23"}
    [left] = told["open_offers"]
    assert left["drops"] == 20_000_000
