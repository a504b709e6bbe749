"""Ledgers from a recording (format 1): a header line with a state, then one line a ledger.

`start()` reads the header; `next()` gives, in the feed's own order, ledgers, faults, silences and at
last the end. Nothing in a file can make it raise after `start()`: what is wrong becomes a typed
`LedgerFault` with its line, is counted in `fault_counts`, and the reading goes on where it can.

What happens for each fault:

* A line that is no JSON, lacks a field, has a wrong type, an impossible number (NaN, infinite,
  negative, more digits than the ledger holds), a transaction that is not validated or belongs to
  another ledger, or two transactions in one place: the whole line is dropped. The next good line
  is then a gap, as if the dropped ledger had never been seen.
* A ledger seen before (duplicate) or older than the last one (out of order): dropped.
* A gap in ledger indexes, or fewer transactions than the ledger counts: the fault is given first,
  then the ledger. The tracker that applies it is untrusted from there on, and this feed attaches the
  server's own lists (`LedgerUpdate.resync`) to the next ledger that carries them; the gap's fault
  says `resync=True` when that is the same line. `request_resync()` asks for the same after a chain
  break that only the tracker can see.
* The server's lists cannot be decoded: a fault; the next line that has lists is tried.
* The server's lists have the best funded ask below the best funded bid: a fault, no resync from them.
* Transactions out of order: sorted, with a fault. A close time that does not increase, or leaps by
  more than two hours a ledger: a fault, and the ledger gets the least time the rules allow, parent + 1 s.
* The compressed file ends in the middle or is damaged: a fault, then the end.

Feed time is the ledgers' close time. Speed `real` gives a ledger when as much time has passed as
between close times, a number N does so N times as fast, `max` does not wait. A hole of more than
`silence_after_seconds` between two ledgers yields a `FeedSilence` every so many seconds of feed
time, from the close times alone, so a replay is silent at the same places.
"""

from __future__ import annotations

from collections import Counter, deque
from pathlib import Path

from msgspec.structs import replace

from neo_engine.domain.book_state import exact_product
from neo_engine.domain.errors import FeedError
from neo_engine.domain.ledger import (
    BookSnapshot,
    FeedEnd,
    FeedSilence,
    FeedStart,
    LedgerFault,
    LedgerFaultKind,
    LedgerUpdate,
)
from neo_engine.domain.link import CONNECTED
from neo_engine.domain.number import ONE
from neo_engine.feed.faults import DECODE_ERRORS, FaultLog, in_order, kind_of
from neo_engine.feed.lines import LineReader
from neo_engine.feed.pace import Pace, PaceClock
from neo_engine.xrpl.codec import Codec
from neo_engine.xrpl.state import pair_of, snapshot_of, state_of, update_of_line
from neo_engine.xrpl.wire import LedgerLine, header_decoder, line_decoder

FeedItem = LedgerUpdate | LedgerFault | FeedSilence | FeedEnd

MAX_CLOSE_TIME_LEAP_SECONDS = 7_200  # the main network's longest halt took about an hour (February 2025)
ERROR_TEXT_LIMIT = 200  # characters of a decoding error that a message repeats
FIX = "name another file with --recording"


