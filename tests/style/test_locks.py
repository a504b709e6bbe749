"""The lock files: complete, exactly pinned, and in step with pyproject.toml."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.style.tree import ROOT

PLATFORMS = (("linux", "Linux", "posix"), ("darwin", "Darwin", "posix"), ("win32", "Windows", "nt"))
VERSIONS = ("3.11", "3.12", "3.13")


def lines(name: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith(("#", "-r "))]


def locked(*names: str) -> dict[str, Requirement]:
    requirements = [Requirement(line) for name in names for line in lines(name)]
    return {canonicalize_name(one.name): one for one in requirements}


RUNTIME = locked("requirements.lock")
ALL = locked("requirements.lock", "requirements-dev.lock")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def environments() -> list[dict[str, str]]:
    base = {name: str(value) for name, value in default_environment().items()}
    return [
        base
        | {"sys_platform": platform, "platform_system": system, "os_name": name}
        | {"python_version": version, "python_full_version": f"{version}.0"}
        for platform, system, name in PLATFORMS
        for version in VERSIONS
    ]


def needs(requirement: Requirement) -> list[Requirement]:
    """What an installed package needs on any of the platforms, with the extras asked for."""
    found = [Requirement(text) for text in importlib.metadata.requires(requirement.name) or ()]
    extras = {"", *requirement.extras}
    return [
        one
        for one in found
        if one.marker is None
        or any(one.marker.evaluate({**env, "extra": extra}) for env in environments() for extra in extras)
    ]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_every_line_pins_one_exact_version(name: str) -> None:
    assert [line for line in lines(name) if not re.fullmatch(r"[\w.-]+==[\w.]+( ; .+)?", line)] == []


@pytest.mark.parametrize("one", [*PROJECT["dependencies"]])
def test_a_package_the_engine_names_is_locked_at_that_version(one: str) -> None:
    wanted = Requirement(one)
    assert RUNTIME[canonicalize_name(wanted.name)].specifier == wanted.specifier


@pytest.mark.parametrize("one", PROJECT["optional-dependencies"]["dev"])
def test_a_package_the_tests_name_is_locked_at_that_version(one: str) -> None:
    wanted = Requirement(one)
    assert ALL[canonicalize_name(wanted.name)].specifier == wanted.specifier


@pytest.mark.parametrize(
    ("scope", "names"), [(RUNTIME, sorted(RUNTIME)), (ALL, sorted(ALL))], ids=["runtime", "all"]
)
def test_whatever_a_locked_package_needs_is_locked_too(
    scope: dict[str, Requirement], names: list[str]
) -> None:
    missing = []
    for name in names:
        if scope[name].marker is not None and not scope[name].marker.evaluate():
            continue  # not installed here, so what it needs cannot be read
        for need in needs(scope[name]):
            lock = scope.get(canonicalize_name(need.name))
            version = "" if lock is None else next(iter(lock.specifier)).version
            if lock is None or not need.specifier.contains(version, prereleases=True):
                missing.append(f"{name} needs {need}")
    assert not missing


def test_what_is_installed_is_what_is_locked() -> None:
    different = [
        f"{name}: installed {importlib.metadata.version(one.name)}"
        for name, one in ALL.items()
        if (one.marker is None or one.marker.evaluate())
        and not one.specifier.contains(importlib.metadata.version(one.name), prereleases=True)
    ]
    assert not different, "run `make setup`: " + ", ".join(different)
