"""The command lines of the pages about questions, calibration and tax, run as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from neo_engine.cli import engine_parser
from tests.e2e.helpers import EMBEDDED, ROOT, all_rows, in_process, session

PAGES = ("sql.md", "calibration.md", "tax.md")


def command_lines() -> list[str]:
    texts = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in PAGES]
    blocks = [block for text in texts for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)]
    return [line for block in blocks for line in block.splitlines()]


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("asked") / "neo.db"
    assert session(path, recording=EMBEDDED).code == 0
    return path


@pytest.mark.parametrize("line", command_lines())
def test_a_documented_line_works_and_changes_nothing(
    db: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    line: str,
) -> None:
    monkeypatch.chdir(ROOT)
    places = {"neo.db": str(db), "proposed.diff": str(tmp_path / "a"), "fills.csv": str(tmp_path / "b")}
    words = [places.get(word, word) for word in shlex.split(line)]
    assert words[:3] == ["python", "-m", "neo_engine"]
    before = all_rows(db)
    done = in_process(capsys, engine_parser(), words[3:])
    assert done.code == 0, done.err
    assert all_rows(db) == before
    if "--json" in words:
        assert done.json
    for word, place in places.items():
        assert word not in shlex.split(line) or Path(place).exists()
