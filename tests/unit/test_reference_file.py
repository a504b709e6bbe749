"""Another market's price from a file: which row counts, what is passed over, and how little is read."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neo_engine.config_sections import ReferenceConfig
from neo_engine.domain.clock import ledger_seconds, utc_text
from neo_engine.domain.reference import ReferencePrice
from neo_engine.feed import reference as edge
from neo_engine.feed.reference import MAX_LINE_BYTES, FileReference, open_reference
from neo_engine.ports import NoReference
from tests.unit.core_values import NOW, D


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "reference.csv"


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Return what gives the lines of the log so far."""
    # Whatever an earlier test left on the logger must not hear these.
    monkeypatch.setattr(logging.getLogger("neo_engine"), "handlers", [])
    monkeypatch.setattr(logging.getLogger("neo_engine"), "propagate", True)
    caplog.set_level("INFO", logger="neo_engine")
    return lambda: [one.getMessage() for one in caplog.records]


def row(seconds: int, price: str) -> str:
    return f"{utc_text(NOW + seconds)},{price}\n"


def put(path: Path, *lines: str) -> FileReference:
    path.write_text("".join(lines))
    return FileReference(path)


def price(seconds: int, value: str) -> ReferencePrice:
    return ReferencePrice(price=D(value), at=NOW + seconds)


def test_the_newest_row_that_is_not_later_than_the_tick_counts(path: Path) -> None:
    with closing(put(path, "time,price\n", row(0, "2"), row(4, "2.1"), row(8, "2.2"))) as found:
        told = [found.price(NOW + at) for at in (-1, 0, 3, 4, 7, 8, 1000)]
    expected = [None, price(0, "2"), price(0, "2"), price(4, "2.1"), price(4, "2.1"), price(8, "2.2")]
    assert told == [*expected, price(8, "2.2")]


def test_of_two_rows_of_one_second_the_last_counts(path: Path) -> None:
    with closing(put(path, row(0, "2"), row(0, "2.1"))) as found:
        assert found.price(NOW) == price(0, "2.1")
        assert not found.bad


def test_a_part_of_a_second_is_of_that_second(path: Path) -> None:
    text = utc_text(NOW).replace("Z", ".999Z")
    with closing(put(path, f"{text},2.5\n")) as found:
        assert found.price(NOW) == price(0, "2.5")


def test_a_file_that_grows_is_read_on_and_a_line_counts_with_its_newline(path: Path) -> None:
    with closing(put(path, row(0, "2"))) as found:
        assert found.price(NOW + 9) == price(0, "2")
        with path.open("a") as file:
            file.write(row(4, "2.123")[:-3])
            file.flush()
            assert found.price(NOW + 9) == price(0, "2")
            file.write(row(4, "2.123")[-3:] + row(8, "2.2"))
        assert found.price(NOW + 7) == price(4, "2.123")
        assert found.price(NOW + 9) == price(8, "2.2")


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (row(4, "NaN"), "price"),
        (row(4, "Infinity"), "price"),
        (row(4, "0"), "price"),
        (row(4, "-2"), "price"),
        (row(4, "1000000.1"), "price"),
        (row(4, "0.0000009"), "price"),
        (row(4, "1e999999"), "price"),
        (row(4, ""), "price"),
        (row(4, "two"), "price"),
        (row(4, "9" * 120), "price"),
        (f"{utc_text(NOW + 4)}\n", "row"),
        (f"{utc_text(NOW + 4)},2,3\n", "row"),
        ("\u00e4,2\n", "row"),
        (f"{'1' * (MAX_LINE_BYTES * 2)}\n", "row"),
        ("yesterday,2\n", "time"),
        ("2026-13-01T00:00:00Z,2\n", "time"),
        (f"{utc_text(NOW + 4)[:-1]},2\n", "time"),
        (f"{utc_text(NOW + 4)[:-1]}+01:00,2\n", "time"),
        (row(-1, "2"), "order"),
    ],
)
def test_a_row_that_is_none_is_counted_told_once_and_passed_over(
    path: Path, line: str, kind: str, heard: Callable[[], list[str]]
) -> None:
    with closing(put(path, row(0, "2"), line, line, row(8, "2.2"))) as found:
        assert found.price(NOW + 7) == price(0, "2")
        assert found.price(NOW + 8) == price(8, "2.2")
        assert found.bad[kind] >= 1
        assert found.bad.total() == found.bad[kind]
    (warning,) = heard()
    assert f"bad {kind} passed over" in warning


