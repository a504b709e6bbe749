"""The latching kill switch as programs on the local server: what it stops, what it survives, who opens it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from neo_engine.ops.control import kill_path
from tests.e2e.helpers import Done, check_database, engine, finish, rows, start, wait_for
from tests.e2e.live_stage import FAR, Stage, Trader, furnished
from tests.e2e.server_process import Wire, server

Json = dict[str, Any]
LATCH_SECONDS = 10.0
LOOK_SECONDS = 0.01


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("kill")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))  # the account locks lie below it
        with (
            server("--market", "calm", "--speed", "12", "--admin", "--seed", "5") as running,
            Wire(running.ws) as wire,
        ):
            yield Stage(running=running, wire=wire, issuer=furnished(wire), folder=folder, said=[])


def show(one: Trader) -> Json:
    """What `kill --show --json` says."""
    done = engine("kill", "--show", "--db", one.db, "--json")
    assert done.code == 0, done.err
    return done.json


def reset(one: Trader, *more: str | int) -> Done:
    return engine("kill", "--reset", "--db", one.db, "--reason", "looked at it", *more)


class Killed(msgspec.Struct, frozen=True, kw_only=True):
    """A session that the kill file ended, and the operator's way back, in the order it went."""

    trader: Trader
    end: Done
    stood: int
    shown: Json
    text: Done
    start: Done
    flat: Done
    after_flat: Json
    unread: Done
    wrong: Done
    right: Done
    again: Done
    opened: Json


@pytest.fixture(scope="module")
def killed(stage: Stage) -> Killed:
    one = stage.trader(1, strategy=FAR)
    process = one.quoting()
    assert engine("kill", "--db", one.db, "--reason", "price looks wrong").code == 0
    end = one.ended(process)
    stood = len(one.offers())
    shown, text = show(one), engine("kill", "--show", "--db", one.db)
    refused = one.run("live", "--duration", "20s")
    flat = one.run("flatten")
    after_flat = show(one)
    unread, wrong = reset(one), reset(one, "--seen", 2)
    right = reset(one, "--seen", 1)
    again = one.ended(one.begin(duration="20s"))
    return Killed(
        trader=one,
        end=end,
        stood=stood,
        shown=shown,
        text=text,
        start=refused,
        flat=flat,
        after_flat=after_flat,
        unread=unread,
        wrong=wrong,
        right=right,
        again=again,
        opened=show(one),
    )


def test_a_kill_in_mid_session_leaves_no_offer_and_latches_with_its_reason(killed: Killed) -> None:
    assert (killed.end.code, killed.end.json["halt_reason"]) == (4, "kill_switch")
    assert killed.stood == 0
    assert (killed.shown["in_force"], killed.shown["number"]) == (True, 1)
    assert [(one["reason"], one["detail"]) for one in killed.shown["reasons"]] == [
        ("kill_switch", "file: price looks wrong")
    ]
    assert killed.shown["against_reset"] == []
    assert "IN FORCE until " in killed.text.out
    assert "kill_switch: file: price looks wrong" in killed.text.out
    assert "--seen 1" in killed.text.out


def test_live_is_refused_with_reason_and_fix_and_sends_nothing(killed: Killed) -> None:
    assert killed.start.code == 3
    assert killed.start.out == ""
    assert "kill switch is in force until " in killed.start.err
    assert "file: price looks wrong" in killed.start.err
    assert "kill --reset" in killed.start.err
    one = killed.trader
    found = rows(one.db, "SELECT session_id, halt_reason FROM sessions ORDER BY session_id")
    assert [reason for _number, reason in found] == [
        *("kill_switch", "startup_failure", "duration_elapsed", "duration_elapsed")
    ]
    assert rows(one.db, "SELECT count(*) FROM ticks WHERE session_id = ?", found[1][0]) == [(0,)]


def test_flatten_is_allowed_and_opens_nothing(killed: Killed) -> None:
    assert (killed.flat.code, killed.flat.json["flat"]) == (0, True)
    assert killed.after_flat["in_force"] is True
    assert killed.after_flat["reasons"] == killed.shown["reasons"]


