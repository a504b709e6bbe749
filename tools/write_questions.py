"""Writes what is made of neo_engine/report/questions.yaml: a section of docs/sql.md, Datasette's metadata.

Run: python -m tools.write_questions

Tests compare both files with the questions, so run it after each change of them.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from neo_engine.report.questions import Question, load_questions
from neo_engine.report.questions_pages import DATABASE, datasette_config, replaced

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "sql.md"
METADATA = ROOT / "datasette" / "metadata.yaml"
HEAD = "# Made by `python -m tools.write_questions` of neo_engine/report/questions.yaml: change that one.\n"
WIDTH = 110


class _Dumper(yaml.SafeDumper):
    """Writes SQL as a block of lines."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def metadata_text(questions: tuple[Question, ...]) -> str:
    """Return datasette/metadata.yaml as it should be."""
    content = datasette_config(questions, DATABASE)
    return HEAD + yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=WIDTH, allow_unicode=True)


def main() -> None:
    """Write both files."""
    questions = load_questions()
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), questions), encoding="utf-8")
    METADATA.write_text(metadata_text(questions), encoding="utf-8")
    print(f"{len(questions)} questions written to {PAGE.name} and {METADATA.name}")


if __name__ == "__main__":
    main()
