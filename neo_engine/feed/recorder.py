"""Writes recordings of format 1 (feed/recorded.py reads them) from a running network.

A recording is one or more files, each whole by itself: a header with the state of a ledger, then one line for
each ledger after it. A new part begins where one grows beyond the limit, where ledgers are missing that
no server has any more, and with each start; it takes up where the last one ended as long as the server still
holds that state.

Every line is a gzip member of its own, written by one call. A process killed at any moment leaves files that
read to their last whole line, and nothing is ever appended to a file that somebody may have half written.
The messages of the streams go in byte for byte, so that nothing they say is lost or rounded.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from neo_engine.domain.errors import FeedError
from neo_engine.event_log import say
from neo_engine.feed.live import REQUEST_ERRORS, LedgerSource, started_source, told_event, without_secrets
from neo_engine.ports import Clock
from neo_engine.xrpl.bundles import LedgerBundle
from neo_engine.xrpl.gateway import EventKind, GatewayEvent
from neo_engine.xrpl.snapshot import AtLedger, OtherLedger, Snapshot, owner_entries, take_snapshot

POLL_SECONDS = 0.25  # how long a signal can wait while nothing comes
SUFFIXES = (".jsonl.gz", ".jsonl", ".gz")
PARTS_MAX = 100_000
OPEN_ATTEMPTS = 5  # ledgers in a row whose state cannot be had: then the server keeps too little
PACK_LEVEL = 6


class RecorderOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to record. out: the first part; accounts: names -> addresses watched.

    currency: the token's ledger code; issuer None: found on the network. check_every: the server's own lists
    are asked for every so many ledgers, 0 for never. part_bytes: size at which a new part begins, None for
    no limit. seconds: of ledger time and at most of the clock's, None for no end.
    """

    out: Path
    currency: str
    issuer: str | None
    accounts: dict[str, str]
    check_every: int
    part_bytes: int | None
    seconds: int | None


class RecordSummary(msgspec.Struct, kw_only=True):
    """What was recorded. gaps: missing ledgers; checks: lines with the server's lists; failure: "" or why."""

    parts: list[str] = msgspec.field(default_factory=list)
    complete: bool = True
    ledgers: int = 0
    transactions: int = 0
    backfilled: int = 0
    gaps: int = 0
    checks: int = 0
    checks_failed: int = 0
    bytes: int = 0
    first_ledger: int | None = None
    last_ledger: int | None = None
    failure: str = ""


