"""Reads a file's lines in a thread of its own, plain or gzip, told apart by the first two bytes.

Unpacking is the slowest part of replaying a recording and releases the interpreter's lock, so a
second thread does it while the first one decodes. The queue between them is bounded: at most
`QUEUE_BLOCKS` blocks of about `BLOCK_BYTES` unpacked bytes wait, whatever the file's size.

Whatever is wrong with the file ends the reading with a `ReadFailure` after the last whole line.
"""

from __future__ import annotations

import queue
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from neo_engine.domain.errors import FeedError
from neo_engine.domain.ledger import LedgerFaultKind

READ_BYTES = 1 << 17  # packed bytes a step: about 1 MB unpacked, some 4 ms of work
BLOCK_BYTES = 1 << 20  # unpacked bytes a step, so that a bomb of a file cannot fill the memory
QUEUE_BLOCKS = 4
MAX_LINE_BYTES = 1 << 28  # a header with the state of a whole ledger is the longest line; 256 MB is a defect
PUT_SECONDS = 0.2  # how often a reader that waits for room looks whether it should stop
JOIN_SECONDS = 5.0
WAIT_SECONDS = 30.0  # a block of a file takes milliseconds; a disk or a pipe that takes longer hangs
GZIP_MAGIC = b"\x1f\x8b"


class ReadFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Why the reading ended before the file did."""

    kind: LedgerFaultKind
    text: str


Block = list[bytes] | ReadFailure | None


class _Failed(Exception):
    """Carries a ReadFailure out of the reading loop."""

    def __init__(self, kind: LedgerFaultKind, text: str) -> None:
        super().__init__(text)
        self.failure = ReadFailure(kind=kind, text=text)


class LineReader:
    """The lines of one file, in order, without their newline. Use `next_line` until `ended`."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises FeedError if it is missing or cannot be opened."""
        try:
            self._file = path.open("rb")
        except OSError as error:
            why = f"recording {path}: cannot be opened ({error.strerror})"
            raise FeedError(f"{why}; check the path and its permissions") from error
        self._path = path
        self._blocks: queue.Queue[Block] = queue.Queue(maxsize=QUEUE_BLOCKS)
        self._stop = threading.Event()
        self._lines: Iterator[bytes] = iter(())
        self._thread = threading.Thread(target=self._run, name="recording-reader", daemon=True)
        self.ended = False
        self.failure: ReadFailure | None = None
        self._thread.start()

    def next_line(self) -> bytes | None:
        """Return the next line; None once the file ended (`failure` then says if it ended badly)."""
        while True:
            line = next(self._lines, None)
            if line is not None:
                return line
            if self.ended:
                return None
            try:
                block: Block = self._blocks.get(timeout=WAIT_SECONDS)
            except queue.Empty:
                text = f"{self._path}: nothing could be read for {WAIT_SECONDS:.0f} s"
                block = ReadFailure(kind=LedgerFaultKind.UNREADABLE_FILE, text=text)
            if isinstance(block, list):
                self._lines = iter(block)
            else:
                self.failure = block
                self.ended = True

    def close(self) -> None:
        """Stop the thread and close the file; may be called twice. Afterwards there are no more lines."""
        self._stop.set()
        self.ended = True
        self._thread.join(JOIN_SECONDS)
        if not self._thread.is_alive():  # else it hangs in a read, and closing the file would hang with it
            self._file.close()

    # -- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        # What is put last always arrives, so that the one who waits for a block never waits for ever.
        text = f"{self._path}: reading stopped unexpectedly"
        last: Block = ReadFailure(kind=LedgerFaultKind.UNREADABLE_FILE, text=text)
        try:
            self._read_all()
            last = None
        except _Failed as failed:
            last = failed.failure
        except (OSError, ValueError) as error:
            last = ReadFailure(kind=LedgerFaultKind.UNREADABLE_FILE, text=f"{self._path}: {error}")
        except zlib.error as error:
            text = f"{self._path}: the compressed data is damaged ({error})"
            last = ReadFailure(kind=LedgerFaultKind.UNREADABLE_FILE, text=text)
        finally:
            self._put(last)

    def _read_all(self) -> None:
        rest: list[bytes] = []
        rest_bytes = 0
        for data in self._unpacked():
            if self._stop.is_set():
                return
            lines = data.split(b"\n")
            rest.append(lines[0])
            rest_bytes += len(lines[0])
            if rest_bytes > MAX_LINE_BYTES:
                text = f"{self._path}: a line is longer than {MAX_LINE_BYTES} bytes"
                raise _Failed(LedgerFaultKind.UNREADABLE_FILE, text)
            if len(lines) > 1:
                lines[0] = b"".join(rest)
                last = lines.pop()
                rest, rest_bytes = [last], len(last)
                self._put(lines)
        if rest_bytes:
            self._put([b"".join(rest)])

    def _unpacked(self) -> Iterator[bytes]:
        data = self._file.read(READ_BYTES)
        if data[:2] != GZIP_MAGIC:
            while data:
                yield data
                data = self._file.read(BLOCK_BYTES)
            return
        packer = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # 16: a gzip header is expected
        while data:
            yield packer.decompress(data, BLOCK_BYTES)
            data = packer.unconsumed_tail
            if packer.eof:
                data = packer.unused_data or self._file.read(READ_BYTES)
                if data:  # several gzip files one after the other are one recording
                    packer = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            elif not data:
                data = self._file.read(READ_BYTES)
        if not packer.eof:
            text = f"{self._path}: the compressed file ends in the middle; what could be read was used"
            raise _Failed(LedgerFaultKind.TRUNCATED_FILE, text)

    def _put(self, block: Block) -> None:
        while not self._stop.is_set():
            try:
                self._blocks.put(block, timeout=PUT_SECONDS)
            except queue.Full:
                continue
            return