class RecordedFeed:
    """A recording as a feed. `speed`: feed seconds per second of the clock, None for no waiting."""

    link = CONNECTED  # a file has no connection to lose

    def __init__(
        self, path: Path, *, speed: float | None, clock: PaceClock, silence_after_seconds: int
    ) -> None:
        if silence_after_seconds <= 0:
            raise FeedError(f"silence_after_seconds is {silence_after_seconds}; it must be above 0")
        self._path = path
        self._pace = Pace(speed, clock)
        self._silence_after = silence_after_seconds
        self._faults = FaultLog()
        self._reader: LineReader | None = None
        self._codec: Codec | None = None
        self._line = 0
        self._ready: deque[FeedItem] = deque()
        self._last_index = 0
        self._last_time = 0
        self._silent_until = 0
        self._resync_wanted = False
        self._end: FeedEnd | None = None

    @property
    def fault_counts(self) -> Counter[LedgerFaultKind]:
        """How many faults of each kind this feed has given."""
        return self._faults.counts

    def start(self) -> FeedStart:
        """Read the header. Raises FeedError naming the file, the line and the fix if it is no recording."""
        self._reader = LineReader(self._path)
        try:
            start = self._read_header(self._reader)
        except FeedError:
            self.close()
            raise
        self._codec = Codec(pair=start.pair)
        self._last_index, self._last_time = start.ledger_index, start.close_time
        self._silent_until = start.close_time
        self._pace.begin(start.close_time)
        return start

    def _read_header(self, reader: LineReader) -> FeedStart:
        where = f"recording {self._path}, line 1"
        data = reader.next_line()
        self._line = 1
        if data is None:
            why = reader.failure.text if reader.failure is not None else "the file is empty"
            raise FeedError(f"{where}: {why}; {FIX}")
        try:
            header = header_decoder.decode(data)
            if header.type != "header":
                raise FeedError(f"{where}: type is {header.type!r}, not 'header'; {FIX}")
            pair = pair_of(header)
            state = state_of(pair, header.start_ledger, header.state, header.complete)
        except DECODE_ERRORS as error:
            why = str(error)[:ERROR_TEXT_LIMIT]
            raise FeedError(f"{where}: no header of recording format 1 ({why}); {FIX}") from error
        return FeedStart(
            pair=pair,
            accounts=header.accounts,
            watched=tuple(header.watched),
            state=state,
            ledger_index=state.ledger_index,
            close_time=state.close_time,
            build_version=header.build_version,
            source=str(self._path),
        )

    def next(self, timeout_seconds: float) -> FeedItem | None:
        """Return the next item; None if it is not due within `timeout_seconds` of the clock.

        After the end it gives the end again. Raises FeedError when called before `start`.
        """
        while not self._ready:
            if self._end is not None:
                return self._end
            self._read_one()
        item = self._ready[0]
        if isinstance(item, LedgerUpdate):
            silence = self._silence_before(item)
            due = item.close_time if silence is None else silence.close_time
            if not self._pace.wait_for(due, timeout_seconds):
                return None
            if silence is not None:
                self._silent_until = silence.close_time
                return silence
            self._last_time = self._silent_until = item.close_time
        self._ready.popleft()
        return item

    def request_resync(self) -> None:
        """Attach the server's own lists to the next ledger that carries them."""
        self._resync_wanted = True

    def close(self) -> None:
        """Stop reading and close the file; may be called twice."""
        if self._reader is not None:
            self._reader.close()

    def _silence_before(self, update: LedgerUpdate) -> FeedSilence | None:
        silent = self._silent_until + self._silence_after
        return FeedSilence(close_time=silent) if silent < update.close_time else None

    # -- reading ------------------------------------------------------------------------------

    def _read_one(self) -> None:
        """Read one line and queue what it gives."""
        reader, codec = self._reader, self._codec
        if reader is None or codec is None:
            raise FeedError(f"recording {self._path}: start() must be called before next()")
        data = reader.next_line()
        self._line += 1
        if data is None:
            self._finish(reader)
            return
        if not data.strip():
            return  # an empty line says nothing, such as the one after the last newline
        try:
            line = line_decoder.decode(data)
            self._queue(codec, line, update_of_line(codec, line, self._line))
        except DECODE_ERRORS as error:
            self._fault(kind_of(error), 0, f"the line was dropped: {error}")

    def _finish(self, reader: LineReader) -> None:
        failure = reader.failure
        detail = f"{self._path}: {self._line - 1} lines read"
        if failure is not None:
            self._fault(failure.kind, self._last_index, failure.text)
            detail = failure.text
        self._end = FeedEnd(close_time=self._last_time, detail=detail)

    def _fault(self, kind: LedgerFaultKind, ledger_index: int, text: str, *, resync: bool = False) -> None:
        self._ready.append(self._faults.make(kind, self._line, ledger_index, text, resync=resync))

    def _queue(self, codec: Codec, line: LedgerLine, update: LedgerUpdate) -> None:
        """Check one ledger against the ones before it and queue it with its faults."""
        kinds = LedgerFaultKind
        index = update.ledger_index
        if line.type != "ledger":
            self._fault(kinds.WRONG_TYPE, 0, f"the line was dropped: its type is {line.type!r}, not 'ledger'")
            return
        if index <= self._last_index:
            kind = kinds.DUPLICATE_LEDGER if index == self._last_index else kinds.OUT_OF_ORDER_LEDGER
            self._fault(
                kind, index, f"ledger {index} was dropped: ledger {self._last_index} was seen already"
            )
            return
        foreign = self._foreign(line)
        if foreign:
            self._fault(kinds.NOT_VALIDATED, index, f"ledger {index} was dropped: {foreign}")
            return
        transactions, disorder = in_order(update.transactions)
        if disorder:
            self._fault(kinds.TRANSACTION_ORDER, index, f"ledger {index}: {disorder}")
        if transactions is None:
            return
        missing = line.ledger.txn_count > len(transactions)
        gap = index != self._last_index + 1
        self._resync_wanted = self._resync_wanted or missing or gap
        snapshot = self._snapshot(codec, update) if self._resync_wanted else None
        repaired = snapshot is not None
        if gap:
            text = f"ledger {index} follows {self._last_index}: {index - self._last_index - 1} are missing"
            self._fault(kinds.LEDGER_GAP, index, text, resync=repaired)
        if missing:
            text = f"ledger {index} counts {line.ledger.txn_count} transactions, {len(transactions)} are here"
            self._fault(kinds.TRANSACTION_MISSING, index, text, resync=repaired)
        close_time = self._believable_time(update)
        self._last_index = index
        self._resync_wanted = self._resync_wanted and not repaired
        if disorder or missing or repaired or close_time != update.close_time:
            update = replace(
                update,
                transactions=transactions,
                close_time=close_time,
                resync=snapshot,
                incomplete=missing,
            )
        self._ready.append(update)

    def _foreign(self, line: LedgerLine) -> str:
        """Return why the line holds a transaction that is not a validated one of its ledger, or ""."""
        for message in line.transactions:
            if not message.validated:
                return f"transaction {message.hash} is not validated"
            if message.ledger_index not in (0, line.ledger.ledger_index):
                return f"transaction {message.hash} belongs to ledger {message.ledger_index}"
        return ""

    def _believable_time(self, update: LedgerUpdate) -> int:
        leap = update.close_time - self._last_time
        if 0 < leap <= MAX_CLOSE_TIME_LEAP_SECONDS * (update.ledger_index - self._last_index):
            return update.close_time
        text = f"ledger {update.ledger_index}: close time {update.close_time} after {self._last_time}"
        self._fault(LedgerFaultKind.CLOSE_TIME, update.ledger_index, text)
        return self._last_time + 1

    def _snapshot(self, codec: Codec, update: LedgerUpdate) -> BookSnapshot | None:
        try:
            snapshot = snapshot_of(codec, update.check)
        except DECODE_ERRORS as error:
            self._fault(kind_of(error), update.ledger_index, f"the server's lists cannot be used: {error}")
            return None
        if snapshot is not None and _crossed(snapshot):
            text = f"ledger {update.ledger_index}: the server's lists cross, so they are not used"
            self._fault(LedgerFaultKind.CROSSED_PRICES, update.ledger_index, text)
            return None
        return snapshot


def _crossed(snapshot: BookSnapshot) -> bool:
    """True if the best funded ask lies below the best funded bid.

    Only an owner's best offer carries his funds; an offer with funds for less than all of it is not
    asked about, since it may be dust that the ledger would clear away.
    """
    asks = [one.offer for one in snapshot.asks if one.owner_funds and one.owner_funds >= one.offer.base_drops]
    bids = [one.offer for one in snapshot.bids if one.owner_funds and one.owner_funds >= one.offer.quote]
    # Asks count quote per drop, bids drops per quote: prices cross when the product is below 1.
    return bool(asks and bids) and exact_product(asks[0].rate, bids[0].rate) < ONE
