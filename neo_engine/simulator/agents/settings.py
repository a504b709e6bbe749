"""What a named market is made of: config/markets.yaml, read and checked.

Ranges stand here, units and meanings beside the keys of `calm` in that file. A market that names another in
`based_on` takes every key from it that it does not give itself; a key that nobody knows is refused.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

import neo_engine
from neo_engine.config import read_yaml
from neo_engine.config_sections import Exact, Section
from neo_engine.domain.errors import ConfigError, UsageError

MARKETS_FILE = Path(neo_engine.__file__).resolve().parent.parent / "config" / "markets.yaml"
DIGEST_DIGITS = 8  # enough to tell two versions of a market apart
DEFAULT_MARKET = "calm"
BASED_ON = "based_on"

Permille = Annotated[int, Field(ge=0, le=1000, strict=True)]
Percent = Annotated[int, Field(ge=0, le=100, strict=True)]
Ledgers = Annotated[int, Field(ge=0, le=1_000_000, strict=True)]
Life = Annotated[int, Field(ge=1, le=100_000, strict=True)]
Distance = Annotated[Exact, Field(ge=0, le=1_000)]
Move = Annotated[Exact, Field(ge=0, le=100)]
Weight = Annotated[int, Field(ge=0, le=1_000, strict=True)]
Size = Annotated[Exact, Field(ge=0, le=1_000_000)]


class PriceSettings(Section):
    """How the fair price moves."""

    source: Literal["series", "random"]
    start: Annotated[Exact, Field(ge=Decimal("0.0001"), le=10_000)]
    noise_bps: Move
    pull_bps: Move
    trend_bps: Move
    trend_ledgers: Ledgers
    jump_ledgers: Ledgers
    jump_bps_min: Annotated[int, Field(ge=0, le=5_000, strict=True)]
    jump_bps_max: Annotated[int, Field(ge=0, le=5_000, strict=True)]
    crash_ledgers: Ledgers
    crash_bps: Annotated[Exact, Field(ge=0, le=9_000)]
    crash_fall_ledgers: Annotated[int, Field(ge=0, le=100_000, strict=True)]
    crash_recovery_ledgers: Annotated[int, Field(ge=0, le=100_000, strict=True)]

    @model_validator(mode="after")
    def _in_order(self) -> PriceSettings:
        if self.jump_bps_max < self.jump_bps_min:
            raise ValueError("jump_bps_max must be at least jump_bps_min")
        if self.crash_ledgers and not self.crash_fall_ledgers:
            raise ValueError("crash_fall_ledgers must be above 0 where there are crashes")
        if self.crash_fall_ledgers + self.crash_recovery_ledgers > self.crash_ledgers:
            raise ValueError("crash_ledgers must hold the fall and the recovery")
        return self


class MakerSettings(Section):
    """One maker's ladders."""

    token: Literal["RLUSD", "USD"]
    levels: Annotated[int, Field(ge=0, le=20, strict=True)]
    half_spread_bps: Distance
    step_bps: Distance
    widening: Annotated[Exact, Field(ge=0, le=20)]
    ask_xrp: Size
    bid_xrp: Size
    lives_ledgers: Annotated[tuple[Life, ...], Field(min_length=1, max_length=100)]
    flee_bps: Distance
    replace_percent: Percent
    expires_seconds: Annotated[int, Field(ge=0, le=100_000, strict=True)]
    passive: bool


