"""`live` and `flatten` as programs against the local server: what the ledger says of them afterwards.

Every expectation is the server's own word (account_tx, account_offers, account_info, account_lines) or a sum
of it. Each test has an account of its own; sessions that do not disturb each other run at the same time.
"""

from __future__ import annotations

import signal
import stat
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from xrpl.core import keypairs

from neo_engine.cli import engine_parser
from tests.e2e.helpers import (
    ROOT,
    TRACEBACK,
    Done,
    check_database,
    engine,
    in_process,
    report,
    rows,
    start,
    wait_for,
)
from tests.e2e.live_process import address_of, seed_of
from tests.e2e.live_stage import (
    ACCOUNTS,
    FAR,
    IMMEDIATE_OR_CANCEL,
    SETTLED,
    TAKER,
    Stage,
    Trader,
    furnished,
    held,
    tokens,
)
from tests.e2e.server_process import Wire, server

Json = dict[str, Any]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("live")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))  # the account locks lie below it
        with (
            server("--market", "hostile", "--speed", "12", "--admin", "--seed", "3") as running,
            Wire(running.ws) as wire,
        ):
            yield Stage(running=running, wire=wire, issuer=furnished(wire), folder=folder, said=[])


# trading


def test_the_ledger_has_what_the_database_says_of_a_session_and_no_more(stage: Stage) -> None:
    one = stage.trader(1)
    done = one.ended(one.begin())
    assert done.code == 0, done.err
    assert (done.json["halt_reason"], done.err) == ("duration_elapsed", "")
    assert done.json["ledgers"] >= 12
    assert len(one.stored()) >= 4
    assert one.stored() == one.sent(one.first_ledger())
    assert one.offers() == []
    assert one.order_states() <= SETTLED
    assert one.stored_fills() == one.maker_fills(one.first_ledger())
    assert held(done.json) == one.balances()
    assert report(one.db)["agrees"] is True
    check_database(one.db)


def test_ctrl_c_leaves_no_offer_and_two_tickets_were_made_and_stored(stage: Stage) -> None:
    one = stage.trader(2)
    process = one.quoting()
    found = rows(one.db, "SELECT tx_hash, tickets, result FROM v_upkeep")
    told = stage.wire.result("account_objects", account=one.account, type="ticket", ledger_index="validated")
    process.send_signal(signal.SIGINT)
    done = one.ended(process)
    assert done.code == 130, done.err
    assert done.json["halt_reason"] == "interrupted_sigint"
    assert [(tickets, result) for _hash, tickets, result in found] == [(2, "tesSUCCESS")]
    assert one.sent(one.first_ledger())[found[0][0]][0] == "tesSUCCESS"
    assert len(told["account_objects"]) == 2
    assert one.offers() == []


class Crash(msgspec.Struct, frozen=True, kw_only=True):
    """A session that was killed while it quoted, and the one after it."""

    trader: Trader
    left: list[int]
    taken: list[tuple[str, int]]
    second: Done


@pytest.fixture(scope="module")
def crash(stage: Stage) -> Crash:
    one = stage.trader(3, log={"level": "DEBUG"}, strategy=FAR)
    process = one.quoting()
    wait_for("a bid", lambda: process.poll() is not None or bool(bids(one)))
    process.kill()
    stage.said.append("".join(process.communicate()))
    stage.next_ledgers(3)
    last = rows(one.db, "SELECT max(ledger_index) FROM ticks")[0][0]
    left = [offer["seq"] for offer in one.offers()]
    sell_to(bids(one)[0], stage)
    taken = one.maker_fills(last + 1)
    second = one.ended(one.begin(duration="40s"))
    return Crash(trader=one, left=left, taken=taken, second=second)


def bids(one: Trader) -> list[Json]:
    """The account's offers that pay tokens."""
    return [offer for offer in one.offers() if isinstance(offer["taker_gets"], dict)]


def sell_to(bid: Json, stage: Stage) -> None:
    """Have somebody sell all that others want for more, and the bid's own size, at the bid's price."""
    price = Decimal(bid["taker_gets"]["value"]) / Decimal(bid["taker_pays"])
    lot = 40_000_000_000
    told = stage.wire.sign_and_submit(
        seed_of(TAKER),
        TransactionType="OfferCreate",
        Account=address_of(seed_of(TAKER)),
        Flags=IMMEDIATE_OR_CANCEL,
        TakerGets=str(lot),
        TakerPays=tokens(stage, f"{lot * price * Decimal('0.999'):.6f}"),
    )
    assert told["engine_result"] == "tesSUCCESS", told
    stage.next_ledgers(2)


