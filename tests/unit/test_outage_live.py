"""The live engine on the model network while its database fails: offers gone, books right, replay equal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from neo_engine.domain.errors import InvariantViolation, StateError
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.orders import PreparedTransaction, SubmitOutcome
from neo_engine.live_replay import play_journal
from neo_engine.outage import STORE_RETRIES
from neo_engine.rehearsal.between import Between
from neo_engine.rehearsal.points import INTENT_BEFORE, OUTCOME_BEFORE
from neo_engine.rehearsal.world import Rehearsal
from neo_engine.session import TickView
from neo_engine.simulator.model import keys
from tests.e2e.helpers import rows
from tests.unit.test_rehearsal import booked, held, world
from tools.check_crash import problems

pytestmark = pytest.mark.slow


class Disk:
    """Refuses `times` commits of a kind from a ledger of the world on, and looks at the book meanwhile."""

    def __init__(self, one: Rehearsal, what: str, ledger: int, times: int) -> None:
        self.one = one
        self.what = what
        self.times = times
        self.standing: list[int] = []
        self._open = False
        one.at_ledger(ledger, self._break)

    def _break(self) -> None:
        self._open = True

    def point(self, name: str) -> None:
        if name != self.what or not self._open or not self.times:
            return
        self.times -= 1
        self.standing.append(offers(self.one))
        raise StateError("the disk is full")


def unseen(_view: TickView) -> None:
    """Look at no tick."""


def offers(one: Rehearsal) -> int:
    """How many offers our account has on the ledger now."""
    return sum(
        entry.get("LedgerEntryType") == "Offer" and entry.get("Account") == one.account
        for entry in one.network.chain.state.entries.values()
    )


@pytest.mark.parametrize("seed", [3, 4, 5])
@pytest.mark.parametrize("what", [INTENT_BEFORE, OUTCOME_BEFORE])
def test_offers_are_gone_while_the_database_fails_and_the_books_are_right_after_it(
    seed: int, what: str, tmp_path: Path
) -> None:
    one, db = world("hostile", seed=seed), tmp_path / "neo.db"
    disk = Disk(one, what, 10, 2 * STORE_RETRIES + 5)
    done = one.session(db, ledgers=40, point=disk.point, journal=tmp_path / "neo.journal")
    assert done.session.halt.reason is HaltReason.DURATION_ELAPSED
    assert disk.times == 0
    assert disk.standing[-1] == 0  # the ledger has confirmed every cancel by then
    assert done.left == ()
    assert booked(done.session.summary) == held(one)
    assert problems(db) == []
    gates = rows(db, "SELECT count(*) FROM ticks WHERE gates LIKE '%Storage%'")
    assert gates == [(1,)]
    assert keys.account_root(one.account) in one.network.chain.state.entries
    again = play_journal(tmp_path / "neo.journal", tmp_path / "again.db", one.clock, lambda _config: unseen)
    assert again == replace(done.session, session_id=again.session_id)


def test_cancels_that_a_busy_server_refuses_in_an_outage_are_sent_until_it_takes_them(tmp_path: Path) -> None:
    one, db = world("calm", seed=3), tmp_path / "neo.db"
    disk = Disk(one, INTENT_BEFORE, 10, STORE_RETRIES + 6)
    looked = disk.point

    def point(name: str) -> None:
        last_try = disk.times == 7  # the pull comes next
        try:
            looked(name)
        except StateError:
            if last_try:
                one.faults.command(one.network, {"name": "slow_down", "for": "4 requests"})
            raise

    done = one.session(db, ledgers=40, point=point)
    assert disk.times == 0
    assert disk.standing[STORE_RETRIES - 1] == 2
    assert disk.standing[STORE_RETRIES] == 2  # refused: they stand on
    assert disk.standing[-1] == 0  # sent again while no ledger was read and nothing could be stored
    assert done.session.halt.reason is HaltReason.DURATION_ELAPSED
    assert (done.left, problems(db)) == ((), [])
    assert booked(done.session.summary) == held(one)


def test_a_transaction_that_was_sent_cannot_be_withdrawn_from_a_live_exchange(tmp_path: Path) -> None:
    one = world()
    seen: list[str] = []

    class Impatient(Between):
        def submit(self, prepared: Sequence[PreparedTransaction]) -> tuple[SubmitOutcome, ...]:
            outcomes = super().submit(prepared)
            try:
                self.withdraw(prepared)
            except InvariantViolation as error:
                seen.append(str(error))
            return outcomes

    one.session(tmp_path / "neo.db", ledgers=8, between=Impatient)
    assert seen
    assert all("it was sent" in text for text in seen)
