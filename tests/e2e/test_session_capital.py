"""Money that enters or leaves: report and engine agree to the last digit, whenever and however it comes."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest

from neo_engine.cli import engine_parser
from tests.e2e.helpers import (
    CUT,
    EMBEDDED,
    check_database,
    engine,
    finish,
    in_process,
    last_session,
    report,
    rows,
    session,
    started_session,
    ticks_stored,
    wait_for,
)

#: Name in the engine's last word -> where the report shows the same number.
SAME: dict[str, Callable[[dict[str, Any]], object]] = {
    "fills_base_drops": lambda said: Decimal(said["xrp"]["fills_only"]) * 1_000_000,
    "fills_rlusd": lambda said: said["quote"]["fills_only"],
    "overlay_base_drops": lambda said: Decimal(said["xrp"]["capital_overlay"]) * 1_000_000,
    "overlay_rlusd": lambda said: said["quote"]["capital_overlay"],
    "fees_drops": lambda said: said["pnl"]["fees_drops"],
    "realised_rlusd": lambda said: said["pnl"]["realised"],
    "unrealised_rlusd": lambda said: said["pnl"]["unrealised"],
    "account_value_rlusd": lambda said: said["pnl"]["account_value"],
    "net_capital_rlusd": lambda said: said["pnl"]["net_capital"],
    "cost_basis_rlusd": lambda said: said["pnl"]["cost_basis"],
    "rounding_rlusd": lambda said: said["pnl"]["rounding"],
    "mark": lambda said: said["pnl"]["mark"],
    "fills": lambda said: said["fills"]["count"],
}


def add(db: Path, kind: str, asset: str, amount: str, *more: str) -> str:
    """Enter a capital event as an operator does and return what was answered."""
    done = engine("capital", "add", "--db", db, "--kind", kind, "--asset", asset, "--amount", amount, *more)
    assert done.code == 0, done.err
    return done.out


def events(db: Path) -> list[tuple[Any, ...]]:
    """Session, kind, asset, amount and status of everything but openings."""
    return rows(
        db,
        "SELECT session_id, kind, asset, amount, status FROM capital_events WHERE kind <> 'opening' "
        "ORDER BY id",
    )


def inbox(db: Path) -> list[Path]:
    return sorted(db.with_name(db.name + ".inbox").glob("*"))


def check_report(db: Path, printed: dict[str, Any]) -> dict[str, Any]:
    """The report equals the engine's last word, number by number, and its own sums add up."""
    said = report(db)
    stored = json.loads(last_session(db)["summary_json"])
    for name, shown in SAME.items():
        engines, reports = Decimal(str(stored[name])), Decimal(str(shown(said)))
        assert engines == Decimal(str(printed[name])) == reports, (name, stored[name], shown(said))
    assert said["agrees"] is True, said["agreement"]
    for asset in ("xrp", "quote"):
        line = {key: Decimal(value) for key, value in said[asset].items() if key != "asset"}
        assert line["fills_only"] + line["capital_overlay"] == line["inventory"] == line["engine_total"]
        assert line["inventory"] - line["fees"] == line["balance"]
    with localcontext(prec=60):  # exact for every sum here
        _check_sums(said)
    check_database(db)
    return said


def _check_sums(said: dict[str, Any]) -> None:
    pnl = {key: Decimal(str(value)) for key, value in said["pnl"].items() if key != "mark_time"}
    assert pnl["realised"] + pnl["unrealised"] - pnl["fees"] == pnl["total"]
    assert pnl["account_value"] - pnl["net_capital"] == pnl["total"]
    assert pnl["residue"] == 0
    balance = Decimal(said["xrp"]["balance"]) * pnl["mark"] + Decimal(said["quote"]["balance"])
    assert balance == pnl["account_value"]


def during_a_session(db: Path, *entries: tuple[str, ...]) -> tuple[list[str], dict[str, Any]]:
    """Run a session, enter capital events while it trades, and return the answers and its last word."""
    process = started_session(db, recording=EMBEDDED, speed="60", ticks=12)
    answers = [add(db, *entry) for entry in entries]
    wait_for("the inbox to be taken up", lambda: not inbox(db))
    stored = ticks_stored(db)
    wait_for("ticks after the events", lambda: ticks_stored(db) > stored + 5)
    process.terminate()
    done = finish(process)
    assert done.code == 143, done.err
    return answers, done.json


