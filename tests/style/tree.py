"""The project's own files, found by walking the tree (a copy without git is checked just as well)."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {
    ".git",
    ".venv",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    "__pycache__",
    "node_modules",
}
TEXT_SUFFIXES = {".py", ".md", ".yaml", ".yml", ".toml", ".sql", ".lock", ".sh", ".ps1", ".cfg", ".txt"}
TEXT_NAMES = {"Makefile", "run", ".gitignore", ".gitattributes"}


def files() -> Iterator[Path]:
    """Yield every file of the project; environments, caches and hidden build folders are not its own."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(
            name for name in folders if name not in NOT_OURS and not name.endswith(".egg-info")
        )
        for name in sorted(names):
            yield Path(folder, name)


@cache
def text_files() -> tuple[Path, ...]:
    """Every file a person reads."""
    return tuple(path for path in files() if path.suffix in TEXT_SUFFIXES or path.name in TEXT_NAMES)


@cache
def python_files() -> tuple[Path, ...]:
    """Every Python file except the archive's, which is never run."""
    return tuple(path for path in text_files() if path.suffix == ".py" and "Archive" not in path.parts)


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def shown(path: Path) -> str:
    """The path as messages show it: from the project's folder, with forward slashes."""
    return path.relative_to(ROOT).as_posix()


def module_name(path: Path) -> str:
    """The dotted name of a Python file, e.g. neo_engine.domain.number."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def engine_modules() -> dict[str, Path]:
    """Module name -> file, for the package and the scripts beside it."""
    chosen = (
        path
        for path in python_files()
        if path.parent == ROOT or path.relative_to(ROOT).parts[0] == "neo_engine"
    )
    return {module_name(path): path for path in chosen}