class _Part:
    """One file. Raises FeedError for a file that cannot be made or written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = 0
        try:
            self._file = path.open("xb", buffering=0)
        except OSError as error:
            raise self._failed(error) from error

    def write(self, line: bytes) -> int:
        """Append a line and return how many bytes it took."""
        # A newline inside a message can only be white space between its parts.
        packed = gzip.compress(line.replace(b"\n", b" ") + b"\n", PACK_LEVEL, mtime=0)
        rest = memoryview(packed)
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            raise self._failed(error) from error
        self.bytes += len(packed)
        return len(packed)

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._file.close()

    def _failed(self, error: OSError) -> FeedError:
        return FeedError(
            f"--out {self.path}: cannot be written ({error.strerror}); free space or name another file"
        )


def part_path(out: Path, number: int) -> Path:
    """Return the name of a part: my.jsonl.gz, my.2.jsonl.gz, my.3.jsonl.gz..."""
    if number == 1:
        return out
    suffix = next((one for one in SUFFIXES if out.name.endswith(one)), out.suffix)
    return out.with_name(f"{out.name.removesuffix(suffix)}.{number}{suffix}")


class Recorder:
    """Records from a source that is not started yet. `run` once."""

    def __init__(self, source: LedgerSource, options: RecorderOptions, clock: Clock) -> None:
        self._source = source
        self._options = options
        self._clock = clock
        self._part: _Part | None = None
        self._next_number = 1
        self._snapshot: Snapshot | None = None
        self._last_index = 0
        self._begun: int | None = None
        self._last_time = 0
        self._not_opened = 0
        self.summary = RecordSummary()

    def run(self, stop: Callable[[], bool]) -> RecordSummary:
        """Record until `stop()` or the time is over, or every server is given up (`failure` says so).

        Raises StartupFailure when no server can be reached, FeedError when its state cannot be had or the
        file not be written.
        """
        since = self._clock.monotonic()
        limit = self._options.seconds
        try:
            started_source(self._source)
            while not (stop() or self._is_over(self._clock.monotonic() - since, limit)):
                item = self._source.next(POLL_SECONDS)
                if isinstance(item, LedgerBundle):
                    self._ledger(item)
                elif item is not None and not self._goes_on(item):
                    break
        finally:
            if self._part is not None:
                self._part.close()
            self._source.close()
        return self.summary

    def _is_over(self, clock_seconds: float, limit: int | None) -> bool:
        if limit is None:
            return False
        passed = 0 if self._begun is None else self._last_time - self._begun
        return passed >= limit or clock_seconds >= limit

    def _goes_on(self, event: GatewayEvent) -> bool:
        text = told_event(event)
        calm = event.kind in (EventKind.CONNECTED, EventKind.HEALTHY)
        (say.info if calm else say.warning)(f"gateway_{event.kind.value}", "{}", text)
        if event.kind is EventKind.FAILED:
            self.summary.failure = text
            return False
        return True

    # -- one ledger ---------------------------------------------------------------------------

    def _ledger(self, bundle: LedgerBundle) -> None:
        index, told = bundle.closed.ledger_index, self.summary
        if index <= self._last_index:
            return
        limit = self._options.part_bytes
        full = self._part is not None and limit is not None and self._part.bytes >= limit
        if self._part is None or full or index != self._last_index + 1:
            self._open(index - 1)
        part = self._part
        if part is None or index != self._last_index + 1:
            return  # the state that could be had is of another ledger; the one after it will come
        told.bytes += part.write(self._line(bundle))
        told.ledgers += 1
        told.transactions += len(bundle.transactions)
        told.backfilled += bundle.backfilled
        told.first_ledger = told.first_ledger or index
        told.last_ledger = self._last_index = index
        self._last_time = bundle.closed.ledger_time

    def _line(self, bundle: LedgerBundle) -> bytes:
        parts = [b'{"type":"ledger","ledger":', bundle.raw_closed, b',"transactions":[']
        parts += [b",".join(bundle.transactions), b"]"]
        every = self._options.check_every
        if every and self.summary.ledgers % every == 0:
            parts += self._check(bundle)
        return b"".join([*parts, b"}"])

    def _check(self, bundle: LedgerBundle) -> list[bytes]:
        """Return the server's lists as further members of the line; none when they cannot be had."""
        closed, snapshot = bundle.closed, self._snapshot
        if snapshot is None:
            return []
        at = AtLedger(self._source, closed.ledger_index, closed.ledger_hash)
        try:
            check = at.check(snapshot.pair)
            accounts = msgspec.json.encode(at.watched(self._options.accounts.values()))
        except (*REQUEST_ERRORS, KeyError, TypeError) as error:
            self.summary.checks_failed += 1
            why = without_secrets(str(error))
            say.warning(
                "lists_unavailable",
                "ledger {ledger_index}: recorded without the server's lists: {}",
                why,
                ledger_index=closed.ledger_index,
            )
            return []
        self.summary.checks += 1
        told = [(b"asks", check.asks), (b"bids", check.bids), (b"amm", check.pool), (b"accounts", accounts)]
        return [b"".join((b',"', name, b'":', data or b"null")) for name, data in told]

    # -- parts --------------------------------------------------------------------------------

    def _open(self, wanted: int) -> None:
        """Begin a part with the state of ledger `wanted`, or a later one where that cannot be had."""
        options, told = self._options, self.summary
        before = self._last_index
        try:
            snapshot, entries = self._state(wanted)
        except REQUEST_ERRORS as error:
            self._not_opened += 1
            why = without_secrets(str(error))
            if self._not_opened >= OPEN_ATTEMPTS:
                raise FeedError(
                    f"the state of ledger {wanted} cannot be had ({why}); use another --endpoint"
                ) from error
            say.warning(
                "state_unavailable",
                "ledger {ledger_index}: no state to begin a part with: {}",
                why,
                ledger_index=wanted,
                attempt=self._not_opened,
                attempts_max=OPEN_ATTEMPTS,
            )
            return
        self._not_opened = 0
        start = snapshot.start
        if self._part is not None:
            self._part.close()
        self._part = self._new_part()
        self._snapshot = snapshot
        self._last_index = start.ledger_index
        if self._begun is None:
            self._begun = self._last_time = start.close_time
        told.gaps += max(0, start.ledger_index - before) if before else 0
        told.complete = told.complete and snapshot.complete
        told.parts.append(str(self._part.path))
        told.bytes += self._part.write(msgspec.json.encode(_header(options, snapshot, entries)))
        say.info(
            "recording_part_begins",
            "recording into {} from ledger {ledger_index} on",
            self._part.path,
            ledger_index=start.ledger_index + 1,
        )

    def _state(self, wanted: int) -> tuple[Snapshot, tuple[dict[str, Any], ...]]:
        options, clock = self._options, self._clock
        try:
            snapshot = take_snapshot(
                self._source, options.currency, options.issuer, clock, ledger_index=wanted
            )
        except OtherLedger as error:
            say.warning("state_of_another_ledger", "{}; taking the last validated one", error, wanted=wanted)
            snapshot = take_snapshot(self._source, options.currency, options.issuer, clock)
        if snapshot.complete:
            return snapshot, snapshot.entries
        return snapshot, snapshot.entries + owner_entries(self._source, snapshot)

    def _new_part(self) -> _Part:
        while self._next_number < PARTS_MAX:
            path = part_path(self._options.out, self._next_number)
            self._next_number += 1
            if not path.exists():
                return _Part(path)
        raise FeedError(f"--out {self._options.out}: {PARTS_MAX} parts are there already; name another file")


def _header(
    options: RecorderOptions, snapshot: Snapshot, entries: tuple[dict[str, Any], ...]
) -> dict[str, Any]:
    quote = snapshot.pair.quote
    return {
        "type": "header",
        "build_version": snapshot.build_version,
        "pair": {"base": {"currency": "XRP"}, "quote": {"currency": quote.currency, "issuer": quote.issuer}},
        "accounts": options.accounts,
        "watched": list(options.accounts),
        "start_ledger": msgspec.to_builtins(snapshot.start),
        "complete": snapshot.complete,
        "state": entries,
    }
