"""Which server is read and written to, and how long a lost one is left alone."""

from __future__ import annotations

import pytest

from neo_engine.xrpl.endpoints import Endpoints

A, B, C = "wss://a", "wss://b", "wss://c"


def connected(*urls: str) -> Endpoints:
    """All of them connected, at ledger 100, with replies in 100 ms; the first is read and written to."""
    endpoints = Endpoints(urls, attempts_max=3)
    for url in urls:
        endpoints.opened(url)
        endpoints.heard(url, 100)
        endpoints.answered(url, 100.0)
    endpoints.judge()
    return endpoints


def hopes(endpoints: Endpoints) -> tuple[bool, bool]:
    """Whether nobody can be reached, and whether all are given up."""
    return endpoints.unreachable, endpoints.exhausted


def test_delays_double_from_one_second_to_sixty() -> None:
    endpoints = Endpoints([A], attempts_max=99)
    delays = []
    for _ in range(9):
        endpoints.lost(A, "refused")
        delays.append(endpoints.delay(A, 0.5))  # the middle of the jitter
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_jitter_is_a_quarter_either_way_and_never_over_a_minute() -> None:
    endpoints = Endpoints([A], attempts_max=99)
    endpoints.lost(A, "refused")
    assert (endpoints.delay(A, 0.0), endpoints.delay(A, 1.0)) == (0.75, 1.25)
    for _ in range(2_000):
        endpoints.lost(A, "refused")
    assert (endpoints.delay(A, 0.0), endpoints.delay(A, 1.0)) == (45.0, 60.0)


def test_attempts_count_anew_only_when_a_ledger_is_heard() -> None:
    endpoints = Endpoints([A], attempts_max=3)
    for _ in range(2):
        endpoints.opened(A)
        endpoints.lost(A, "closed at once")
    assert endpoints.delay(A, 0.5) == 2.0
    endpoints.opened(A)
    endpoints.heard(A, 5)
    endpoints.lost(A, "cut")
    assert endpoints.delay(A, 0.5) == 1.0


def test_all_are_exhausted_only_when_each_has_failed_often_enough() -> None:
    endpoints = Endpoints([A, B], attempts_max=2)
    endpoints.lost(A, "refused")
    assert hopes(endpoints) == (False, False)
    endpoints.lost(B, "no such host")
    assert hopes(endpoints) == (True, False)
    endpoints.lost(A, "refused")
    endpoints.lost(A, "refused")
    assert hopes(endpoints) == (True, False)
    endpoints.lost(B, "no such host")
    assert hopes(endpoints) == (True, True)
    assert endpoints.told() == f"{A}: refused; {B}: no such host"


def test_a_cut_is_no_failed_attempt() -> None:
    endpoints = Endpoints([A], attempts_max=1)
    endpoints.opened(A)
    endpoints.lost(A, "cut")
    assert hopes(endpoints) == (False, False)
    endpoints.lost(A, "refused")
    assert hopes(endpoints) == (True, True)


def test_the_best_score_is_read_first() -> None:
    endpoints = Endpoints([A, B], attempts_max=3)
    for url, milliseconds in ((A, 300.0), (B, 20.0)):
        endpoints.opened(url)
        endpoints.answered(url, milliseconds)
    endpoints.judge()
    assert (endpoints.reader, endpoints.ranked()) == (B, [B, A])


def test_a_reader_that_lags_is_left_at_the_second_judgement() -> None:
    endpoints = connected(A, B)
    endpoints.heard(B, 103)
    endpoints.judge()
    assert endpoints.reader == A
    endpoints.judge()
    assert endpoints.reader == B


def test_a_lag_of_one_ledger_moves_no_reader() -> None:
    endpoints = connected(A, B)
    endpoints.heard(B, 101)
    for _ in range(5):
        endpoints.judge()
    assert endpoints.reader == A


def test_a_reader_that_recovers_between_two_judgements_is_kept() -> None:
    endpoints = connected(A, B)
    for ledger in (103, 106, 109):
        endpoints.heard(B, ledger)
        endpoints.judge()
        endpoints.heard(A, ledger)
        endpoints.judge()
    assert endpoints.reader == A


def test_errors_move_the_reader() -> None:
    endpoints = connected(A, B)
    for _ in range(3):  # a share of 1 - 0.8 ** 3 = 0.488 failed: 2,440 points
        endpoints.erred(A)
    endpoints.judge()
    endpoints.judge()
    assert endpoints.reader == B


def test_a_lost_reader_is_replaced_at_once() -> None:
    endpoints = connected(A, B, C)
    endpoints.lost(A, "cut")
    endpoints.judge()
    assert endpoints.reader in (B, C)


def test_the_writer_stays_pinned_whatever_the_scores() -> None:
    endpoints = connected(A, B)
    endpoints.heard(B, 200)
    for _ in range(5):
        endpoints.erred(A)
        endpoints.judge()
    assert (endpoints.reader, endpoints.writer) == (B, A)


@pytest.mark.parametrize(("judgements", "writer"), [(1, A), (2, B)])
def test_a_writer_that_is_gone_is_replaced_at_the_second_judgement(judgements: int, writer: str) -> None:
    endpoints = connected(A, B)
    endpoints.lost(A, "cut")
    for _ in range(judgements):
        endpoints.judge()
    assert endpoints.writer == writer


def test_a_writer_stays_the_writer_when_nobody_is_there() -> None:
    endpoints = connected(A, B)
    endpoints.lost(A, "cut")
    endpoints.lost(B, "cut")
    for _ in range(5):
        endpoints.judge()
    assert (endpoints.writer, endpoints.reader) == (A, "")


def test_connections_that_open_and_end_are_no_judgement_of_reader_and_writer() -> None:
    endpoints = connected(A, B)
    endpoints.heard(B, 110)
    for _ in range(5):
        endpoints.judge(timed=False)
    assert endpoints.reader == A
    endpoints.lost(A, "cut")
    for _ in range(5):
        endpoints.judge(timed=False)
    assert (endpoints.reader, endpoints.writer) == (B, A)
