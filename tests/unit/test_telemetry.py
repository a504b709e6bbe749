"""Distance to touch, rolled up, against the plain sum over the last hundred ticks."""

from __future__ import annotations

import json
import random
from decimal import Decimal

from neo_engine.domain.records import Touch
from neo_engine.telemetry import WINDOW_TICKS, TouchTelemetry

D = Decimal


def touch(bid: Decimal | None, ask: Decimal | None = None) -> Touch:
    return Touch(our_bid=None, our_ask=None, bid_bps=bid, ask_bps=ask)


def test_the_window_is_a_hundred_ticks_and_equals_the_plain_count_at_every_one() -> None:
    draw = random.Random(7)
    telemetry, seen = TouchTelemetry(), list[Decimal | None]()
    for _ in range(350):
        distance = None if draw.random() < 0.3 else D(draw.randrange(-80_000, 20_000)).scaleb(-4)
        telemetry.add(touch(distance))
        seen.append(distance)
        quoted = [one for one in seen[-100:] if one is not None]
        rolled = json.loads(telemetry.rolling_json(), parse_float=Decimal)["bid"]
        assert rolled["quoted"] == len(quoted)
        assert rolled["within_2bps"] == sum(1 for one in quoted if one >= -2)
        if quoted:
            assert abs(D(rolled["mean_bps"]) - sum(quoted) / len(quoted)) <= D("0.00005")
        else:
            assert rolled["mean_bps"] == ""
    assert WINDOW_TICKS == 100


def test_two_bps_behind_counts_as_within_and_a_hair_more_does_not() -> None:
    telemetry = TouchTelemetry()
    for distance in (D(-2), D("-2.0001"), D(0), D(5)):
        telemetry.add(touch(None, distance))
    assert telemetry.summary() == {
        "bid_ticks": 0,
        "bid_within_2bps": 0,
        "ask_ticks": 4,
        "ask_within_2bps": 3,
    }


def test_the_sides_are_counted_apart_and_ticks_without_an_order_are_not_counted() -> None:
    telemetry = TouchTelemetry()
    telemetry.add(touch(D(-1), None))
    telemetry.add(touch(None, None))
    telemetry.add(touch(D(-3), D(1)))
    assert telemetry.summary() == {
        "bid_ticks": 2,
        "bid_within_2bps": 1,
        "ask_ticks": 1,
        "ask_within_2bps": 1,
    }
    assert json.loads(telemetry.rolling_json()) == {
        "bid": {"quoted": 2, "within_2bps": 1, "mean_bps": "-2"},
        "ask": {"quoted": 1, "within_2bps": 1, "mean_bps": "1"},
    }


def test_the_session_counts_more_than_its_window() -> None:
    telemetry = TouchTelemetry()
    for _ in range(250):
        telemetry.add(touch(D(-1)))
    assert telemetry.summary()["bid_ticks"] == 250
    assert json.loads(telemetry.rolling_json())["bid"]["quoted"] == 100
