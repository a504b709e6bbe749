"""The sections of the configuration and what each of their keys may be; docs/config.md tells them all."""

from __future__ import annotations

import re
import shlex
from decimal import Decimal
from typing import Annotated, Literal

import base58
from pydantic import BaseModel, ConfigDict, Field, field_validator

from neo_engine.domain.assets import IssuedAsset, currency_code
from neo_engine.domain.errors import BadNumber

MAX_AMOUNT = Decimal("1e12")  # more than all XRP there is
MAX_DECIMAL_PLACES = 12  # finer than any price the ledger trades at
ISSUER_FROM_FEED = "from_feed"
FILE_REFERENCE = "file:"  # reference.source begins so where it is no `none`
NONE, AUTO = "none", "auto"  # words in the place of a path, a secret or a program
UNSET = "unset"  # live.account of a delivered file: every operator has another one
_KEY_SOURCE = re.compile(r"env:[A-Za-z_]\w*|file:.+|keyring:[^/]+/.+", re.ASCII)
_ENDPOINT = re.compile(r"wss?://[^\s/]+(/\S*)?")
_ADDRESS_PAYLOAD_BYTES = 21  # one type byte and a 20-byte account id

Exact = Annotated[Decimal, Field(decimal_places=MAX_DECIMAL_PLACES, allow_inf_nan=False)]
Positive = Annotated[Exact, Field(gt=0, le=MAX_AMOUNT)]
NonNegative = Annotated[Exact, Field(ge=0, le=MAX_AMOUNT)]
Bps = Annotated[Exact, Field(ge=0, le=10_000)]
PositiveBps = Annotated[Exact, Field(gt=0, le=10_000)]
Multiple = Annotated[Exact, Field(ge=1, le=100)]
Doubling = Annotated[Exact, Field(ge=1, le=2)]
Share = Annotated[Exact, Field(ge=0, le=1)]
PositiveShare = Annotated[Exact, Field(gt=0, le=1)]
Horizon = Annotated[int, Field(ge=1, le=60, strict=True)]
Count = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
CountOrOff = Annotated[int, Field(ge=0, le=1_000_000, strict=True)]
Word32 = Annotated[int, Field(ge=0, le=2**32 - 1, strict=True)]


class Section(BaseModel):
    """Base of every section: frozen, no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PairConfig(Section):
    """The traded pair; the issuer `from_feed` is the one that the recording's header names."""

    quote_currency: str
    quote_issuer: str

    @field_validator("quote_currency")
    @classmethod
    def _is_currency(cls, value: str) -> str:
        if value.upper() == "XRP":
            raise ValueError("XRP is always the base; name the token it is traded against")
        if not value.isascii():
            raise ValueError("a currency code has ASCII characters only")
        try:
            IssuedAsset(currency=currency_code(value), issuer="")
        except BadNumber as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("quote_issuer")
    @classmethod
    def _is_issuer(cls, value: str) -> str:
        if value == ISSUER_FROM_FEED or is_account_address(value):
            return value
        raise ValueError(
            f"neither {ISSUER_FROM_FEED} nor the address of an account (r..., its checksum included); "
            "copy the issuer's address anew"
        )


class PaperConfig(Section):
    """The paper account and how its orders reach the ledger."""

    start_from: Literal["config", "recording"]
    start_xrp: NonNegative
    start_rlusd: NonNegative
    start_owner_count: CountOrOff
    arrival_delay_ledgers: Annotated[int, Field(ge=1, le=20, strict=True)]


class EngineConfig(Section):
    """The loop."""

    tick_interval_seconds: Count
    wal_checkpoint_interval_seconds: NonNegative
    shutdown_ledgers: CountOrOff
    shutdown_seconds: Count
    depth_levels: Annotated[int, Field(ge=1, le=60, strict=True)]


class GlftConfig(Section):
    """Parameters of the Avellaneda-Stoikov / GLFT model (read by `strategy.model: glft` only)."""

    risk_aversion: Positive
    intensity_window_ticks: Count
    intensity_min_trades: Count
    half_spread_min_bps: PositiveBps
    half_spread_max_bps: Bps


