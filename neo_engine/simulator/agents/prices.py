"""The fair price that the agents trade around: a real series, or a drawn path; with trends, jumps, crashes.

The series is the close of every minute of a month (XRPUSDT, May 2025); fifteen ledgers lie between two of
them. They follow the straight line from one to the next with a bridge of noise on it: a walk that is led back
to the line's end. At the end of the month the series is walked backwards, and so on, so it has
no end and no leap. The seed chooses where it begins.

The drawn path moves by a sum of four evenly drawn whole numbers a ledger (close to a bell curve), by a trend
that turns at random, by jumps, and is pulled back to where it began, so that it stays a price for months.

Everything is exact: whole numbers from the generator, Decimals of 16 digits (ROUND_HALF_EVEN) from them.

>>> Path(flat_price(Decimal(2)), Random(1)).step()
Decimal('2')
"""

from __future__ import annotations

import gzip
from array import array
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import cache
from pathlib import Path as FilePath
from random import Random
from typing import Protocol

from neo_engine.simulator.agents.settings import PriceSettings

SERIES_FILE = FilePath(__file__).parent / "data" / "xrpusdt_1m_2025-05.csv.gz"
LEDGERS_A_MINUTE = 15
BPS = Decimal(10_000)
NARROW, WIDE = Decimal("0.2"), Decimal(5)  # a drawn path stays within this of its start
FIRST_CRASH = 8  # the part of the time between two crashes after which the first one comes
_SUMMANDS, _REACH = 4, 1_000
_DEVIATION = Decimal("1155.2")  # of a sum of four numbers drawn evenly from -1000..1000: sqrt(4/12 2001^2)
_PLACES = 4  # decimals of the series
_UNITS = Decimal(1).scaleb(-_PLACES)
_exact = Context(prec=16, rounding=ROUND_HALF_EVEN)


class Prices(Protocol):
    """A path of prices."""

    def step(self) -> Decimal:
        """Return the price one ledger later."""


def flat_price(start: Decimal) -> PriceSettings:
    """Return the settings of a price that never moves."""
    return PriceSettings(
        source="random",
        start=start,
        noise_bps=Decimal(0),
        pull_bps=Decimal(0),
        trend_bps=Decimal(0),
        trend_ledgers=0,
        jump_ledgers=0,
        jump_bps_min=0,
        jump_bps_max=0,
        crash_ledgers=0,
        crash_bps=Decimal(0),
        crash_fall_ledgers=0,
        crash_recovery_ledgers=0,
    )


def draw_step(rng: Random, deviation: Decimal) -> Decimal:
    """Return a random number with this standard deviation and mean zero."""
    total = sum(rng.randrange(-_REACH, _REACH + 1) for _ in range(_SUMMANDS))
    return _exact.divide(deviation * total, _DEVIATION)


@cache
def series() -> array[int]:
    """Return the closes of the shipped month, in 1/10,000."""
    with gzip.open(SERIES_FILE, "rt", encoding="ascii") as file:
        next(file)  # the name of the column
        parts = (line.strip().partition(".") for line in file)
        return array("l", (int(whole + part.ljust(_PLACES, "0")) for whole, _, part in parts))


class Series:
    """The shipped month, forth and back for ever."""

    def __init__(self, settings: PriceSettings, rng: Random) -> None:
        self._rng = rng
        self._noise = settings.noise_bps / BPS
        self._closes = series()
        self._at = rng.randrange(len(self._closes))
        self._way = 1
        self._points: Iterator[Decimal] = iter(())

    def step(self) -> Decimal:
        """Return the price one ledger later."""
        price = next(self._points, None)
        if price is None:
            self._points = self._minute()
            price = next(self._points)
        return price

    def _minute(self) -> Iterator[Decimal]:
        """Yield the prices after the minute's start, the last one its end."""
        last = len(self._closes) - 1
        if not 0 <= self._at + self._way <= last:
            self._way = -self._way
        start = self._closes[self._at] * _UNITS
        self._at += self._way
        end = self._closes[self._at] * _UNITS
        steps = [draw_step(self._rng, self._noise) for _ in range(LEDGERS_A_MINUTE)]
        lead = _exact.divide(sum(steps, Decimal(0)), Decimal(LEDGERS_A_MINUTE))
        off = Decimal(0)
        for number, step in enumerate(steps, start=1):
            off += step - lead
            line = start + _exact.divide((end - start) * number, Decimal(LEDGERS_A_MINUTE))
            yield end if number == LEDGERS_A_MINUTE else _exact.multiply(line, 1 + off)


