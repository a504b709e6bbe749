"""The checklist of an incident: what to do now, within an hour, within a day, before the next session.

Each symptom has its own items; the commands come with the database, session, ticks and account filled in.
What the database does not know (a live session's configuration file) stands as CONFIG.yaml.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import msgspec

from neo_engine.incident.case import Case, Finding

PHASES = ("immediate", "within an hour", "within a day", "before the next session")
_ENGINE = "python -m neo_engine"


class Item(msgspec.Struct, frozen=True):
    """One line to tick off, and the command to type for it, with {places} to fill."""

    text: str
    command: str = ""
    live_only: bool = False


_STATUS = Item("Look at what runs now.", f"{_ENGINE} status --db {{db}}")
_PAUSE = Item(
    "Not sure that the quotes are right? Close them.", f'{_ENGINE} pause --db {{db}} --reason "{{id}}"'
)
_KILL = Item(
    "Money is being lost, or nobody knows why? End the session.",
    f'{_ENGINE} kill --db {{db}} --reason "{{id}}"',
)
_FLATTEN = Item(
    "Are offers of ours left on the ledger? Cancel them and see it confirmed.",
    f"{_ENGINE} flatten --config CONFIG.yaml --db {{db}} --consent {{account}}",
    live_only=True,
)
_WHY = Item(
    "Read the tree of the tick that shows it.", f"{_ENGINE} why --db {{db}} --session {{session}}{{tick}}"
)
_REPORT = Item(
    "Do the session's books add up (report against engine: equal)?",
    "python summarize_paper_run.py --db {db} --session {session}",
)
_AUDIT = Item(
    "Does the ledger tell the same fills and balances?",
    f"{_ENGINE} audit {{account}} --endpoint ENDPOINT",
    live_only=True,
)
_BACKUP = Item("Keep the database as it is.", f"{_ENGINE} backup --db {{db}}")
_PREFLIGHT = Item(
    "Check everything that a live session needs.",
    f"{_ENGINE} preflight --config CONFIG.yaml --db {{db}}",
    live_only=True,
)
_CAPITAL = f"{_ENGINE} capital list --db {{db}}"
_CAUSE = Item("Write down the cause in one sentence, and who saw it first, when.")
_KEYS = Item("Which configuration key would have shown or stopped it earlier? Change it, and say why.")
_PAPER = Item(
    "Run the changed configuration on paper first.",
    "python run_paper_session.py --config CONFIG.yaml --duration 1h --db paper.db --speed max",
)
_RESUME = Item("Paused? Open the quotes again once the cause is gone.", f"{_ENGINE} resume --db {{db}}")
_SHOW = Item("Does the kill switch hold, and why?", f"{_ENGINE} kill --db {{db}} --show")
_RESET = Item(
    "Reset it only when every reason is understood (N: the number that --show tells).",
    f'{_ENGINE} kill --db {{db}} --reset --seen N --reason "TEXT"',
)

#: Symptom -> phase -> what to do then.
ITEMS: dict[str, dict[str, tuple[Item, ...]]] = {
    "stopped": {
        PHASES[0]: (
            _STATUS,
            _WHY,
            Item("Do orders still stand though nothing is quoted? See `open orders`."),
            _FLATTEN,
        ),
        PHASES[1]: (
            Item("A gate of data: compare the last ledger with a second server or an explorer."),
            Item("A gate of money (Inventory, Capital)? Decide whether capital moves.", _CAPITAL),
            _RESUME,
        ),
        PHASES[2]: (_REPORT, _CAUSE, _BACKUP),
        PHASES[3]: (_KEYS, _PAPER, _PREFLIGHT),
    },
    "spike": {
        PHASES[0]: (_STATUS, _PAUSE, _KILL, _WHY),
        PHASES[1]: (
            Item("Did the whole market move? Compare the mid with another venue at the time of the jump."),
            Item("Were fills taken against us? Read fills.csv around the tick: side, price against mid."),
            _FLATTEN,
        ),
        PHASES[2]: (_REPORT, _AUDIT, _CAUSE, _BACKUP),
        PHASES[3]: (_KEYS, _PAPER, _SHOW, _PREFLIGHT),
    },
    "killed": {
        PHASES[0]: (_SHOW, _FLATTEN, _WHY, _STATUS),
        PHASES[1]: (
            Item("Read monitor_readings.csv from the end upwards: which one grew first?"),
            Item("What is held now, and is it what you want to hold over night?"),
            _BACKUP,
        ),
        PHASES[2]: (_REPORT, _AUDIT, _CAUSE),
        PHASES[3]: (_KEYS, _PAPER, _RESET, _PREFLIGHT),
    },
    "wide": {
        PHASES[0]: (_WHY, _STATUS),
        PHASES[1]: (
            Item("Read spread.png: which factor moved first, and has it come back?"),
            Item("A limit holds the spread up or down? Compare strategy.half_spread_min_bps and _max_bps."),
        ),
        PHASES[2]: (
            _REPORT,
            Item("Were the wide ticks the right ones? Look at the fills after them."),
            _CAUSE,
        ),
        PHASES[3]: (_KEYS, _PAPER),
    },
    "limited": {
        PHASES[0]: (_STATUS, _WHY, _PAUSE),
        PHASES[1]: (
            Item("Which of the three is short: requests, queue slots, fees? The gate's detail names all."),
            Item("Refused by code? Look each up in docs/submission.md; submissions.csv has them all."),
            Item("Does another program send for this account or through this server?"),
        ),
        PHASES[2]: (_REPORT, _CAUSE, _BACKUP),
        PHASES[3]: (
            Item("Add a server, or raise live.max_daily_fee_drops, only with the figures before you."),
            _PREFLIGHT,
        ),
    },
    "stale": {
        PHASES[0]: (
            _STATUS,
            Item("Is the network itself at rest? Ask a second server or an explorer."),
            _PAUSE,
            _FLATTEN,
        ),
        PHASES[1]: (
            Item("Read feed_faults.csv: one server, or all of them?"),
            Item("Is this machine's clock right, and was it asleep or out of memory?"),
            _WHY,
        ),
        PHASES[2]: (_REPORT, _AUDIT, _CAUSE, _BACKUP),
        PHASES[3]: (Item("Give the next session at least two servers of different operators."), _PREFLIGHT),
    },
}  # fmt: skip


def checklist(symptom: str, case: Case, finding: Finding, folder: Path) -> str:
    """Return the page to fill in, as Markdown."""
    session = case.session
    values = {
        "db": shlex.quote(str(case.db)),
        "session": session.session_id,
        "tick": f" --tick {finding.ticks[0]}" if finding.ticks else "",
        "account": shlex.quote(session.account) if session.account else "ACCOUNT",
        "id": folder.name,
    }
    lines = [
        f"# Incident: {symptom}",
        "",
        f"- folder: {folder.name}",
        f"- database: {case.db}, session {session.session_id} ({session.mode}, feed {session.feed})",
        "- seen by: ",
        "- first noticed at (UTC): ",
        "",
        "What the database says:",
        "",
        *(f"- {line}" for line in finding.lines),
    ]
    for phase in PHASES:
        items = [one for one in ITEMS[symptom][phase] if session.mode == "live" or not one.live_only]
        lines += ["", f"## {phase.capitalize()}", "", *_lines(items, values)]
    lines += ["", "## Notes", "", ""]
    return "\n".join(lines)


def _lines(items: Sequence[Item], values: dict[str, object]) -> list[str]:
    lines = []
    for item in items:
        lines.append(f"- [ ] {item.text}")
        if item.command:
            lines += ["", "  ```sh", f"  {item.command.format(**values)}", "  ```"]
        lines += ["", "  done at:            by:            found:", ""]
    return lines