class StrategyConfig(Section):
    """The strategy engine."""

    model: Literal["offset", "glft"]
    anchor_max_divergence_bps: Bps
    clob_switch_threshold_bps: Bps
    pool_weight: Share
    pool_band_margin_bps: Bps
    pool_band_ticks: Count
    book_max_spread_bps: PositiveBps
    requote_interval_seconds: Count
    base_offset_bps: Bps
    volatility_halflife_ticks: Count
    volatility_reference_bps: Positive
    volatility_factor_max: Multiple
    atr_ticks: Count
    atr_reference_bps: Positive
    atr_factor_max: Multiple
    spread_factor_max: Multiple
    max_composed_spread_mult: Multiple
    spread_additive_max_bps: Bps
    markout_ticks: Horizon
    toxicity_window_ticks: Count
    toxicity_min_trades: Count
    toxicity_flow_from: Share
    toxicity_markout_from_bps: Bps
    toxicity_markout_full_bps: PositiveBps
    toxicity_factor_max: Multiple
    toxic_close_share: PositiveShare
    min_edge_bps: Bps
    edge_flat_share: Share
    defence_edge_bps: PositiveBps
    defence_factor_max: Multiple
    defence_halflife_ticks: Count
    staleness_from_ticks: CountOrOff
    staleness_full_ticks: Count
    staleness_factor_max: Multiple
    model_min_fills: CountOrOff
    model_gating_factor: Doubling
    inventory_factor_from: Share
    inventory_factor_max: Multiple
    warmup_ticks: CountOrOff
    skew_bps: Bps
    half_spread_min_bps: PositiveBps
    half_spread_max_bps: Bps
    ladder_levels: Annotated[int, Field(ge=1, le=20, strict=True)]
    ladder_step_bps: Bps
    ladder_size_factor: Positive
    touch_margin_bps: Bps
    price_tolerance_bps: Bps
    size_tolerance: Share
    glft: GlftConfig


class OrderSizeConfig(Section):
    """How much one order trades."""

    base_size_rlusd: Positive
    min_notional_rlusd: Positive


class InventoryConfig(Section):
    """The inventory manager."""

    target_xrp_share: Share
    soft_limit_share: Share
    xrp_buffer: NonNegative


class RiskConfig(Section):
    """The risk gate. Exposure is what is held: fills plus overlay."""

    max_xrp_exposure: Positive
    max_rlusd_exposure: Positive
    max_loss_rlusd: Positive
    max_daily_loss_rlusd: Positive
    max_drawdown_pct: Annotated[Exact, Field(gt=0, le=100)]
    max_feed_failures: Count
    max_unhealthy_ticks: Count
    stale_pull_seconds: Count
    stale_halt_seconds: Count
    stale_data_seconds: Count
    max_open_orders: Annotated[int, Field(ge=1, le=200, strict=True)]
    max_order_rlusd: Positive
    max_fee_drops: Count


class MonitorsConfig(Section):
    """Thresholds of the monitors that `risk` has no limit for; each acts when it is reached."""

    velocity_window_seconds: Count
    velocity_warn_pct: Positive
    velocity_pull_pct: Positive
    velocity_kill_pct: Positive
    cascade_near_bps: PositiveBps
    cascade_pull: Positive
    cascade_kill: Positive
    price_pull_pct: Positive
    price_kill_pct: Positive
    balance_jump_pct: Positive
    balance_jump_seconds: Count
    submit_errors_pull: Count
    reject_window: Annotated[int, Field(ge=1, le=1000, strict=True)]
    reject_warn_share: PositiveShare
    reject_pull_share: PositiveShare
    refusal_pause_seconds: Count
    reserve_warn_xrp: NonNegative
    reserve_reduce_xrp: NonNegative
    fee_pull_drops: Annotated[int, Field(ge=1, le=10**12, strict=True)]
    reconnect_attempts: CountOrOff
    stall_intervals: Count
    clawback_pull_seconds: Count
    depeg_warn_pct: Positive
    depeg_pull_pct: Positive
    depeg_kill_pct: Positive
    depeg_seconds: CountOrOff


