"""What came of a soak, as one table: faults, what must be zero, and how memory, descriptors and WAL went.

1. A fault is detected when, from its beginning to DETECT_LEDGERS after its end, the engine wrote a row that
   speaks of trouble (a gate of TELLING_GATES, a tick without a ledger, a fault of the feed, a reading of a
   monitor, a finding of the reconciler), logged a warning, or ended typed.
2. It is recovered by the first later tick in which orders are wanted again; the time to it counts from the
   end of the fault.
3. Memory: the slope of resident KB against minutes, by least squares, over the longest process without its
   first third, in which caches fill.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import msgspec

from neo_engine.domain.halt import EXIT_UNEXPECTED, HaltReason
from tools.check_live import ask
from tools.simulated_world import TELLING_GATES

DETECT_LEDGERS = 6
LEAVING_SAMPLES = 4  # two seconds, in which a process that ends may have closed its files already
FAR_PRICE = 0.2  # of an order from the mid of its tick: nobody means such a price
UNTYPED = HaltReason.UNEXPECTED_HALT.value


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A look at the running engine. seconds: since the soak began."""

    seconds: float
    pid: int
    resident_kb: int
    descriptors: int
    wal_bytes: int


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that was shown. ledger: the validated one then; length: in ledgers."""

    kind: str
    seconds: float
    ledger: int
    length: int


class Soak(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was seen. signs: seconds at which the log held new warnings. codes: of processes."""

    minutes: float
    seed: int
    speed: int
    ledger_seconds: float
    shown: tuple[Shown, ...]
    signs: tuple[float, ...]
    samples: tuple[Sample, ...]
    codes: tuple[int | None, ...]
    pids: tuple[int, ...]
    killed: tuple[int, ...]
    tracebacks: int
    differences: tuple[str, ...]
    counts: dict[str, int]
    wrong: tuple[str, ...]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the straight line through points by least squares, 0 of fewer than two.

    sum((x - mx)(y - my)) / sum((x - mx)^2), mx and my being the means.

    >>> slope([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)])
    2.0
    """
    if len(points) < 2:
        return 0.0
    mx = sum(x for x, _ in points) / len(points)
    my = sum(y for _, y in points) / len(points)
    below = sum((x - mx) ** 2 for x, _ in points)
    return sum((x - mx) * (y - my) for x, y in points) / below if below else 0.0


def longest(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples of the process that was looked at most often, without those of its leaving."""
    by_pid: dict[int, list[Sample]] = defaultdict(list)
    for one in samples:
        by_pid[one.pid].append(one)
    return max(by_pid.values(), key=len, default=[])[:-LEAVING_SAMPLES]