def test_a_reset_by_one_who_has_not_seen_the_newest_reason_is_refused(killed: Killed) -> None:
    for done in (killed.unread, killed.wrong):
        assert done.code == 4
        assert done.out == ""
        assert "reasons unread" in done.err
        assert "number 1" in done.err


def test_after_a_reset_the_backup_has_the_latch_and_live_starts_again(killed: Killed) -> None:
    assert killed.right.code == 0, killed.right.err
    backup = Path(killed.right.out.split("backup: ")[1].strip())
    kept = rows(backup, "SELECT value FROM engine_state WHERE key = 'kill.latch'")
    assert "price looks wrong" in kept[0][0]
    assert (killed.again.code, killed.again.json["halt_reason"]) == (0, "duration_elapsed"), killed.again.err
    assert killed.again.json["ledgers"] > 1
    assert (killed.opened["in_force"], killed.opened["reasons"]) == (False, [])
    assert killed.opened["last_reset"]["reason"] == "looked at it"
    assert killed.opened["last_reset"]["forced"] is False
    check_database(killed.trader.db)


def test_the_latch_survives_kill_9_right_after_the_tick_that_halts(stage: Stage) -> None:
    one = stage.trader(2, strategy=FAR)
    process = one.quoting()
    asked = start(["-m", "neo_engine", "kill", "--db", one.db, "--reason", "enough"])
    kill_once_latched(one, process)
    assert finish(asked).code == 0
    told = show(one)
    assert (told["in_force"], [one["detail"] for one in told["reasons"]]) == (True, ["file: enough"])
    refused = one.run("live", "--duration", "20s")
    assert refused.code == 3
    assert "in force until" in refused.err
    assert rows(one.db, "SELECT halt_reason FROM sessions WHERE session_id = 1") == [("unexpected_halt",)]

    kept = reset(one, "--seen", 1)
    assert kept.code == 4
    assert str(kill_path(one.db)) in kept.err, "the kill file that nobody took away was not named"
    kill_path(one.db).unlink()
    assert one.run("flatten").json["flat"] is True
    assert one.offers() == []
    assert reset(one, "--seen", 1).code == 0
    again = one.ended(one.begin(duration="20s"))
    assert again.code == 0, again.err


def kill_once_latched(one: Trader, process: subprocess.Popen[str]) -> None:
    """End the session's process by SIGKILL as soon as its latch is on disk."""
    limit = time.monotonic() + LATCH_SECONDS
    while not rows(one.db, "SELECT value FROM engine_state WHERE key = 'kill.latch'"):
        assert time.monotonic() < limit, "the session did not latch"
        time.sleep(LOOK_SECONDS)
    process.kill()
    process.communicate()
    open_sessions = rows(one.db, "SELECT count(*) FROM sessions WHERE ended_at IS NULL")
    assert open_sessions == [(1,)], "the session had ended before it was killed"


def test_a_running_session_is_not_reset(stage: Stage) -> None:
    one = stage.trader(3, strategy=FAR)
    process = one.quoting()
    done = reset(one, "--force")
    assert done.code == 3
    assert str(process.pid) in done.err
    assert engine("kill", "--db", one.db).code == 0
    ended = one.ended(process)
    assert ended.json["halt_reason"] == "kill_switch"
    wait_for("no offer", lambda: not one.offers())
    forced = reset(one, "--force")
    assert forced.code == 0, forced.err
    assert "overridden: reasons unread" in forced.out
    assert show(one)["last_reset"]["forced"] is True


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--reset",), "--reason missing"),
        (("--reset", "--reason", " "), "--reason missing"),
        (("--force",), "belong to --reset"),
        (("--show", "--seen", "1"), "belong to --reset"),
        (("--json",), "belongs to --show"),
        (("--show", "--reset", "--reason", "x"), "not allowed with"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    assert said in engine("kill", "--db", tmp_path / "neo.db", *options).error(2)


def test_a_database_that_is_not_there_is_named(tmp_path: Path) -> None:
    for options in (("--show",), ("--reset", "--reason", "x")):
        assert "no such file" in engine("kill", "--db", tmp_path / "neo.db", *options).error(3)
    assert not list(tmp_path.iterdir())
