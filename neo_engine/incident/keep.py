"""Which bundles of incidents go: those beyond the newest INCIDENTS_KEPT that nobody has worked on.

1. Only `prune` removes any, never a session and never `incident` itself.
2. A bundle that differs from its manifest by one byte or one file stays, whatever its age, and is not
   counted: its checklist was filled in, or something was put beside it. Such a one is removed by hand.
3. What is in `<db>.incidents` and is not named like a bundle is nobody's business here.
4. A bundle goes by being renamed first: what a crash leaves over goes with the next `prune`.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import msgspec

from neo_engine.domain.errors import StateError
from neo_engine.incident.bundle import MANIFEST, incidents_folder
from neo_engine.incident.symptoms import SYMPTOMS

INCIDENTS_KEPT = 20  # of a few megabytes each: more than a month of bad nights
REMOVED = ".removed"  # the end of the name of a bundle that is going
_NAME = re.compile(rf"\d{{8}}T\d{{6}}\.\d{{6}}Z-({'|'.join(SYMPTOMS)})")


class Bundles(msgspec.Struct, frozen=True, kw_only=True):
    """The bundles of a database. surplus: the folders that go, the oldest first; by_hand: those worked on."""

    surplus: tuple[Path, ...]
    by_hand: tuple[Path, ...]


class _Known(msgspec.Struct, frozen=True):
    """A file as the manifest names it: the sum of what was written."""

    sha256: str


class _Manifest(msgspec.Struct, frozen=True):
    files: dict[str, _Known]


def bundles(db: Path) -> Bundles:
    """Look through the bundles of `db` that lie where they are put by themselves.

    Raises StateError when the folder cannot be read.
    """
    folder = incidents_folder(db)
    try:
        # The names begin with the time in fixed width, so they sort by age.
        found = sorted(one for one in folder.glob("*") if _NAME.fullmatch(one.name) and _is_folder(one))
        by_hand = tuple(one for one in found if not _as_written(one))
        left_over = tuple(
            one
            for one in sorted(folder.glob(f"*{REMOVED}"))
            if _NAME.fullmatch(one.name.removesuffix(REMOVED)) and _is_folder(one)
        )
    except OSError as error:
        raise StateError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from error
    untouched = [one for one in found if one not in by_hand]
    return Bundles(surplus=left_over + tuple(untouched[:-INCIDENTS_KEPT]), by_hand=by_hand)


def remove(found: Bundles) -> None:
    """Remove the surplus. Raises StateError naming the folder that cannot be."""
    for folder in found.surplus:
        going = folder if folder.name.endswith(REMOVED) else folder.with_name(folder.name + REMOVED)
        try:
            folder.rename(going)
            shutil.rmtree(going)
        except OSError as error:
            raise StateError(
                f"{folder}: cannot be removed ({error.strerror}); remove it by hand, or check its permissions"
            ) from error


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _as_written(folder: Path) -> bool:
    """True if the folder holds what was written into it, to the byte, and nothing else."""
    try:
        known = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=_Manifest).files
    except (FileNotFoundError, msgspec.MsgspecError):
        return False
    if {one.name for one in folder.iterdir()} != {*known, MANIFEST}:
        return False
    return all(
        not (folder / name).is_dir()
        and hashlib.sha256((folder / name).read_bytes()).hexdigest() == file.sha256
        for name, file in known.items()
    )
