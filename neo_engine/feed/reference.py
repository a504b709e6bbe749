"""Another market's price from a CSV file that somebody else writes: `time,price`, one row a line.

    time,price
    2026-11-21T12:00:00Z,2.1034
    2026-11-21T12:00:04.250Z,2.1041

time: UTC ISO-8601 (its second counts); price: of 1 XRP in what the quote token stands for, a plain decimal.
The first line may name the columns. The file may be whole or grow while it is read; a line counts once its
newline is there.

1. A tick gets the newest row that is not later than its own time, so recorded, simulated and live sessions
   read a file in the same way.
2. Rows must come in the order of their times. One that does not, and one that is no row (no UTC time, a
   number that is not finite and positive or beyond MAX_PRICE, too long a line) is counted, told once a kind,
   and passed over.
3. The file is read once, from front to back: at most MAX_ROWS rows a call, the rest with the next ones.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from neo_engine.config_sections import FILE_REFERENCE, ReferenceConfig
from neo_engine.domain.clock import ledger_seconds
from neo_engine.domain.errors import BadNumber
from neo_engine.domain.number import parse_number
from neo_engine.domain.reference import ReferencePrice
from neo_engine.event_log import say
from neo_engine.ports import NoReference, Reference

COLUMNS = b"time,price"
MAX_LINE_BYTES = 200  # a time and a price have some 40
MAX_ROWS = 10_000  # a call: some 40 ms
READ_BYTES = 1 << 16
MAX_PRICE = Decimal(10) ** 6  # and 1 / this: no price of XRP in a currency of the world is beyond
NO_TIME, NO_PRICE, DISORDER, NO_ROW, UNREADABLE = "time", "price", "order", "row", "file"


class _BadRow(Exception):
    """A row that is passed over; its kind is the first argument."""


class FileReference:
    """Implements ports.Reference on an open file. bad: rows passed over, by kind."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises OSError."""
        self._path = path
        self._file = path.open("rb", buffering=0)
        self._rest = b""
        self._lines: list[bytes] = []  # whole ones that were read and not looked at, the next one last
        self._too_long = False  # in the middle of a line that is passed over
        self._read = 0  # rows
        self._last_at: int | None = None
        self._newest: ReferencePrice | None = None
        self._next: ReferencePrice | None = None
        self.bad: Counter[str] = Counter()

    def price(self, at: int) -> ReferencePrice | None:
        """Return the newest row that is not later than `at` (seconds since 2000-01-01), None without one."""
        for _row in range(MAX_ROWS):
            self._next = self._next or self._row()
            if self._next is None or self._next.at > at:
                break
            self._newest, self._next = self._next, None
        return self._newest

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._file.close()

    def _row(self) -> ReferencePrice | None:
        """Return the next good row, None where the file has no further whole line (or too many bad ones)."""
        for _line in range(MAX_ROWS):
            line = self._line()
            if line is None:
                return None
            self._read += 1
            if not line.strip() or (self._read == 1 and line.strip() == COLUMNS):
                continue
            try:
                row = self._parsed(line)
            except _BadRow as bad:
                self._passed_over(str(bad), f"line {self._read}: {line[:MAX_LINE_BYTES]!r}")
                continue
            self._last_at = row.at
            return row
        return None

    def _parsed(self, line: bytes) -> ReferencePrice:
        try:
            time, price = line.decode("ascii").strip().split(",")
        except ValueError:  # a UnicodeDecodeError is one
            raise _BadRow(NO_ROW) from None
        try:
            moment = datetime.fromisoformat(time)
            if moment.utcoffset() != timedelta(0):
                raise _BadRow(NO_TIME)
            at = ledger_seconds(time)
        except ValueError:
            raise _BadRow(NO_TIME) from None
        try:
            value = parse_number(price, "price")
        except BadNumber:
            raise _BadRow(NO_PRICE) from None
        if not 1 / MAX_PRICE <= value <= MAX_PRICE:
            raise _BadRow(NO_PRICE)
        if self._last_at is not None and at < self._last_at:
            raise _BadRow(DISORDER)
        return ReferencePrice(price=value, at=at)

    def _line(self) -> bytes | None:
        """Return the next whole line, None where there is none yet."""
        while not self._lines:
            try:
                data = self._file.read(READ_BYTES)
            except OSError as error:
                self._passed_over(UNREADABLE, str(error.strerror))
                return None
            if not data:
                return None
            self._split(data)
        return self._lines.pop()

    def _split(self, data: bytes) -> None:
        *whole, rest = (self._rest + data).split(b"\n")
        if whole and self._too_long:
            whole, self._too_long = whole[1:], False
        if len(rest) > MAX_LINE_BYTES:
            if not self._too_long:
                self._passed_over(NO_ROW, f"a line of more than {MAX_LINE_BYTES} bytes")
            rest, self._too_long = b"", True
        self._rest = rest
        self._lines = whole[::-1]

    def _passed_over(self, kind: str, what: str) -> None:
        self.bad[kind] += 1
        if self.bad[kind] == 1:
            say.warning(
                "reference_line_bad",
                "reference {}: bad {} passed over, told once: {}",
                self._path,
                kind,
                what,
            )


def open_reference(config: ReferenceConfig) -> Reference:
    """Return what `reference.source` names. Without one, or when its file cannot be opened, depeg is off.

    Either way one line of the log says so.
    """
    if not config.source.startswith(FILE_REFERENCE):
        say.info(
            "reference_off",
            "no reference price (reference.source {}): the monitor depeg is off",
            config.source,
        )
        return NoReference()
    path = Path(config.source.removeprefix(FILE_REFERENCE))
    try:
        reference = FileReference(path)
    except OSError as error:
        say.warning(
            "reference_unreadable",
            "reference {}: {}; the monitor depeg is off for this session",
            path,
            error.strerror,
        )
        return NoReference()
    say.info("reference_open", "reference price: {}", path)
    return reference