def memory_slope(samples: Sequence[Sample]) -> float:
    """Return KB a minute of the longest process, its first third left out."""
    seen = longest(samples)
    return slope([(one.seconds / 60, float(one.resident_kb)) for one in seen[len(seen) // 3 :]])


def descriptors(samples: Sequence[Sample]) -> tuple[int, int]:
    """Return how many the longest process had open after the first third of its life, and at its end."""
    seen = longest(samples)
    return (seen[len(seen) // 3].descriptors, seen[-1].descriptors) if seen else (0, 0)


def invalid_orders(db: Path) -> list[str]:
    """Return orders that no ledger may hold, or that nobody means: malformed, or far from the market."""
    found = [
        f"{kind} {tx_hash[:8]}: {preliminary or result}"
        for kind, tx_hash, preliminary, result in ask(
            db,
            "SELECT kind, tx_hash, preliminary, result FROM v_submissions "
            "WHERE preliminary LIKE 'tem%' OR result LIKE 'tem%'",
        )
    ]
    far = ask(
        db,
        "SELECT o.id, o.price, m.mid FROM v_orders o JOIN market_snapshots m ON m.id = "
        "(SELECT s.id FROM market_snapshots s JOIN ticks t ON t.id = s.id "
        "WHERE s.session_id = o.session_id AND t.ledger_index = o.created_ledger LIMIT 1) "
        "WHERE m.mid IS NULL OR abs(o.price - m.mid) > ? * m.mid",
        FAR_PRICE,
    )
    return found + [f"order {number}: {price} where the mid is {mid}" for number, price, mid in far]


def untyped(done: Soak, db: Path) -> list[str]:
    """Return sessions that ended without a reason though nobody killed them."""
    rows = ask(db, "SELECT session_id, pid, halt_reason FROM sessions ORDER BY session_id")
    return [
        f"session {number}: {reason}"
        for number, pid, reason in rows
        if pid not in done.killed and reason in (None, "", UNTYPED)
    ]


def telling_ledgers(db: Path) -> list[int]:
    """Return the ledgers of all ticks that speak of trouble."""
    names = sorted(TELLING_GATES)
    marks = ", ".join("?" * len(names))
    rows = ask(
        db,
        "SELECT ledger_index FROM ticks WHERE kind IN ('silence', 'fault') UNION ALL "
        "SELECT t.ledger_index FROM ticks t, json_each(t.gates) g "
        f"WHERE json_extract(g.value, '$.name') IN ({marks}) OR json_extract(g.value, '$[0]') IN ({marks})",
        *names,
        *names,
    )
    for name in ("feed_faults", "monitor_readings", "reconciliations"):
        rows += ask(
            db,
            f"SELECT t.ledger_index FROM {name} f JOIN ticks t "
            "ON t.session_id = f.session_id AND t.tick = f.tick",
        )
    rows += ask(db, "SELECT last_ledger FROM sessions WHERE last_ledger IS NOT NULL")
    return [int(row[0]) for row in rows]


def judged(done: Soak, db: Path) -> list[tuple[str, bool, float | None]]:
    """Return of each fault its kind, whether it was detected, and the seconds to recovery."""
    told = telling_ledgers(db)
    wanted = "SELECT ledger_index FROM ticks WHERE kind = 'ledger' AND quoting <> 'none'"
    quoting = sorted(row[0] for row in ask(db, wanted))
    found = []
    for one in done.shown:
        end = one.ledger + one.length
        last = one.seconds + (one.length + DETECT_LEDGERS) * done.ledger_seconds
        detected = any(one.ledger < ledger <= end + DETECT_LEDGERS for ledger in told) or any(
            one.seconds <= at <= last for at in done.signs
        )
        again = next((ledger for ledger in quoting if ledger > end), None)
        found.append((one.kind, detected, None if again is None else (again - end) * done.ledger_seconds))
    return found


def zeros(done: Soak, db: Path) -> dict[str, list[str]]:
    """Return what must be nothing: name -> each case."""
    crashes = [f"exit code {code}" for code in done.codes if code == EXIT_UNEXPECTED or (code or 0) < 0]
    crashes += [f"{done.tracebacks} tracebacks in the logs"] if done.tracebacks else []
    return {
        "unhandled exceptions": [*crashes, *untyped(done, db)],
        "invalid orders": invalid_orders(db),
        "rows lost": list(done.differences),
        "not ended as asked": list(done.wrong),
    }


def failed(done: Soak, db: Path) -> bool:
    """Return whether anything that must be zero is not."""
    return any(zeros(done, db).values())


def table(done: Soak, db: Path) -> str:
    """Return the table of a soak."""
    faults = judged(done, db)
    by_kind: dict[str, list[tuple[bool, float | None]]] = defaultdict(list)
    for kind, detected, seconds in faults:
        by_kind[kind].append((detected, seconds))
    lines = [
        f"soak: {done.minutes:g} min, seed {done.seed}, {done.speed}x, {done.ledger_seconds:g} s a ledger",
        f"{'fault':18} {'injected':>8} {'detected':>8} {'recovered':>9} {'median s':>8} {'most s':>7}",
    ]
    for kind, rows in (*sorted(by_kind.items()), ("all", [one[1:] for one in faults])):
        back = sorted(seconds for _, seconds in rows if seconds is not None)
        median, most = (f"{back[len(back) // 2]:.0f}", f"{back[-1]:.0f}") if back else ("", "")
        count = sum(one[0] for one in rows)
        lines.append(f"{kind:18} {len(rows):8} {count:8} {len(back):9} {median:>8} {most:>7}")
    ends = Counter(row[0] or "none" for row in ask(db, "SELECT halt_reason FROM sessions"))
    begun, now = descriptors(done.samples)
    resident = [one.resident_kb for one in longest(done.samples)]
    lines += [
        f"sessions             {sum(ends.values())}: "
        + ", ".join(f"{reason} {count}" for reason, count in ends.most_common()),
        f"kill -9              {len(done.killed)}",
        "compared             " + ", ".join(f"{count} {name}" for name, count in done.counts.items()),
        f"memory               {memory_slope(done.samples):+.0f} KB a minute, "
        f"{resident[-1] if resident else 0} KB at the end of the longest session",
        f"descriptors          {begun} after a third of it, {now} at its end",
        f"WAL                  {max((one.wal_bytes for one in done.samples), default=0)} bytes at most",
    ]
    for name, cases in zeros(done, db).items():
        lines.append(f"{name:20} {len(cases)}")
        lines += [f"  {case[:300]}" for case in cases[:10]]
    return "\n".join(lines)
