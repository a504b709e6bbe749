"""The command `incident`: what the rows say of a symptom, and all of it in one folder."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

from neo_engine.cli_why import tick_number
from neo_engine.domain.halt import EXIT_OK
from neo_engine.incident.bundle import CHECKLIST, default_folder, write_bundle
from neo_engine.incident.case import Case, Finding, open_case
from neo_engine.incident.scrub import scrubbed, scrubbed_value
from neo_engine.incident.symptoms import SYMPTOMS
from neo_engine.ops.clock import SystemClock
from neo_engine.ops.logs import setup_logging, stored_log
from neo_engine.report.choose import one_moment
from neo_engine.report.status import engine_on
from neo_engine.report.why import Explanation
from neo_engine.report.why_rows import find_session, find_tick, find_time
from neo_engine.state.queries import LATEST, open_readonly

Verb = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def add_verb(verb: Verb) -> None:
    """Add the command to the engine's parser."""
    text = "Walk the decision tree of a symptom, and put all that belongs to it into a folder."
    one = verb("incident", run, text)
    one.add_argument("symptom", choices=tuple(SYMPTOMS), help="docs/runbook.md has a tree for each")
    one.add_argument("--db", type=Path, required=True, help="the database; also beside a running engine")
    one.add_argument("--session", default=LATEST, metavar="ID", help=f"a number, or {LATEST} (the default)")
    when = one.add_mutually_exclusive_group()
    when.add_argument("--tick", type=tick_number, metavar="N", help="the moment (default: the last tick)")
    when.add_argument("--at", metavar="TIME", help="2026-11-20T18:15:00Z, or 18:15:00 of the session's day")
    one.add_argument("--to", type=Path, metavar="DIR", help="a new folder (default: one in <db>.incidents)")
    one.add_argument(
        "--log", type=Path, metavar="FILE", help="the log (default: the session's own, log.file)"
    )
    one.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def run(options: argparse.Namespace) -> int:
    """Look, write the bundle and tell both. Returns 0 whether the symptom is there or not."""
    setup_logging("WARNING", quiet=False)
    now = SystemClock().utc_now()
    folder = options.to or default_folder(options.db, options.symptom, now)
    with closing(open_readonly(options.db)) as connection, one_moment(connection):
        session = find_session(connection, options.session)
        moment = None
        if options.at is not None:
            moment = find_time(connection, session, options.at)
        elif options.tick is not None:
            moment = find_tick(connection, session, options.tick)
        engine = engine_on(connection, options.db, now)
        case = open_case(connection, options.db, session, engine, moment)
        finding = SYMPTOMS[options.symptom](case)
        answer = case.answer(finding.ticks[0] if finding.ticks else None)
        log_file = options.log or stored_log(session.setting("log.file"), options.db)
        files = write_bundle(case, options.symptom, finding, folder, log_file=log_file, now=now)
    if options.json:
        document = _document(options.symptom, case, finding, answer)
        document |= {"bundle": str(folder), "files": list(files)}
        print(json.dumps(document, indent=2))
    else:
        print("\n".join(_lines(options.symptom, case, finding, answer)))
        print(f"bundle: {folder}")
        print(f"checklist: {folder / CHECKLIST}")
    return EXIT_OK


def _lines(symptom: str, case: Case, finding: Finding, answer: Explanation) -> list[str]:
    head = symptom if finding.found else f"{symptom}: not found"
    lines = [f"{head}, session {case.session.session_id} ({case.session.mode}, feed {case.session.feed})"]
    lines += [f"  {scrubbed(line)}" for line in finding.lines]
    if not finding.found:
        return lines
    if finding.ticks:
        lines.append(f"  {scrubbed(answer.verdict)}")
    lines += [f"  limits: {text}" for text in _limits(answer)]
    if answer.advice is not None:
        lines.append(f"  to do: {answer.advice}")
    return lines


def _limits(answer: Explanation) -> list[str]:
    """Return the thresholds that the named step was held against."""
    step = next((one for one in answer.steps if one.name == answer.step), None)
    found = {} if step is None else {key: value for fact in step.facts for key, value in fact.settings}
    return [", ".join(f"{key} {value}" for key, value in found.items())] if found else []


def _document(symptom: str, case: Case, finding: Finding, answer: Explanation) -> dict[str, object]:
    return {
        "symptom": symptom,
        "session_id": case.session.session_id,
        "found": finding.found,
        "verdict": [scrubbed(line) for line in finding.lines],
        "ticks": list(finding.ticks),
        "why": scrubbed_value(msgspec.to_builtins(answer)),
    }