@pytest.mark.parametrize(("value", "good"), [("1000000", True), ("0.000001", True), ("1E+1", True)])
def test_a_price_at_its_limits_is_one(path: Path, value: str, good: bool) -> None:
    with closing(put(path, row(0, value))) as found:
        assert (found.price(NOW) == price(0, value)) is good


def test_a_line_that_never_ends_is_not_kept(path: Path) -> None:
    with closing(put(path, "1" * (1 << 20))) as found:
        for _ in range(3):
            assert found.price(NOW) is None
        assert len(found._rest) <= MAX_LINE_BYTES
        with path.open("a") as file:
            file.write("\n" + row(0, "2"))
        assert found.price(NOW) == price(0, "2")


def test_a_call_reads_a_bounded_number_of_rows_and_the_next_ones_the_rest(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "MAX_ROWS", 10)
    with closing(put(path, *[row(second, str(second + 1)) for second in range(25)])) as found:
        told = [found.price(NOW + 99) for _ in range(3)]
    assert [one.at - NOW for one in told if one is not None] == [9, 19, 24]


def test_a_file_is_read_once(path: Path) -> None:
    with closing(put(path, *[row(second, "2") for second in range(5_000)])) as found:
        found.price(NOW + 5_000)
        size = found._file.tell()
        assert size == path.stat().st_size
        found.price(NOW + 5_001)
        assert found._file.tell() == size


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 999)), max_size=30),
    st.lists(st.integers(-5, 60), min_size=1, max_size=10).map(sorted),
)
def test_whatever_the_file_a_tick_gets_the_last_row_in_order_that_is_not_later(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int]], ticks: list[int]
) -> None:
    path = tmp_path_factory.mktemp("reference") / "r.csv"
    ordered: list[tuple[int, int]] = []
    for at, value in rows:
        if not ordered or at >= ordered[-1][0]:
            ordered.append((at, value))
    with closing(put(path, *[row(at, str(value)) for at, value in rows])) as found:
        for tick in ticks:
            due = [price(at, str(value)) for at, value in ordered if at <= tick]
            assert found.price(NOW + tick) == (due[-1] if due else None)


# the start


def test_no_source_and_a_missing_file_turn_it_off_with_one_line_each(
    path: Path, heard: Callable[[], list[str]]
) -> None:
    for source in ("none", f"file:{path}"):
        found = open_reference(ReferenceConfig(source=source, max_age_seconds=60))
        assert isinstance(found, NoReference)
        assert found.price(NOW) is None
        found.close()
    assert heard() == [
        "no reference price (reference.source none): the monitor depeg is off",
        f"reference {path}: No such file or directory; the monitor depeg is off for this session",
    ]


def test_a_file_that_is_there_is_read(path: Path) -> None:
    put(path, row(0, "2")).close()
    with closing(open_reference(ReferenceConfig(source=f"file:{path}", max_age_seconds=60))) as found:
        assert found.price(NOW) == price(0, "2")


@pytest.mark.parametrize("source", ["", "file:", "reference.csv", "NONE", "http://x"])
def test_a_source_is_none_or_a_file(source: str) -> None:
    with pytest.raises(ValueError, match=r"neither none nor file:PATH"):
        ReferenceConfig(source=source, max_age_seconds=60)


def test_the_time_is_the_ledgers_clock() -> None:
    assert ledger_seconds("2000-01-01T00:00:07Z") == 7
