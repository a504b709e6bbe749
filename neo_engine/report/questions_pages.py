"""The questions as other forms show them: a section of docs/sql.md, and Datasette's canned queries.

Datasette hands an empty field over as '' and has no default for one. So `:session` becomes "what was typed,
else the latest session" there; the rest of the SQL is the same, character by character.
"""

from __future__ import annotations

from typing import Any

from neo_engine.report.questions import PARAMETER, Question

LATEST_IF_EMPTY = (
    f"CAST(coalesce(nullif({PARAMETER}, ''), (SELECT max(session_id) FROM sessions)) AS INTEGER)"
)
BEGIN, END = "<!-- questions -->", "<!-- /questions -->"
DATABASE = "neo"  # how Datasette calls neo.db
TITLE = "NEO"
DESCRIPTION = (
    "What sessions saw, decided, traded and earned. Drops are integers, XRP and RLUSD exact text, a price is "
    "RLUSD per XRP, times are UTC; the v_ views have numbers. An empty session field means the latest one."
)


def markdown(questions: tuple[Question, ...]) -> str:
    """Return the questions as a section of a page, between the lines that mark it."""
    parts = [BEGIN]
    for number, one in enumerate(questions, 1):
        parts.append(
            f"## {number}. {one.question}\n\n`{one.name}`\n\n```sql\n{one.sql}\n```\n\n{one.meaning.strip()}"
        )
    return "\n\n".join([*parts, END])


def replaced(page: str, questions: tuple[Question, ...]) -> str:
    """Return `page` with its section of questions made anew. Raises ValueError when it has none."""
    before, begin, rest = page.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks {BEGIN} or {END}")
    return f"{before}{markdown(questions)}{after}"


def datasette_config(questions: tuple[Question, ...], database: str) -> dict[str, Any]:
    """Return Datasette's metadata (version 0.65) for a database file called `database`.db."""
    queries = {}
    for one in questions:
        query: dict[str, Any] = {
            "title": one.question,
            "description": one.meaning.strip().replace("`", ""),  # shown as it is
            "hide_sql": True,  # the answer first; a click shows the SQL
            "sql": one.sql.rstrip(";").replace(PARAMETER, LATEST_IF_EMPTY),
        }
        if one.about_a_session:
            query["params"] = [PARAMETER.removeprefix(":")]
        if one.chart is not None:
            query["fragment"] = one.chart  # read by the plugin datasette-vega, ignored without it
        queries[one.name] = query
    tables = {"sessions": {"sort_desc": "session_id"}, "ticks": {"sort_desc": "id"}}
    return {
        "title": TITLE,
        "description": DESCRIPTION,
        "databases": {database: {"tables": tables, "queries": queries}},
    }