def test_the_start_after_kill_9_resolves_every_order_and_books_each_fill_once(crash: Crash) -> None:
    one, second = crash.trader, crash.second
    assert second.code == 0, second.err
    assert "left open: " in second.err
    assert crash.left, "nothing stood when the session was killed"
    assert crash.taken, "nobody took what the killed session had left"
    first = one.first_ledger()
    assert one.stored_fills() == one.maker_fills(first)
    assert set(crash.taken) <= set(one.stored_fills())
    assert one.order_states() <= SETTLED
    assert one.stored() == one.sent(first)
    assert one.offers() == []
    assert held(second.json) == one.balances()
    reasons = rows(one.db, "SELECT halt_reason FROM sessions ORDER BY session_id")
    assert reasons[1] == ("duration_elapsed",)
    assert report(one.db)["agrees"] is True
    check_database(one.db)


# offers that nobody knows


def test_an_offer_placed_by_hand_is_refused_with_both_ways_out_and_cancelled_once_adopted(
    stage: Stage,
) -> None:
    one = stage.trader(4)
    number = place_by_hand(one)
    done = one.run("live", "--duration", "1m")
    assert done.code == 3
    assert done.out == ""
    assert f"sequences {number})" in done.err
    assert "`flatten`" in done.err
    assert "--adopt-offers" in done.err
    assert one.halt_reason() == "startup_failure"
    assert [offer["seq"] for offer in one.offers()] == [number]

    adopted = one.ended(one.begin("--adopt-offers", duration="40s"))
    assert adopted.code == 0, adopted.err
    order = rows(one.db, "SELECT id, slot, status FROM orders WHERE offer_sequence = ?", number)
    assert [(slot, status) for _id, slot, status in order] == [(f"adopted-{number}", "CANCELED")]
    intents = rows(one.db, "SELECT kind, result FROM v_submissions WHERE order_id = ?", order[0][0])
    assert intents == [("cancel", "tesSUCCESS")]
    assert one.stored() == one.sent(one.first_ledger())
    assert one.offers() == []


def place_by_hand(one: Trader) -> int:
    """Place an ask far from the market past any engine; return its sequence."""
    told = one.stage.wire.sign_and_submit(
        one.seed,
        TransactionType="OfferCreate",
        Account=one.account,
        TakerGets="5000000",
        TakerPays=tokens(one.stage, "500"),
    )
    assert told["engine_result"] == "tesSUCCESS", told
    wait_for("the offer by hand", lambda: bool(one.offers()))
    return int(told["tx_json"]["Sequence"])


def test_flatten_cancels_what_nobody_knows_and_says_flat(stage: Stage) -> None:
    one, nothing = stage.trader(5), stage.trader(6)
    place_by_hand(one)
    empty = start(nothing.command("flatten"))
    done = one.run("flatten")
    assert done.code == 0, done.err
    assert (done.json["flat"], done.json["left"]) == (True, [])
    assert one.offers() == []
    cancelled = rows(one.db, "SELECT kind, result FROM v_submissions")
    assert cancelled == [("cancel", "tesSUCCESS")]
    done = nothing.ended(empty)
    assert (done.code, done.json["flat"]) == (0, True)
    assert nothing.sent(nothing.first_ledger()) == {}
    said = engine(*[word for word in nothing.command("flatten")[2:] if word != "--json"], "--quiet")
    assert (said.code, said.out) == (0, "")
    assert f"flat: no offer of {nothing.account} for the pair stands on the ledger" in said.err


# what happens to the account


def test_a_transaction_of_another_program_halts_and_pulls_the_quotes(stage: Stage) -> None:
    one = stage.trader(7)
    process = one.quoting()
    one.pay(TransactionType="AccountSet")
    done = one.ended(process)
    assert done.code == 4, done.err
    assert done.json["halt_reason"] in ("reconciler_halt", "submission_refused")
    assert one.offers() == []
    assert one.order_states() <= SETTLED
    found = rows(one.db, "SELECT severity FROM reconciliations WHERE finding = 'strange_transaction'")
    assert found == [("halt",)]
    assert held(done.json) == one.balances()


