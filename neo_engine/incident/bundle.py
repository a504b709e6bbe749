"""The folder of an incident: everything that a second pair of eyes needs, without the database itself.

1. It is written under a temporary name and gets its own at the end: a folder that is there is whole.
2. Every text has passed `scrubbed`; the manifest names each file with its size and sha256.
3. It is bounded: so many ticks, rows and lines of the log, whatever the size of the database.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from neo_engine import __version__
from neo_engine.domain.errors import StateError
from neo_engine.incident.case import Case, Finding
from neo_engine.incident.checklist import checklist
from neo_engine.incident.pictures import draw
from neo_engine.incident.scrub import scrubbed, scrubbed_value
from neo_engine.incident.tables import MOST_ROWS, TICKS, csv_text, extracts, rows_of
from neo_engine.report.why_text import print_explanation
from neo_engine.state.queries import engine_state

PART = ".part"
LOG_BYTES = 1_000_000  # the end of the log file that is looked at
LOG_LINES = 2_000
CHECKLIST, MANIFEST = "checklist.md", "manifest.json"
_NO_LOG = (
    "The session kept no log (log.file), or its file is gone. If its stderr went to a file, name that:\n"
    "incident SYMPTOM --log FILE\n"
)


def incidents_folder(db: Path) -> Path:
    """Return where the bundles of a database go."""
    return db.with_name(db.name + ".incidents")


def default_folder(db: Path, symptom: str, now: datetime) -> Path:
    """Return where a bundle goes that was not told where: `<db>.incidents/<UTC time>-<symptom>`."""
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return incidents_folder(db) / f"{stamp}-{symptom}"


def write_bundle(
    case: Case, symptom: str, finding: Finding, folder: Path, *, log_file: Path | None, now: datetime
) -> tuple[str, ...]:
    """Write the bundle into the new `folder` and return its files' names.

    Raises StateError when the folder is there already or cannot be written, or the log cannot be read.
    """
    if folder.exists():
        raise StateError(f"{folder}: exists already; name another folder with --to, or remove it")
    part = folder.with_name(folder.name + PART)
    try:
        if part.exists():
            shutil.rmtree(part)  # of a process that was killed in the middle of this
        part.mkdir(parents=True)
        known = {}
        for name, content in _files(case, symptom, finding, folder, log_file):
            (part / name).write_bytes(content)
            known[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        manifest = _manifest(case, symptom, known, now)
        (part / MANIFEST).write_bytes(_json(manifest))
        part.rename(folder)
    except OSError as error:
        raise StateError(
            f"{folder}: cannot be written ({error.strerror}); name another folder with --to"
        ) from error
    finally:
        if part.exists():  # it has its own name otherwise
            shutil.rmtree(part, ignore_errors=True)
    return (*known, MANIFEST)


def _files(
    case: Case, symptom: str, finding: Finding, folder: Path, log_file: Path | None
) -> Iterator[tuple[str, bytes]]:
    yield "state.json", _json(scrubbed_value(_state(case)))
    yield "config.json", _json(scrubbed_value(dict(case.session.config)))
    for extract in extracts(case):
        yield f"{extract.name}.csv", csv_text(*rows_of(case.connection, extract)).encode()
    yield "why.txt", scrubbed(_why(case, finding)).encode()
    yield "log.txt", _log(log_file).encode()
    yield from draw(case, finding.ticks).items()
    yield CHECKLIST, scrubbed(checklist(symptom, case, finding, folder)).encode()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


def _state(case: Case) -> dict[str, Any]:
    """Return the session's row, engine_state and what lies beside the database."""
    row = case.connection.execute(
        "SELECT * FROM sessions WHERE session_id = ?", (case.session.session_id,)
    ).fetchone()
    session = {name: row[name] for name in row.keys() if name != "config_json"}  # noqa: SIM118
    if session["summary_json"] is not None:
        session["summary_json"] = json.loads(session["summary_json"])
    return {
        "session": session,
        "engine_state": engine_state(case.connection),
        "engine": msgspec.to_builtins(case.engine),
    }


def _why(case: Case, finding: Finding) -> str:
    out = io.StringIO()
    for tick in finding.ticks or (None,):
        print_explanation(case.answer(tick), out)
        out.write("\n")
    return out.getvalue()


def _log(log_file: Path | None) -> str:
    if log_file is None:
        return _NO_LOG
    try:
        with log_file.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(max(0, size - LOG_BYTES))
            text = file.read(LOG_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise StateError(f"--log {log_file}: cannot be read ({error.strerror}); check the path") from error
    lines = text.splitlines()
    if size > LOG_BYTES:
        del lines[0]  # its beginning was cut off
    return "".join(f"{scrubbed(line)}\n" for line in lines[-LOG_LINES:])


def _manifest(case: Case, symptom: str, files: dict[str, Any], now: datetime) -> dict[str, Any]:
    def size(suffix: str) -> int | None:
        path = Path(f"{case.db}{suffix}")
        return path.stat().st_size if path.exists() else None

    shown = case.ticks[-TICKS:]
    return {
        "symptom": symptom,
        "made_at": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "database": str(case.db),
        "database_bytes": size(""),
        "wal_bytes": size("-wal"),
        "session_id": case.session.session_id,
        "first_tick": shown[0].tick if shown else None,
        "last_tick": shown[-1].tick if shown else None,
        "limits": {"ticks": TICKS, "rows": MOST_ROWS, "log_lines": LOG_LINES},
        "engine_version": __version__,
        "sqlite_version": sqlite3.sqlite_version,
        "checklist": f"{CHECKLIST} is made to be filled in: its sum is that of the empty one",
        "files": files,
    }
