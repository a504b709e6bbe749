"""Configuration: YAML in, one frozen and checked value out.

Every key is required (a missing one is an error, so no fallback in code can mask it), every unknown
key is refused with the nearest known one, numbers are exact decimals, NaN and infinity are refused.
All faults are reported at once, each with its path.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Hashable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal

import base58
import msgspec
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from neo_engine.domain.assets import IssuedAsset, currency_code
from neo_engine.domain.errors import BadNumber, ConfigError

MAX_CONFIG_BYTES = 1_000_000  # a larger file is no configuration
MAX_SHOWN_CHARS = 60  # of a wrong value, in an error message
MAX_AMOUNT = Decimal("1e12")  # more than all XRP there is
MAX_DECIMAL_PLACES = 12  # finer than any price the ledger trades at
ISSUER_FROM_FEED = "from_feed"
UNSET = "unset"  # live.account of a delivered file: every operator has another one
_KEY_SOURCE = re.compile(r"env:[A-Za-z_]\w*|file:.+|keyring:[^/]+/.+", re.ASCII)
_ENDPOINT = re.compile(r"wss?://[^\s/]+(/\S*)?")
_NEVER_SHOWN = ("live.account", "live.key_source")  # where a seed would be pasted by mistake
_ADDRESS_PAYLOAD_BYTES = 21  # one type byte and a 20-byte account id
_PLAIN_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]{0,20})")

#: Where the library's own words would name Python types.
_PLAINER = {
    "decimal_type": "must be a number",
    "decimal_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "int_type": "must be a whole number without a fraction or quotes",
    "model_type": "must be a section with its keys indented below it",
    "string_type": "must be a text; put it in quotes",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list, one `- ` line for each",
}

RETIRED = {
    "strategy.max_inventory_usd": "use risk.max_xrp_exposure and risk.max_rlusd_exposure instead",
}

Exact = Annotated[Decimal, Field(decimal_places=MAX_DECIMAL_PLACES, allow_inf_nan=False)]
Positive = Annotated[Exact, Field(gt=0, le=MAX_AMOUNT)]
NonNegative = Annotated[Exact, Field(ge=0, le=MAX_AMOUNT)]
Bps = Annotated[Exact, Field(ge=0, le=10_000)]
PositiveBps = Annotated[Exact, Field(gt=0, le=10_000)]
Multiple = Annotated[Exact, Field(ge=1, le=100)]
Share = Annotated[Exact, Field(ge=0, le=1)]
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
    spread_additive_max_bps: Bps
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
    max_drawdown_pct: Annotated[Exact, Field(gt=0, le=100)]
    max_feed_failures: Count
    max_unhealthy_ticks: Count
    stale_pull_seconds: Count
    stale_halt_seconds: Count
    max_open_orders: Annotated[int, Field(ge=1, le=200, strict=True)]
    max_order_rlusd: Positive
    max_fee_drops: Count


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
    """Logging to stderr."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]


class Config(Section):
    """The whole configuration of one session."""

    mode: Literal["paper", "live"]
    pair: PairConfig
    paper: PaperConfig
    engine: EngineConfig
    strategy: StrategyConfig
    order_size: OrderSizeConfig
    inventory: InventoryConfig
    risk: RiskConfig
    execution: ExecutionConfig
    reconciler: ReconcilerConfig
    state: StateConfig
    log: LogConfig
    live: LiveConfig | None = None

    @model_validator(mode="after")
    def _cross_checks(self) -> Config:
        faults = []
        strategy, risk = self.strategy, self.risk
        if strategy.requote_interval_seconds != self.engine.tick_interval_seconds:
            faults.append(
                f"strategy.requote_interval_seconds ({strategy.requote_interval_seconds}) must equal "
                f"engine.tick_interval_seconds ({self.engine.tick_interval_seconds}): "
                "set both to the same number"
            )
        if risk.stale_halt_seconds <= risk.stale_pull_seconds:
            faults.append("risk.stale_halt_seconds must be greater than risk.stale_pull_seconds")
        if strategy.half_spread_max_bps < strategy.half_spread_min_bps:
            faults.append("strategy.half_spread_max_bps must be at least strategy.half_spread_min_bps")
        if strategy.glft.half_spread_max_bps < strategy.glft.half_spread_min_bps:
            faults.append(
                "strategy.glft.half_spread_max_bps must be at least strategy.glft.half_spread_min_bps"
            )
        if self.order_size.base_size_rlusd < self.order_size.min_notional_rlusd:
            faults.append("order_size.base_size_rlusd must be at least order_size.min_notional_rlusd")
        if strategy.ladder_levels * 2 > risk.max_open_orders:
            faults.append("risk.max_open_orders must be at least twice strategy.ladder_levels")
        lifetime, refresh = self.execution.offer_lifetime_seconds, self.execution.offer_refresh_seconds
        if lifetime and refresh >= lifetime:
            faults.append(
                "execution.offer_refresh_seconds must be less than execution.offer_lifetime_seconds"
            )
        if (self.mode == "live") != (self.live is not None):
            faults.append("mode: live and the section live go together; see config/live_testnet.yaml")
        if self.live is not None and not lifetime:
            faults.append("execution.offer_lifetime_seconds must be above 0 when mode is live: 600 is usual")
        if self.live is not None and self.pair.quote_issuer == ISSUER_FROM_FEED:
            faults.append("pair.quote_issuer must be the issuer's address when mode is live")
        if faults:
            raise ValueError("; ".join(faults))
        return self


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


