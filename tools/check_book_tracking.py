"""Check a recording's tracked market against the server's own answers in it.

    python tools/check_book_tracking.py FILE...

After every ledger both books (order and every field), the pool and the watched accounts are compared
with what the server said. Prints `N of N ledgers equal` a file, up to five differences, and returns 1
if anything differs or the file has faults.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from neo_engine.domain.book import BookTracker
from neo_engine.domain.errors import FeedError
from neo_engine.domain.ledger import FeedEnd, LedgerFault, LedgerUpdate
from neo_engine.feed.pace import MAX_SPEED
from neo_engine.feed.recorded import RecordedFeed
from neo_engine.ops.clock import SystemClock
from tools.recording_checks import account_differences, book_differences

SHOWN = 5
SILENCE_SECONDS = 3_600


def check(path: Path) -> tuple[int, int, list[str]]:
    """Return (ledgers equal, ledgers with check data, differences and faults). Raises FeedError."""
    feed = RecordedFeed(path, speed=MAX_SPEED, clock=SystemClock(), silence_after_seconds=SILENCE_SECONDS)
    equal = checked = 0
    wrong: list[str] = []
    try:
        tracker = BookTracker(feed.start().state)
        while not isinstance(item := feed.next(1.0), FeedEnd):
            if isinstance(item, LedgerFault):
                wrong.append(f"line {item.line}: {item.kind.value}: {item.text}")
            if not isinstance(item, LedgerUpdate):
                continue
            found = [f"{fault.kind.value}: {fault.text}" for fault in tracker.advance(item)]
            if item.check.asks is not None:
                checked += 1
                found += book_differences(tracker, item.check) + account_differences(tracker, item.check)
                equal += not found
            wrong += [f"ledger {item.ledger_index}: {text}" for text in found]
    finally:
        feed.close()
    return equal, checked, wrong


def main(arguments: list[str]) -> int:
    """Check every file named and return the exit code."""
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    failed = False
    for name in arguments:
        try:
            equal, checked, wrong = check(Path(name))
        except FeedError as error:
            print(error, file=sys.stderr)
            return 2
        print(f"{name}: {equal} of {checked} ledgers equal")
        for text in wrong[:SHOWN]:
            print(f"  {text}")
        failed = failed or bool(wrong) or checked == 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