def test_money_from_outside_is_proposed_or_halts_as_the_configuration_says(stage: Stage) -> None:
    goes_on, halts = stage.trader(8), stage.trader(9, live={"external_changes": "halt"})
    both = [(one, one.begin(duration="120s")) for one in (goes_on, halts)]
    for one, process in both:
        one.wait_for_offer(process)
        deed(stage, "deposit", one, value="25000000")
    ends = [one.ended(process) for one, process in both]
    assert [done.code for done in ends] == [0, 4], [done.json for done in ends]
    assert [done.json["halt_reason"] for done in ends] == ["duration_elapsed", "reconciler_halt"]
    for (one, _process), done in zip(both, ends, strict=True):
        events = rows(
            one.db, "SELECT kind, asset, amount, note, status FROM capital_events WHERE kind <> 'opening'"
        )
        assert [(kind, asset, Decimal(amount), status) for kind, asset, amount, _, status in events] == [
            ("deposit", "XRP", Decimal(25), "applied")
        ]
        assert events[0][3].startswith("proposed: ")
        assert held(done.json) == one.balances()
        assert one.offers() == []


def deed(stage: Stage, name: str, one: Trader, **parameters: str) -> None:
    """Have the issuer, or a stranger, do something to the account."""
    told = stage.wire.result("fault", name=name, parameters={"account": one.account, **parameters})
    assert told["engine_result"] == "tesSUCCESS", told


def test_a_clawback_is_booked_and_a_freeze_halts(stage: Stage) -> None:
    clawed, frozen = stage.trader(10), stage.trader(11)
    both = [(one, one.begin(duration="120s")) for one in (clawed, frozen)]
    for one, process in both:
        one.wait_for_offer(process)
    deed(stage, "clawback", clawed, value="7")
    deed(stage, "freeze", frozen)
    ends = [one.ended(process) for one, process in both]
    assert [done.code for done in ends] == [0, 4], [done.json for done in ends]
    assert ends[1].json["halt_reason"] == "reconciler_halt"
    query = "SELECT kind, asset, amount FROM capital_events WHERE kind <> 'opening'"
    booked = rows(clawed.db, query)
    assert [(kind, asset, Decimal(amount)) for kind, asset, amount in booked] == [
        ("withdrawal", "RLUSD", Decimal(7))
    ]
    assert rows(frozen.db, query) == []
    for (one, _process), done in zip(both, ends, strict=True):
        assert held(done.json) == one.balances()
        assert one.offers() == []


# ends and dry runs


def test_the_kill_switch_cancels_on_the_ledger(stage: Stage) -> None:
    one = stage.trader(12, strategy=FAR)
    process = one.quoting()
    assert engine("kill", "--db", one.db, "--reason", "enough").code == 0
    done = one.ended(process)
    assert done.code == 4, done.err
    assert (done.json["halt_reason"], "enough" in done.json["halt_detail"]) == ("kill_switch", True)
    assert one.offers() == []
    assert one.order_states() <= SETTLED
    assert one.stored() == one.sent(one.first_ledger())
    assert held(done.json) == one.balances()
    sent = [tx["tx_json"] for tx in one.history(one.first_ledger())]
    cancels = [tx for tx in sent if tx["TransactionType"] == "OfferCancel"]
    assert cancels
    assert any("TicketSequence" in tx for tx in cancels), "no cancel bore a ticket"


def test_a_dry_run_rehearses_every_order_and_sends_none(stage: Stage) -> None:
    one = stage.trader(13)
    before = one.history(-1)
    done = one.run("live", "--duration", "30s", "--dry-run")
    assert done.code == 0, done.err
    assert one.history(-1) == before
    found = rows(one.db, "SELECT DISTINCT status, failure_reason FROM orders")
    assert found == [("REJECTED", "dry run: tesSUCCESS")]
    assert rows(one.db, "SELECT count(*) FROM v_submissions WHERE result IS NOT NULL") == [(0,)]
    assert rows(one.db, "SELECT count(*) FROM upkeep") == [(0,)]


# refusals


@pytest.fixture(scope="module")
def idle(stage: Stage) -> Trader:
    """An account that no session trades."""
    return stage.trader(14)


def refused(
    capsys: pytest.CaptureFixture[str], one: Trader, tmp_path: Path, *, code: int, **changed: Any
) -> str:
    """Run `live` with other options and return its one line of refusal; nothing may have been sent."""
    options: dict[str, Any] = {
        "consent": one.account,
        "config": one.config,
        "db": tmp_path / "n.db",
        **changed,
    }
    words = [part for name, value in options.items() for part in (f"--{name}", value) if value is not None]
    done = in_process(capsys, engine_parser(), ["live", *words, "--duration", "30s", "--json"])
    assert done.code == code, done.err
    assert done.out == ""
    assert TRACEBACK not in done.err
    return done.err


