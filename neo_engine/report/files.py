"""Writing the files of a report."""

from __future__ import annotations

from pathlib import Path

from neo_engine.domain.errors import NeoError


class ReportError(NeoError):
    """A report cannot be written where it was asked for."""


def write_file(path: Path, content: bytes) -> None:
    """Write one file. Raises ReportError naming the path and the fix."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise ReportError(
            f"{path}: cannot be written ({error.strerror}); give a path that may be written"
        ) from error
