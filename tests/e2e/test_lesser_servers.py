"""What a server or a pair lacks is found out at the start, said, and worked without."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.e2e.helpers import engine, rows
from tests.e2e.lesser_server import Clio, Lesser, OldApi, Without, lesser
from tests.e2e.live_process import address_of, seed_of
from tests.e2e.live_stage import FAR, TAKER, Stage, Trader, furnished, tokens
from tests.e2e.server_process import Wire, server

Json = dict[str, Any]
DURATION = "40s"


def staged(folder: Path, *arguments: str) -> Iterator[Stage]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))  # the account locks lie below it
        with server("--admin", *arguments) as running, Wire(running.ws) as wire:
            yield Stage(running=running, wire=wire, issuer=furnished(wire), folder=folder, said=[])


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A market with a pool."""
    yield from staged(tmp_path_factory.mktemp("lesser"), "--market", "calm", "--speed", "12", "--seed", "3")


def on(stage: Stage, number: int, url: str, **changed: Any) -> Trader:
    """An account that trades through `url`."""
    return replace(stage, running=replace(stage.running, ws=url)).trader(number, **changed)


def looked(one: Trader) -> tuple[set[str], dict[str, list[Json]]]:
    """Run the preflight and return the checks that failed, and all findings by check.

    Without the clock's: the market runs ahead of it.
    """
    done = engine("preflight", "--config", one.config, "--db", one.db, "--json")
    assert "Traceback" not in done.err
    found: dict[str, list[Json]] = {}
    for finding in done.json["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    failed = {check for check, some in found.items() for one in some if one["status"] == "FAIL"}
    assert done.code == (3 if failed else 0)
    return failed - {"clock"}, found


def traded(one: Trader, duration: str = DURATION) -> None:
    """Run a session and see that it quoted, that the ledger agrees, and that nothing is left."""
    done = one.ended(one.begin(duration=duration))
    assert done.code == 0, done.err
    assert done.json["halt_reason"] == "duration_elapsed"
    placed = [row for row in one.stored().values() if row[0] == "tesSUCCESS"]
    assert len(placed) >= 2
    assert one.stored() == one.sent(one.first_ledger())
    assert one.offers() == []


def test_a_server_that_lacks_nothing_is_traded_through_the_same_socket(stage: Stage) -> None:
    lacks = Lesser()
    with lesser(stage.running.ws, lacks) as url:
        one = on(stage, 1, url)
        failed, found = looked(one)
        assert (failed, found["trial order"][0]["status"]) == (set(), "pass")
        assert found["pool"][0]["found"].startswith("there, its fee is 0.")
        traded(one)
    assert {"simulate", "submit"} <= lacks.asked


def test_without_simulate_and_book_changes_a_session_trades_and_preflight_says_so(stage: Stage) -> None:
    lacks = Without("simulate", "book_changes")
    with lesser(stage.running.ws, lacks) as url:
        one = on(stage, 2, url)
        failed, found = looked(one)
        (trial,) = found["trial order"]
        assert (failed, trial["status"]) == (set(), "warn")
        assert "no simulate" in trial["found"]
        assert "--dry-run" in trial["fix"]
        traded(one)
    assert "book_changes" not in lacks.asked


def test_a_dry_run_without_simulate_sends_nothing_and_says_why_nothing_was_rehearsed(stage: Stage) -> None:
    with lesser(stage.running.ws, Without("simulate")) as url:
        one = on(stage, 3, url)
        before = one.history(-1)
        done = one.run("live", "--duration", "20s", "--dry-run")
        assert (done.code, one.history(-1)) == (0, before)
    told = rows(one.db, "SELECT DISTINCT status, failure_reason FROM orders")
    assert told == [("REJECTED", "dry run: not rehearsed, the server has no simulate")]


def test_a_clio_server_is_ready_by_its_own_words_and_traded_through(stage: Stage) -> None:
    with lesser(stage.running.ws, Clio()) as url:
        one = on(stage, 4, url)
        failed, found = looked(one)
        (node,) = found["node"]
        assert (failed, node["status"]) == (set(), "pass"), found
        assert "Clio 2.5.1" in node["found"]
        assert {one["status"] for name in ("ledger", "network", "fees") for one in found[name]} <= {
            "pass",
            "warn",
        }
        traded(one)


def test_a_clio_server_that_reaches_no_rippled_is_not_ready(stage: Stage) -> None:
    with lesser(stage.running.ws, Clio(reaches=False)) as url:
        failed, found = looked(on(stage, 5, url))
    (node,) = found["node"]
    assert (failed, node["status"]) == ({"node"}, "FAIL")
    assert "no server to hand transactions to" in node["found"]


def test_a_server_of_the_older_api_is_refused_by_name(stage: Stage) -> None:
    with lesser(stage.running.ws, OldApi()) as url:
        one = on(stage, 6, url)
        failed, found = looked(one)
        assert "node" in failed
        assert "version 2 of the API" in found["node"][0]["found"]
        done = one.ended(one.begin(duration=DURATION))
    assert done.code == 3
    assert "version 2 of the API" in done.err


def test_beside_a_server_of_the_older_api_another_one_is_used(stage: Stage) -> None:
    with lesser(stage.running.ws, OldApi()) as url:
        one = on(stage, 7, url, live={"endpoints": [url, stage.running.ws]})
        _failed, found = looked(one)
        assert ["version 2 of the API" in node["found"] for node in found["node"]] == [True, False]
        traded(one)


def test_a_pair_without_a_pool_is_quoted_by_its_book_alone(tmp_path: Path) -> None:
    for stage in staged(tmp_path, "--close-every", "1s"):
        assert stage.wire.ask("ledger_entry", amm=_pair(stage))["error"] == "entryNotFound"
        seed, account = seed_of(TAKER), address_of(seed_of(TAKER))
        for gets, pays in (("100000000", tokens(stage, "201")), (tokens(stage, "199"), "100000000")):
            offer = {"TransactionType": "OfferCreate", "TakerGets": gets, "TakerPays": pays}
            told = stage.wire.sign_and_submit(seed, Account=account, **offer)
            assert told["engine_result"] == "tesSUCCESS", told
        stage.next_ledgers(2)
        one = on(stage, 8, stage.running.ws, strategy={"warmup_ticks": 2, **FAR})
        failed, found = looked(one)
        (pool,) = found["pool"]
        assert failed == set(), found
        assert pool["found"].startswith("none: the book alone is quoted on")
        traded(one, "15s")
        anchors = rows(one.db, "SELECT DISTINCT anchor FROM ticks WHERE anchor IS NOT NULL")
        assert {abs(Decimal(str(anchor)) - 2) < Decimal("0.01") for (anchor,) in anchors} == {True}


def _pair(stage: Stage) -> Json:
    return {
        "asset": {"currency": "XRP"},
        "asset2": {"currency": tokens(stage, "1")["currency"], "issuer": stage.issuer},
    }
