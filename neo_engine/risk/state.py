"""What the risk gate remembers between ticks, what it is told, and what it answers."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from neo_engine.domain.halt import Halt
from neo_engine.domain.market import DataFault
from neo_engine.domain.records import Gate


class RiskState(msgspec.Struct, frozen=True, kw_only=True):
    """The monitors' memory.

    start_value: net capital (RLUSD) when the first mark was known. peak_value: highest account value
    net of later capital events. feed_failures: faulty messages since the last good ledger.
    unhealthy_ticks: ledgers in a row whose data were not to be trusted. last_ledger_time: close time
    of the newest ledger, seconds since 2000-01-01; before the first, of the one the feed starts from.
    """

    start_value: Decimal | None
    peak_value: Decimal | None
    feed_failures: int
    unhealthy_ticks: int
    last_ledger_time: int


def initial_state(close_time: int) -> RiskState:
    """Return the memory of a session that has seen nothing; close_time: of the feed's starting ledger."""
    return RiskState(
        start_value=None, peak_value=None, feed_failures=0, unhealthy_ticks=0, last_ledger_time=close_time
    )


class RiskObservation(msgspec.Struct, frozen=True, kw_only=True):
    """What a tick saw. close_time: of its ledger, None when none came (silence or a fault).

    feed_faults: faulty messages since the last tick, before this tick's ledger. data_faults: of its
    snapshot. kill: the operator's requests, each as `source: reason`.
    """

    close_time: int | None
    feed_faults: int
    data_faults: tuple[DataFault, ...]
    kill: tuple[str, ...]


class RiskAssessment(msgspec.Struct, frozen=True, kw_only=True):
    """The monitors' answer: new memory, a halt or None, gates that close sides, drawdown in percent."""

    state: RiskState
    halt: Halt | None
    gates: tuple[Gate, ...]
    drawdown_pct: Decimal