def test_without_capital_events_report_and_engine_agree(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    said = check_report(db, session(db, recording=EMBEDDED).json)
    assert (said["xrp"]["capital_overlay"], said["quote"]["capital_overlay"]) == ("100", "220")
    assert said["fills"]["count"] > 50


def test_deposits_while_a_session_runs(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    answers, printed = during_a_session(
        db, ("deposit", "XRP", "25.5"), ("deposit", "RLUSD", "31.0000000000001")
    )
    assert all("(session 1); it takes effect with its next tick" in answer for answer in answers)
    assert events(db) == [
        (1, "deposit", "XRP", "25.5", "applied"),
        (1, "deposit", "RLUSD", "31.0000000000001", "applied"),
    ]
    said = check_report(db, printed)
    assert said["xrp"]["capital_overlay"] == "125.5"
    assert said["quote"]["capital_overlay"] == "251.0000000000001"


def test_withdrawals_while_a_session_runs(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    _answers, printed = during_a_session(db, ("withdrawal", "XRP", "30"), ("withdrawal", "rlusd", "20.25"))
    assert events(db) == [
        (1, "withdrawal", "XRP", "30", "applied"),
        (1, "withdrawal", "RLUSD", "20.25", "applied"),
    ]
    said = check_report(db, printed)
    assert said["xrp"]["capital_overlay"] == "70"
    assert said["quote"]["capital_overlay"] == "199.75"


def test_a_withdrawal_of_more_than_there_is_is_refused_with_its_numbers(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    _answers, printed = during_a_session(db, ("withdrawal", "XRP", "5000"), ("withdrawal", "RLUSD", "5000"))
    assert [event[-1] for event in events(db)] == ["refused", "refused"]
    reasons = [row[0] for row in rows(db, "SELECT reason FROM capital_events WHERE status = 'refused'")]
    assert reasons[0].startswith("5000 XRP asked, ")
    assert reasons[1].startswith("5000 RLUSD asked, ")
    assert all(reason.endswith("withdraw at most that") for reason in reasons)
    said = check_report(db, printed)
    assert (said["xrp"]["capital_overlay"], said["quote"]["capital_overlay"]) == ("100", "220")
    listed = engine("capital", "list", "--db", db).out
    assert "withdrawal 5000 XRP  refused  session 1" in listed


def test_the_same_request_twice_in_a_session_changes_nothing_and_leaves_no_file(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    again = ("deposit", "XRP", "3", "--request-id", "june-1")
    _answers, printed = during_a_session(db, again, again, again)
    assert events(db) == [(1, "deposit", "XRP", "3", "applied")]
    assert check_report(db, printed)["xrp"]["capital_overlay"] == "103"
    assert add(db, *again) == "june-1: was entered before; nothing changed\n"


def test_an_event_entered_before_a_session_waits_for_it(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    assert add(db, "deposit", "XRP", "7", "--request-id", "early") == "early: waits for the next session\n"
    assert add(db, "deposit", "XRP", "7", "--request-id", "early") == (
        "early: was entered before; nothing changed\n"
    )
    assert events(db) == [(None, "deposit", "XRP", "7", "waiting")]
    said = check_report(db, session(db).json)
    assert events(db) == [(1, "deposit", "XRP", "7", "applied")]
    assert said["xrp"]["capital_overlay"] == "107"
    # A later session starts from its configuration: the event was the first one's alone.
    assert check_report(db, session(db).json)["xrp"]["capital_overlay"] == "100"


def test_an_event_asked_for_again_while_its_first_request_waits_counts_once(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    add(db, "deposit", "XRP", "7", "--request-id", "early")
    _answers, printed = during_a_session(db, ("deposit", "XRP", "7", "--request-id", "early"))
    assert events(db) == [(1, "deposit", "XRP", "7", "applied")]
    assert check_report(db, printed)["xrp"]["capital_overlay"] == "107"


def test_a_file_in_the_inbox_that_is_no_capital_event_is_put_aside_and_told(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    folder = db.with_name("neo.db.inbox")
    folder.mkdir()
    (folder / "a.json").write_text("{", encoding="utf-8")
    (folder / "b.json").write_text('{"request_id": "b", "kind": "gift"}', encoding="utf-8")
    (folder / "c.json").write_bytes(b"x" * 20_000)
    done = session(db)
    assert done.code == 0
    assert done.err.count("capital event refused") == 3
    assert [path.name for path in inbox(db)] == ["a.refused", "b.refused", "c.refused"]
    assert events(db) == []
    check_report(db, done.json)
    assert engine("capital", "list", "--db", db).out.count("unreadable, refused: ") == 3


def test_a_replay_takes_no_money_that_waits_for_a_session_of_trading(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    plain = engine("replay", "--recording", CUT, "--db", tmp_path / "plain.db", "--json").json
    add(db, "deposit", "XRP", "7", "--request-id", "early")
    replayed = engine("replay", "--recording", CUT, "--db", db, "--json").json
    assert replayed["fingerprint"] == plain["fingerprint"]
    (db.with_name("neo.db.inbox")).mkdir()
    waiting = db.with_name("neo.db.inbox") / "later.json"
    waiting.write_text("left for a session that trades", encoding="utf-8")
    engine("replay", "--recording", CUT, "--db", db, "--json")
    assert events(db) == [(None, "deposit", "XRP", "7", "waiting")]
    assert inbox(db) == [waiting]
    check_report(db, engine("replay", "--recording", CUT, "--db", db, "--json").json)


@pytest.mark.parametrize(
    ("amount", "asset", "words"),
    [
        ("0", "XRP", "must be greater than zero"),
        ("-5", "XRP", "must be greater than zero"),
        ("nan", "XRP", "--amount"),
        ("1e400", "XRP", "amount"),
        ("0.0000001", "XRP", "at most 6 decimals"),
        ("1.00000000000000001", "RLUSD", "digits"),
        ("5", "EUR", "use XRP or RLUSD"),
    ],
)
def test_an_impossible_amount_is_refused_at_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], amount: str, asset: str, words: str
) -> None:
    db = tmp_path / "neo.db"
    command = ["capital", "add", "--db", db, "--kind", "deposit", "--asset", asset, f"--amount={amount}"]
    done = in_process(capsys, engine_parser(), command)
    assert words in done.error(2)
    assert not db.exists()