def changed(one: Trader, tmp_path: Path, before: str, after: str) -> Path:
    """The configuration with one text replaced."""
    text = one.config.read_text(encoding="utf-8")
    assert before in text
    path = tmp_path / "changed.yaml"
    path.write_text(text.replace(before, after), encoding="utf-8")
    return path


def test_live_needs_consent_that_names_the_account(
    capsys: pytest.CaptureFixture[str], idle: Trader, tmp_path: Path
) -> None:
    assert "--consent" in refused(capsys, idle, tmp_path, code=2, consent=None)
    another = address_of(seed_of(1))
    assert another in refused(capsys, idle, tmp_path, code=2, consent=another)
    assert not (tmp_path / "n.db").exists()


def test_live_needs_a_live_configuration_with_an_account_and_offers_that_expire(
    capsys: pytest.CaptureFixture[str], idle: Trader, tmp_path: Path
) -> None:
    paper = ROOT / "config" / "paper.yaml"
    assert "mode: paper" in refused(capsys, idle, tmp_path, code=2, config=paper)
    unset = changed(idle, tmp_path, f"account: {idle.account}", "account: unset")
    assert "live.account is unset" in refused(capsys, idle, tmp_path, code=2, config=unset)
    forever = changed(idle, tmp_path, "offer_lifetime_seconds: 600", "offer_lifetime_seconds: 0")
    assert "offer_lifetime_seconds" in refused(capsys, idle, tmp_path, code=2, config=forever)
    assert not (tmp_path / "n.db").exists()


def test_live_refuses_a_key_that_others_can_read_or_that_is_another_accounts(
    capsys: pytest.CaptureFixture[str], idle: Trader, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text(seed_of(1) + "\n", encoding="utf-8")
    config = changed(idle, tmp_path, str(idle.config.with_name("key")), str(key))
    key.chmod(stat.S_IRUSR | stat.S_IROTH)
    assert "mode 404" in refused(capsys, idle, tmp_path, code=3, config=config)
    key.chmod(stat.S_IRUSR)
    said = refused(capsys, idle, tmp_path, code=3, config=config)
    assert idle.account in said
    assert seed_of(1) not in said


def test_live_refuses_another_network(
    capsys: pytest.CaptureFixture[str], idle: Trader, tmp_path: Path
) -> None:
    before = idle.history(-1)
    config = changed(idle, tmp_path, "network_id: 0", "network_id: 1")
    said = refused(capsys, idle, tmp_path, code=3, config=config)
    assert "the server is on network 0, live.network_id is 1" in said
    assert idle.history(-1) == before


def test_a_second_engine_on_the_same_account_is_refused_whatever_its_database(
    stage: Stage, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    one = stage.trader(15)
    process = one.begin(duration="1h")
    wait_for("the session", lambda: one.db.exists() and bool(rows_or_none(one.db)))
    said = refused(capsys, one, tmp_path, code=3)
    assert str(process.pid) in said
    process.send_signal(signal.SIGINT)
    assert one.ended(process).code == 130


def rows_or_none(db: Path) -> list[tuple[Any, ...]]:
    """The sessions of a database that may not be made yet."""
    names = rows(db, "SELECT name FROM sqlite_master WHERE name = 'sessions'")
    return rows(db, "SELECT session_id FROM sessions") if names else []


# the key


@pytest.mark.usefixtures("crash")
def test_no_byte_that_sessions_wrote_holds_a_seed_or_a_private_key(stage: Stage) -> None:
    written = [path for path in stage.folder.rglob("*") if path.is_file() and path.name != "key"]
    names = {path.name for path in written}
    assert {"neo.db", "neo.db.lock"} <= names
    assert any(path.parent.name == "neo-engine" for path in written), "no account lock was written"
    bulk = [path.read_bytes() for path in written] + [text.encode() for text in stage.said]
    assert any(b"DEBUG" in one for one in bulk), "the crashed session did not log at DEBUG"
    for number in range(1, ACCOUNTS + 1):
        private = keypairs.derive_keypair(seed_of(number))[1][2:]
        for secret in (seed_of(number), private.upper(), private.lower()):
            assert not any(secret.encode() in one for one in bulk), number
        assert not any(bytes.fromhex(private) in one for one in bulk), number
