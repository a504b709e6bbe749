"""The file of a log: rotated, bounded, and never in the way of a session.

1. Together its files hold at most max_bytes x (kept_files + 1), and one line more.
2. A line is written by one system call, whole. Where only a part of it found room, the next begins on a line
   of its own, so that a reader loses that one.
3. A line that cannot be written is counted and given up; nothing is raised. It is told once on stderr, tried
   again with a later line, and the number of lines lost is the first thing written when it works again.
4. A file that was moved or removed by another program is opened anew.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

RETRY_SECONDS = 5.0  # a full disk or a lost permission seldom passes sooner
_NEW_LINE = b"\n"


class LogFile(logging.Handler):
    """A handler that writes lines to `path`; `path.1` is the newest of the files before it.

    monotonic: seconds that never go backwards.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int,
        kept_files: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.path = path
        self.lost = 0
        self._max_bytes = max_bytes
        self._kept = kept_files
        self._monotonic = monotonic
        self._handle: int | None = None
        self._inode: tuple[int, int] | None = None
        self._size = 0
        self._torn = False
        self._told = False
        self._retry_at: float | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record's line, or count it."""
        if self._retry_at is not None and self._monotonic() < self._retry_at:
            self.lost += 1
            return
        try:
            if self.lost:
                self._write(self._line(self._lost_record()))
                self.lost = 0
            self._write(self._line(record))
            self._retry_at, self._told = None, False
        except OSError as error:
            self._failed(error)

    def close(self) -> None:
        """Close the file; may be called twice."""
        self.acquire()
        try:
            self._shut()
        except OSError as error:
            self._tell(f"closing: {error.strerror}")
        finally:
            self.release()
        super().close()

    def _line(self, record: logging.LogRecord) -> bytes:
        return self.format(record).encode("utf-8", "replace") + _NEW_LINE

    def _lost_record(self) -> logging.LogRecord:
        record = logging.LogRecord(
            "neo_engine", logging.WARNING, __file__, 0, f"{self.lost} lines could not be written", None, None
        )
        record.event, record.numbers = "log_resumed", {"lost": self.lost}
        return record

    def _write(self, line: bytes) -> None:
        """Append a line. Raises OSError when it does not fit, or the files cannot be turned over."""
        self._open()
        if self._size and self._size + len(line) > self._max_bytes:
            self._rotate()
            self._open()
        data = _NEW_LINE + line if self._torn else line
        written = os.write(self._handle_now(), data)
        self._size += written
        self._torn = written < len(data) and (written > 0 or self._torn)
        if written < len(data):
            raise OSError(0, "no room for a whole line")

    def _handle_now(self) -> int:
        if self._handle is None:
            raise OSError(0, "not open")
        return self._handle

    def _open(self) -> None:
        """Have the file open, and be it the one that bears the name."""
        if self._handle is not None and self._inode == _inode_of(self.path):
            return
        self._shut()
        handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)  # less the umask
        self._handle = handle
        found = os.fstat(handle)
        self._inode, self._size = (found.st_dev, found.st_ino), found.st_size
        self._torn = False
        if self._size:
            os.lseek(handle, -1, os.SEEK_END)
            self._torn = os.read(handle, 1) != _NEW_LINE  # of a process that was killed as it wrote

    def _rotate(self) -> None:
        """Give the file the number 1 and those before it the next; what is beyond `kept_files` goes."""
        self._shut()
        for number, path in sorted(numbered(self.path), reverse=True):
            if number >= max(self._kept, 1):
                path.unlink(missing_ok=True)
            else:
                path.replace(self._numbered(number + 1))
        if self._kept:
            self.path.replace(self._numbered(1))
        else:
            self.path.unlink(missing_ok=True)

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _shut(self) -> None:
        handle, self._handle, self._inode = self._handle, None, None
        if handle is not None:
            os.close(handle)

    def _failed(self, error: OSError) -> None:
        self.lost += 1
        self._retry_at = self._monotonic() + RETRY_SECONDS
        if not self._told:
            self._told = True
            self._tell(f"{error.strerror}; the session goes on, the file is tried again")

    def _tell(self, text: str) -> None:
        try:
            sys.stderr.write(f"log file {self.path}: cannot be written: {text}\n")
        except (OSError, ValueError):
            return  # stderr is gone too: there is nobody left to tell, and the session matters more


def _inode_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def numbered(path: Path) -> list[tuple[int, Path]]:
    """Return the files that were rotated out of `path`, each with its number."""
    start = f"{path.name}."
    found = [one for one in path.parent.iterdir() if one.name.startswith(start)]
    return [
        (int(digits), one)
        for one in found
        if (digits := one.name.removeprefix(start)).isascii() and digits.isdigit()
    ]