class ReferenceConfig(Section):
    """The price of another market that the pair's own is held against."""

    source: str
    max_age_seconds: Count

    @field_validator("source")
    @classmethod
    def _is_source(cls, value: str) -> str:
        if value == NONE or value.removeprefix(FILE_REFERENCE) not in ("", value):
            return value
        raise ValueError(f"neither {NONE} nor {FILE_REFERENCE}PATH")


class ExecutionConfig(Section):
    """How orders are sent."""

    last_ledger_offset: Annotated[int, Field(ge=2, le=100, strict=True)]
    offer_lifetime_seconds: CountOrOff
    offer_refresh_seconds: CountOrOff


class ReconcilerConfig(Section):
    """The reconciler."""

    interval_ticks: Count
    orphan_cleanup_days: Count
    max_repairs: Count


class StateConfig(Section):
    """The state manager."""

    synchronous: Literal["NORMAL", "FULL"]
    busy_timeout_ms: Count
    group_commit_ticks: Count
    backups_kept: CountOrOff
    outage_halt_seconds: CountOrOff


class LiveConfig(Section):
    """The account on a real network. Only a file with `mode: live` has this section."""

    account: str
    key_source: str
    regular_key: Annotated[bool, Field(strict=True)]
    network_id: Word32
    endpoints: Annotated[tuple[str, ...], Field(min_length=1, max_length=10)]
    source_tag: Word32
    external_changes: Literal["propose", "halt"]
    account_check_ledgers: Count
    max_daily_fee_drops: Annotated[int, Field(ge=1, le=10**12, strict=True)]
    tickets: Annotated[int, Field(ge=0, le=250, strict=True)]

    @field_validator("account")
    @classmethod
    def _is_account(cls, value: str) -> str:
        if value == UNSET or is_account_address(value):
            return value
        raise ValueError(f"neither {UNSET} nor the address of an account (r..., its checksum included)")

    @field_validator("key_source")
    @classmethod
    def _is_key_source(cls, value: str) -> str:
        if _KEY_SOURCE.fullmatch(value):
            return value
        raise ValueError("must say where the seed lies: env:NAME, file:PATH or keyring:SERVICE/USER")

    @field_validator("endpoints")
    @classmethod
    def _are_endpoints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [one for one in value if not is_endpoint(one)]
        if wrong or len(set(value)) < len(value):
            raise ValueError("each must be a WebSocket address (wss://host:port or ws://...), given once")
        return value


class LogConfig(Section):
    """Logging to stderr and to a file."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]
    file: Annotated[str, Field(min_length=1, max_length=1000)]
    max_bytes: Annotated[int, Field(ge=10_000, le=10**10, strict=True)]
    kept_files: Annotated[int, Field(ge=0, le=1000, strict=True)]


class AlertsConfig(Section):
    """Messages that reach a person who looks at no screen."""

    webhook: str
    command: str
    min_severity: Literal["info", "warning", "critical"]
    repeat_seconds: Annotated[int, Field(ge=0, le=1_000_000, strict=True)]
    timeout_seconds: Annotated[int, Field(ge=1, le=120, strict=True)]

    @field_validator("webhook")
    @classmethod
    def _is_secret_source(cls, value: str) -> str:
        if value == NONE or _KEY_SOURCE.fullmatch(value):
            return value
        raise ValueError(
            "must be none, or say where the address lies, which may be a secret: env:NAME, file:PATH or "
            "keyring:SERVICE/USER"
        )

    @field_validator("command")
    @classmethod
    def _is_command(cls, value: str) -> str:
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise ValueError(f"must be none, or a program and its arguments ({error})") from None
        if not words:
            raise ValueError("must be none, or a program and its arguments")
        return value


def is_account_address(text: str) -> bool:
    """True if `text` is a classic address (xrpl.org, "Addresses": base58 with checksum, type prefix 0)."""
    try:
        payload = base58.b58decode_check(text, alphabet=base58.RIPPLE_ALPHABET)
    except ValueError:
        return False
    return len(payload) == _ADDRESS_PAYLOAD_BYTES and payload[0] == 0


def is_endpoint(text: str) -> bool:
    """True if `text` is the address of a server's WebSocket."""
    return _ENDPOINT.fullmatch(text) is not None