class Path:
    """A drawn path."""

    def __init__(self, settings: PriceSettings, rng: Random) -> None:
        self._rng = rng
        self._noise = settings.noise_bps / BPS
        self._start = settings.start
        self._price = settings.start
        self._pull = settings.pull_bps / BPS
        self._drift = settings.trend_bps / BPS * rng.choice((-1, 1))
        self._turns_in = settings.trend_ledgers

    def step(self) -> Decimal:
        """Return the price one ledger later."""
        rng = self._rng
        if self._turns_in and not rng.randrange(self._turns_in):
            self._drift = -self._drift
        away = _exact.divide(self._price, self._start) - 1
        move = self._drift - self._pull * away
        if self._noise:
            move += draw_step(rng, self._noise)
        self._price = self._held(_exact.multiply(self._price, 1 + move))
        return self._price

    def _held(self, price: Decimal) -> Decimal:
        return min(max(price, self._start * NARROW), self._start * WIDE)


class Events:
    """Jumps and crashes over another path, as a factor that multiplies it.

    A jump stays, but half of what is left of all jumps goes away every `_HALF_LIFE` ledgers or so, and the
    factor stays within the bounds of a drawn path. A crash falls evenly and recovers evenly, and comes again;
    the first one begins after an eighth of the time between two.
    """

    _HALF_LIFE = 2_000

    def __init__(self, settings: PriceSettings, rng: Random, below: Prices) -> None:
        self._rng = rng
        self._settings = settings
        self._below = below
        self._factor = Decimal(1)
        self._ledger = 0

    def step(self) -> Decimal:
        """Return the price one ledger later."""
        price = self._below.step()
        settings = self._settings
        if settings.jump_ledgers:
            self._jump()
            price = _exact.multiply(price, self._factor)
        if settings.crash_ledgers:
            self._ledger += 1
            price = _exact.multiply(price, 1 - self._fallen())
        return price

    def _jump(self) -> None:
        rng, settings = self._rng, self._settings
        self._factor -= _exact.divide((self._factor - 1) * 7, Decimal(10 * self._HALF_LIFE))
        if not rng.randrange(settings.jump_ledgers):
            size = rng.randint(settings.jump_bps_min, settings.jump_bps_max) * rng.choice((-1, 1))
            factor = _exact.multiply(self._factor, 1 + size / BPS)
            self._factor = min(max(factor, NARROW), WIDE)

    def _fallen(self) -> Decimal:
        """Return how much of the price a crash has taken."""
        settings = self._settings
        since = self._ledger - settings.crash_ledgers // FIRST_CRASH
        if since < 0:
            return Decimal(0)
        since %= settings.crash_ledgers
        fall, recovery = settings.crash_fall_ledgers, settings.crash_recovery_ledgers
        whole = settings.crash_bps / BPS
        if since < fall:
            return _exact.divide(whole * (since + 1), Decimal(fall))
        if since < fall + recovery:
            return _exact.divide(whole * (fall + recovery - since - 1), Decimal(recovery))
        return Decimal(0)


def prices_of(settings: PriceSettings, rng: Random) -> Prices:
    """Return the path a market's settings describe."""
    base: Prices = Series(settings, rng) if settings.source == "series" else Path(settings, rng)
    return Events(settings, rng, base) if settings.jump_ledgers or settings.crash_ledgers else base
