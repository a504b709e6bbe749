"""The tracked market against a real server's own answers, ledger by ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from neo_engine.bootstrap import EMBEDDED_RECORDING
from tools.check_book_tracking import check, main
from tools.cut_recording import main as cut_recording

DATA = Path(__file__).resolve().parents[1] / "data"
CUTS = {"calm_cut.jsonl.gz": 60, "hostile_cut.jsonl.gz": 50}


@pytest.mark.parametrize(("name", "ledgers"), CUTS.items())
def test_books_pool_and_accounts_equal_the_servers_after_every_ledger(name: str, ledgers: int) -> None:
    assert check(DATA / name) == (ledgers, ledgers, [])


def test_the_embedded_recording_equals_the_servers_answers_wherever_it_has_them() -> None:
    # 420 ledgers, answers kept on every 25th from the first.
    assert check(EMBEDDED_RECORDING) == (17, 17, [])


def test_a_recording_cut_in_the_middle_is_one_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "cut.jsonl.gz"
    chosen = ["--from", "20", "--count", "30", "--check-every", "3"]
    assert cut_recording([str(DATA / "hostile_cut.jsonl.gz"), str(target), *chosen]) == 0
    assert "30 ledgers" in capsys.readouterr().out
    assert check(target) == (10, 10, [])


def test_the_same_cut_gives_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for name in ("one.jsonl.gz", "two.jsonl.gz"):
        target = tmp_path / name
        cut_recording([str(DATA / "calm_cut.jsonl.gz"), str(target), "--from", "3", "--count", "2"])
        written.append(target.read_bytes())
    assert written[0] == written[1]


def test_a_cut_beyond_the_end_leaves_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "cut.jsonl"
    chosen = ["--from", "50", "--count", "11"]
    assert cut_recording([str(DATA / "calm_cut.jsonl.gz"), str(target), *chosen]) == 1
    assert "ends before ledger 61" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_difference_is_shown_and_fails_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "cut.jsonl"
    cut_recording([str(DATA / "calm_cut.jsonl.gz"), str(target), "--from", "0", "--count", "1"])
    text = target.read_text(encoding="utf-8")
    place = text.index('"bids"')
    target.write_text(text[:place] + text[place:].replace('"Flags":0', '"Flags":65536', 1), encoding="utf-8")
    assert main([str(target)]) == 1
    assert "0 of 1 ledgers equal" in capsys.readouterr().out
    assert main([str(tmp_path / "nowhere")]) == 2
    assert main([]) == 2
