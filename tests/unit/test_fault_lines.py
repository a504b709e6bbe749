"""A source that sends nonsense all the time: every piece is a row, the log has a line a minute."""

from __future__ import annotations

import pytest

from neo_engine.domain.ledger import LedgerFault, LedgerFaultKind
from neo_engine.fault_lines import EVERY_SECONDS, FaultLines
from tests.unit.test_main_loop import desk, end, ledger

JSON, FIELD = LedgerFaultKind.MALFORMED_JSON, LedgerFaultKind.MISSING_FIELD


def fault(kind: LedgerFaultKind, line: int = 3) -> LedgerFault:
    return LedgerFault(kind=kind, line=line, ledger_index=0, text="nonsense")


def test_each_kind_has_a_line_a_minute_and_the_next_one_counts_those_held_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines = FaultLines()
    for now, kind in ((0, JSON), (1, JSON), (2, FIELD), (EVERY_SECONDS - 1, JSON), (EVERY_SECONDS, JSON)):
        lines.tell(fault(kind), now)
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "feed fault malformed_json at line 3: nonsense",
        "feed fault missing_field at line 3: nonsense",
        "feed fault malformed_json at line 3: nonsense (and 2 more of this kind since the last line)",
    ]


def test_a_flood_of_nonsense_is_stored_whole_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    flood = [fault(JSON, line) for line in range(10)]
    d = desk(ledger(1), *flood, ledger(2), end(2))
    d.run()
    stored = [one for record in d.store.intents for one in record.faults]
    assert len(stored) == 10
    assert caplog.text.count("feed fault malformed_json") == 1