class TakerSettings(Section):
    """What the takers send."""

    orders_permille: Permille
    size_xrp: Size
    ioc_weight: Weight
    fok_weight: Weight
    limit_weight: Weight
    payment_weight: Weight
    bridged_weight: Weight
    slip_bps_min: Annotated[int, Field(ge=0, le=1_000, strict=True)]
    slip_bps_max: Annotated[int, Field(ge=0, le=1_000, strict=True)]
    distance_bps_min: Annotated[int, Field(ge=0, le=1_000, strict=True)]
    distance_bps_max: Annotated[int, Field(ge=0, le=1_000, strict=True)]
    wait_ledgers_min: Life
    wait_ledgers_max: Life

    @model_validator(mode="after")
    def _in_order(self) -> TakerSettings:
        for name in ("slip_bps", "distance_bps", "wait_ledgers"):
            if getattr(self, f"{name}_max") < getattr(self, f"{name}_min"):
                raise ValueError(f"{name}_max must be at least {name}_min")
        if not self.ioc_weight + self.fok_weight + self.limit_weight + self.payment_weight:
            raise ValueError("one of the weights of ioc, fok, limit and payment must be above 0")
        return self


class PoolSettings(Section):
    """The pool and its liquidity provider."""

    xrp: Annotated[Exact, Field(ge=1, le=10_000_000)]
    fee_units: Annotated[int, Field(ge=0, le=1_000, strict=True)]
    visit_ledgers: Ledgers
    visit_bps: Annotated[int, Field(ge=1, le=1_000, strict=True)]


class ArbitrageSettings(Section):
    """The arbitrageur."""

    chance_percent: Percent
    offer_edge_bps: Distance
    pool_edge_bps: Distance
    size_xrp: Annotated[Exact, Field(ge=1, le=1_000_000)]


class RefusedSettings(Section):
    """Orders that come to nothing."""

    unfunded_permille: Permille
    reserve_permille: Permille
    short_permille: Permille
    dust_permille: Permille


class FundsSettings(Section):
    """What agents own."""

    xrp: Annotated[Exact, Field(ge=1_000, le=100_000_000)]


class MarketSettings(Section):
    """One named market."""

    warmup_ledgers: Annotated[int, Field(ge=0, le=1_000, strict=True)]
    price: PriceSettings
    makers: dict[str, MakerSettings]
    takers: TakerSettings
    pool: PoolSettings
    arbitrage: ArbitrageSettings
    refused: RefusedSettings
    funds: FundsSettings


def parse_markets(text: str, source: str) -> dict[str, MarketSettings]:
    """Return the markets in `text`; `source` names it in errors. Raises ConfigError with every fault."""
    raw = read_yaml(text, source)
    markets: dict[str, MarketSettings] = {}
    faults: list[str] = []
    for name in raw:
        try:
            markets[name] = MarketSettings.model_validate(_whole(raw, name, source))
        except ValidationError as error:
            faults += [f"{name}.{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    if faults:
        raise ConfigError(source, tuple(faults))
    return markets


def _whole(raw: dict[str, Any], name: str, source: str, below: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a market's keys with those of the markets it is based on."""
    own = raw.get(name)
    if not isinstance(own, dict) or name in below:
        raise ConfigError(source, (f"{name}: no market to be based on; name another one of this file",))
    if BASED_ON not in own:
        return own
    base = _whole(raw, own[BASED_ON], source, (*below, name))
    return _merged(base, {key: value for key, value in own.items() if key != BASED_ON})


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    whole = dict(base)
    for key, value in own.items():
        inner = whole.get(key)
        whole[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return whole


@cache
def markets() -> dict[str, MarketSettings]:
    """Return the markets of the project's configuration. Raises ConfigError naming file and fault."""
    try:
        text = MARKETS_FILE.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        fix = "it holds the named markets; take it from a fresh copy of the project"
        raise ConfigError(str(MARKETS_FILE), (f"cannot be read ({error}); {fix}",)) from None
    return parse_markets(text, str(MARKETS_FILE))


def market_settings(name: str) -> MarketSettings:
    """Return a named market. Raises UsageError naming those there are."""
    found = markets().get(name)
    if found is None:
        raise UsageError(f"--market {name}: no such market; choose one of {', '.join(markets())}")
    return found


def settings_digest(name: str) -> str:
    """Return what tells two versions of a market apart: the begin of a hash over all its settings."""
    return sha256(market_settings(name).model_dump_json().encode("utf-8")).hexdigest()[:DIGEST_DIGITS]