class _ExactLoader(yaml.SafeLoader):
    """YAML without binary floats, without silently repeated keys and without numbers in disguise."""


def _fault(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _construct_decimal(loader: _ExactLoader, node: yaml.ScalarNode) -> object:
    text = loader.construct_scalar(node)
    special = text.lower().lstrip("+-")
    if special in (".nan", ".inf"):
        return Decimal(text.replace(".", ""))  # refused by the model, with its path
    try:
        return Decimal(text.replace("_", ""))
    except InvalidOperation:
        raise _fault(
            f"{text[:MAX_SHOWN_CHARS]!r} is no decimal number; write it in plain digits", node
        ) from None


def _construct_int(loader: _ExactLoader, node: yaml.ScalarNode) -> object:
    """Read plain digits only: YAML would take 010 for eight and 1:30 for ninety."""
    text = loader.construct_scalar(node)
    if not _PLAIN_INTEGER.fullmatch(text):
        raise _fault(
            f"{text[:MAX_SHOWN_CHARS]!r} is no plain whole number; write it without leading zeros or colons",
            node,
        )
    return int(text)


def _construct_mapping(loader: _ExactLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    result: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise _fault("a key must be one word", key_node)
        if key in result:
            raise _fault(f"key {key!r} is given twice; keep one of the two", key_node)
        result[key] = loader.construct_object(value_node, deep=True)
    return result


_ExactLoader.add_constructor("tag:yaml.org,2002:float", _construct_decimal)
_ExactLoader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_ExactLoader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)


def known_keys(model: type[BaseModel] = Config, prefix: str = "") -> tuple[str, ...]:
    """Return every key that all files have as a dotted path, in file order; see also `live_keys`."""
    keys: list[str] = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            keys.extend(known_keys(inner, f"{prefix}{name}."))
        elif (prefix + name) != "live":
            keys.append(prefix + name)
    return tuple(keys)


def live_keys() -> tuple[str, ...]:
    """Return the keys that a file has besides when its mode is live."""
    return known_keys(LiveConfig, "live.")


def _retired_faults(raw: dict[str, Any]) -> list[str]:
    faults = []
    for path, replacement in RETIRED.items():
        section, key = path.split(".")
        if isinstance(raw.get(section), dict) and key in raw[section]:
            faults.append(f"{path}: this key is retired; remove it and {replacement}")
    return faults


def _nearest(path: str) -> str:
    """Return the known key most like `path`: the same name in another section first, then by spelling."""
    keys = known_keys() + live_keys()
    sections = {key.rpartition(".")[0] for key in keys} - {""}
    name = path.rpartition(".")[2]
    same_name = [key for key in keys if key.rpartition(".")[2] == name]
    candidates = same_name or [*keys, *sorted(sections)]
    return difflib.get_close_matches(path, candidates, n=1, cutoff=0.0)[0]


def _explain(error: Any) -> str | None:
    path = ".".join(str(part) for part in error["loc"])
    if path in RETIRED:
        return None
    if error["type"] == "extra_forbidden":
        return f"{path}: unknown key; the nearest known one is {_nearest(path)}"
    if error["type"] == "missing":
        return f"{path}: missing; add it (config/paper.yaml shows every key with its unit and range)"
    message = _PLAINER.get(error["type"], error["msg"].removeprefix("Value error, "))
    if path in _NEVER_SHOWN:
        return f"{path}: {message}"
    return f"{path}: {message} (found {str(error['input'])[:MAX_SHOWN_CHARS]})" if path else message


def _yaml_fault(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: not valid YAML: {error.problem}"
    return f"not valid YAML: {' '.join(str(error).split())}"


def read_yaml(text: str, source: str) -> dict[str, Any]:
    """Return the mapping in `text`, its numbers exact; `source` names it in errors.

    Raises ConfigError for what is no YAML, repeats a key or holds no mapping.
    """
    try:
        raw = yaml.load(text, Loader=_ExactLoader)
    except yaml.YAMLError as error:
        raise ConfigError(source, (_yaml_fault(error),)) from error
    except RecursionError as error:
        raise ConfigError(source, ("nested too deep; start from config/paper.yaml",)) from error
    if not isinstance(raw, dict):
        raise ConfigError(source, ("empty or not a mapping; start from config/paper.yaml",))
    return raw


def parse_config(text: str, source: str) -> Config:
    """Return the checked configuration in `text`; `source` names it in errors.

    Raises ConfigError with every fault found.
    """
    raw = read_yaml(text, source)
    faults = _retired_faults(raw)
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        faults += [fault for item in error.errors() if (fault := _explain(item)) is not None]
        raise ConfigError(source, tuple(faults)) from None
    if faults:
        raise ConfigError(source, tuple(faults))
    return config


def load_config(path: Path) -> Config:
    """Return the checked configuration in the file. Raises ConfigError naming file, key and fix."""
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ConfigError(str(path), (f"larger than {MAX_CONFIG_BYTES} bytes; this is no configuration",))
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            str(path), (f"cannot be read ({error.strerror}); give an existing file with --config",)
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), (f"not UTF-8 text (byte {error.start}); save it as UTF-8",)) from error
    return parse_config(text, str(path))


def config_json(config: Config) -> str:
    """Return the configuration as canonical JSON (sorted keys, exact numbers as text)."""
    plain = config.model_dump(mode="json", exclude_none=True)
    return msgspec.json.encode(plain, order="sorted").decode()


def config_hash(config: Config) -> str:
    """Return the sha256 of the canonical JSON: equal for equal configurations."""
    return hashlib.sha256(config_json(config).encode()).hexdigest()
