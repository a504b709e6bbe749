"""Check that the fills read from metadata add up to what accounts really own.

    python tools/check_balances.py FILE...

For every watched account of a recording: fills, fees and payments of each transaction, added up, must
equal the server's balance in every ledger that carries one: XRP to the drop; RLUSD exactly once the
rounding of the trust line is added, which may be one unit in the last place a transaction.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from neo_engine.domain.book import BookTracker
from neo_engine.domain.errors import FeedError
from neo_engine.domain.ledger import FeedEnd, LedgerUpdate
from neo_engine.feed.pace import MAX_SPEED
from neo_engine.feed.recorded import RecordedFeed
from neo_engine.ops.clock import SystemClock
from tools.recording_checks import BalanceCheck

SHOWN = 5
SILENCE_SECONDS = 3_600


def check(path: Path) -> tuple[int, int, BalanceCheck, list[str]]:
    """Return (ledgers equal, ledgers checked, the sums, differences). Raises FeedError."""
    feed = RecordedFeed(path, speed=MAX_SPEED, clock=SystemClock(), silence_after_seconds=SILENCE_SECONDS)
    equal = checked = 0
    wrong: list[str] = []
    try:
        start = feed.start()
        tracker = BookTracker(start.state)
        sums = BalanceCheck(tracker, [start.accounts[name] for name in start.watched])
        while not isinstance(item := feed.next(1.0), FeedEnd):
            if not isinstance(item, LedgerUpdate):
                continue
            sums.follow(item, tracker.close_time, tracker.transfer_rate)
            tracker.advance(item)
            found = sums.differences(item.check) + sums.token_differences(tracker, item.check)
            checked += item.check.accounts is not None
            equal += item.check.accounts is not None and not found
            wrong += [f"ledger {item.ledger_index}: {text}" for text in found]
    finally:
        feed.close()
    return equal, checked, sums, wrong


def main(arguments: list[str]) -> int:
    """Check every file named and return the exit code."""
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    failed = False
    for name in arguments:
        try:
            equal, checked, sums, wrong = check(Path(name))
        except FeedError as error:
            print(error, file=sys.stderr)
            return 2
        print(
            f"{name}: {equal} of {checked} ledgers add up; {sums.fills} fills in {sums.events} transactions;"
            f" largest rounding of a transaction {sums.rounding_max}"
        )
        for text in wrong[:SHOWN]:
            print(f"  {text}")
        failed = failed or bool(wrong) or checked == 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
