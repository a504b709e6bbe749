"""What every benchmark shares: centiles, processor time, and one way to print a figure beside its aim.

Wall time on a machine that others use says little, so processor time stands beside it everywhere.
"""

from __future__ import annotations

import os
import platform
import resource
import sqlite3
import statistics
import sys
import time
from collections.abc import Sequence

import msgspec

SERIES = 5  # every figure is the median of so many runs


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds that something took: on the wall, and of the processor (user and system)."""

    wall: float
    user: float
    system: float


class Stopwatch:
    """Measures from its making to `spent`; children's processor time counts once they have ended."""

    def __init__(self) -> None:
        self._user, self._system = _processor()
        self._wall = time.perf_counter()

    def spent(self) -> Spent:
        """Return what passed since the start."""
        wall = time.perf_counter() - self._wall
        user, system = _processor()
        return Spent(wall=wall, user=user - self._user, system=system - self._system)


def _processor() -> tuple[float, float]:
    times = os.times()
    return times.user + times.children_user, times.system + times.children_system


def centile(values: Sequence[float], percent: int) -> float:
    """Return the value that `percent` of a hundred do not exceed; needs two values or more."""
    return statistics.quantiles(values, n=100)[percent - 1]


def peak_memory_mb() -> float:
    """Return the most memory this process ever had, in MB (ru_maxrss: KB on Linux, bytes on macOS)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


def title(text: str) -> None:
    """Print the heading of one benchmark."""
    print(f"\n{text}", flush=True)


def figure(
    name: str, value: float, unit: str, *, least: float | None = None, most: float | None = None
) -> None:
    """Print one figure, and whether it meets its aim when it has one."""
    aim = ""
    if least is not None:
        aim = f"aim at least {least:,g}: {'met' if value >= least else 'MISSED'}"
    elif most is not None:
        aim = f"aim at most {most:,g}: {'met' if value <= most else 'MISSED'}"
    print(f"  {name:<46} {_digits(value):>12} {unit:<12} {aim}".rstrip(), flush=True)


def _digits(value: float) -> str:
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3f}"


def machine() -> str:
    """Return what a figure depends on: processors, Python, SQLite."""
    return (
        f"{os.cpu_count()} processors, {platform.machine()}, {platform.python_implementation()} "
        f"{platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )
