"""Of the bundles of incidents the newest stay, and every one that somebody worked on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from neo_engine import cli_prune
from neo_engine.domain.errors import StateError, UsageError
from neo_engine.incident.bundle import CHECKLIST, MANIFEST, default_folder, incidents_folder, write_bundle
from neo_engine.incident.keep import INCIDENTS_KEPT, REMOVED, bundles, remove
from neo_engine.incident.symptoms import SYMPTOMS
from tests.unit.state_fixture import NOW
from tests.unit.test_incident import opened
from tests.unit.test_why import quiet, written


@pytest.fixture(scope="module")
def one_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with one bundle, as `incident` writes it."""
    db = tmp_path_factory.mktemp("one") / "neo.db"
    written(db, quiet(1))
    with opened(db) as case:
        finding = SYMPTOMS["stopped"](case)
        write_bundle(case, "stopped", finding, default_folder(db, "stopped", NOW), log_file=None, now=NOW)
    return db


@pytest.fixture
def db(one_bundle: Path, tmp_path: Path) -> Path:
    """The database, and copies of its bundle so that there are as many as are kept."""
    db = Path(shutil.copy(one_bundle, tmp_path / "neo.db"))
    (source,) = incidents_folder(one_bundle).iterdir()
    for number in range(INCIDENTS_KEPT):
        shutil.copytree(source, bundle(db, number))
    return db


def bundle(db: Path, number: int) -> Path:
    """Where the bundle of hour `number` lies."""
    return default_folder(db, "stopped", NOW + timedelta(hours=number))


def one_more(db: Path, number: int) -> None:
    shutil.copytree(bundle(db, 1), bundle(db, number))


def there(db: Path) -> set[str]:
    return {one.name for one in incidents_folder(db).iterdir()}


def test_as_many_as_are_kept_stay_and_of_one_more_the_oldest_goes(db: Path) -> None:
    assert bundles(db).surplus == ()
    one_more(db, INCIDENTS_KEPT)
    found = bundles(db)
    assert found.surplus == (bundle(db, 0),)
    remove(found)
    assert there(db) == {bundle(db, number).name for number in range(1, INCIDENTS_KEPT + 1)}
    assert bundles(db).surplus == ()


def ticked(folder: Path) -> None:
    page = folder / CHECKLIST
    page.write_text(page.read_text(encoding="utf-8").replace("- [ ]", "- [x]", 1), encoding="utf-8")


def noted(folder: Path) -> None:
    with (folder / CHECKLIST).open("a", encoding="utf-8") as page:
        page.write("It was the pool.\n")


def added(folder: Path) -> None:
    (folder / "call.txt").write_text("spoke to them", encoding="utf-8")


def taken_away(folder: Path) -> None:
    (folder / "state.json").unlink()


def without_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def broken_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_text("{}", encoding="utf-8")


@pytest.mark.parametrize("work", [ticked, noted, added, taken_away, without_manifest, broken_manifest])
def test_one_that_somebody_worked_on_stays_and_is_not_counted(db: Path, work: Callable[[Path], None]) -> None:
    work(bundle(db, 0))
    for number in (INCIDENTS_KEPT, INCIDENTS_KEPT + 1):
        one_more(db, number)
    found = bundles(db)
    assert found.by_hand == (bundle(db, 0),)
    assert found.surplus == (bundle(db, 1),)
    remove(found)
    assert bundle(db, 0).is_dir()
    assert len(there(db)) == INCIDENTS_KEPT + 1


def test_what_is_not_a_bundle_of_ours_is_left_alone(db: Path, tmp_path: Path) -> None:
    mine = ("notes", "20260101T000000.000000Z-mine", bundle(db, -1).name + ".part")
    for name in mine:
        (incidents_folder(db) / name).mkdir()
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(bundle(db, 1), elsewhere)
    bundle(db, -2).symlink_to(elsewhere, target_is_directory=True)
    one_more(db, INCIDENTS_KEPT)
    remove(bundles(db))
    assert there(db) >= {*mine, bundle(db, -2).name}
    assert (elsewhere / CHECKLIST).is_file()
    assert not bundle(db, 0).exists()


def test_what_a_crash_left_of_a_removal_goes_with_the_next(db: Path) -> None:
    half = bundle(db, -1).with_name(bundle(db, -1).name + REMOVED)
    shutil.copytree(bundle(db, 1), half)
    taken_away(half)
    found = bundles(db)
    assert (found.surplus, found.by_hand) == ((half,), ())
    remove(found)
    assert not half.exists()
    assert len(there(db)) == INCIDENTS_KEPT


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="rights do not hold the owner back")
def test_a_folder_that_cannot_be_removed_is_named(db: Path) -> None:
    one_more(db, INCIDENTS_KEPT)
    found = bundles(db)
    incidents_folder(db).chmod(0o500)
    try:
        with pytest.raises(StateError, match="cannot be removed"):
            remove(found)
    finally:
        incidents_folder(db).chmod(0o700)


def test_a_folder_that_went_meanwhile_is_named(db: Path) -> None:
    one_more(db, INCIDENTS_KEPT)
    found = bundles(db)
    shutil.rmtree(bundle(db, 0))
    with pytest.raises(StateError, match="cannot be removed"):
        remove(found)


def test_without_any_there_is_nothing_to_remove(tmp_path: Path) -> None:
    found = bundles(tmp_path / "neo.db")
    assert (found.surplus, found.by_hand) == ((), ())
    remove(found)


def pruned(db: Path, *more: str) -> None:
    options = cli_prune.argparse.ArgumentParser()
    cli_prune.add_arguments(options)
    assert cli_prune.run(options.parse_args(["--db", str(db), "--keep-days", "30", *more])) == 0


def test_prune_looks_asks_and_removes(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noted(bundle(db, 2))
    for number in (INCIDENTS_KEPT, INCIDENTS_KEPT + 1):
        one_more(db, number)
    pruned(db, "--dry-run")
    looked = capsys.readouterr().out
    assert f"incident {bundle(db, 0).name}: to remove" in looked
    assert "1 incidents that somebody worked on stay" in looked
    with pytest.raises(UsageError, match="add --yes"):
        pruned(db)
    assert bundle(db, 0).is_dir()
    capsys.readouterr()
    pruned(db, "--yes", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["incidents"], told["incidents_by_hand"]) == ([bundle(db, 0).name], [bundle(db, 2).name])
    assert not bundle(db, 0).exists()
    pruned(db, "--yes")
    assert "nothing to remove" in capsys.readouterr().out
