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
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml
from pydantic import BaseModel, ValidationError, model_validator

from neo_engine.config_sections import (
    ISSUER_FROM_FEED,
    AlertsConfig,
    EngineConfig,
    ExecutionConfig,
    InventoryConfig,
    LiveConfig,
    LogConfig,
    MonitorsConfig,
    OrderSizeConfig,
    PairConfig,
    PaperConfig,
    ReconcilerConfig,
    ReferenceConfig,
    RiskConfig,
    Section,
    StateConfig,
    StrategyConfig,
)
from neo_engine.domain.errors import ConfigError

MAX_CONFIG_BYTES = 1_000_000  # a larger file is no configuration
MAX_SHOWN_CHARS = 60  # of a wrong value, in an error message
#: Where a seed, or an address with a key in it, would be pasted by mistake.
_NEVER_SHOWN = ("live.account", "live.key_source", "alerts.webhook")
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


#: Keys of `monitors` whose thresholds must rise from left to right.
RISING = (
    ("velocity_warn_pct", "velocity_pull_pct", "velocity_kill_pct"),
    ("cascade_pull", "cascade_kill"),
    ("price_pull_pct", "price_kill_pct"),
    ("reject_warn_share", "reject_pull_share"),
    ("reserve_reduce_xrp", "reserve_warn_xrp"),
    ("depeg_warn_pct", "depeg_pull_pct", "depeg_kill_pct"),
)


def _monitor_faults(monitors: MonitorsConfig, live: LiveConfig | None) -> list[str]:
    """Return what is wrong between keys of `monitors`: thresholds out of order, a limit never reached."""
    faults = [
        f"monitors.{higher} must be greater than monitors.{lower}"
        for names in RISING
        for lower, higher in pairwise(names)
        if getattr(monitors, higher) <= getattr(monitors, lower)
    ]
    if live is not None and monitors.fee_pull_drops > live.max_daily_fee_drops:
        faults.append("monitors.fee_pull_drops must be at most live.max_daily_fee_drops")
    return faults


#: Keys of `strategy` that must rise from left to right: where a factor begins and where it is greatest.
RISING_STRATEGY = (
    ("toxicity_markout_from_bps", "toxicity_markout_full_bps"),
    ("staleness_from_ticks", "staleness_full_ticks"),
)


def _strategy_faults(strategy: StrategyConfig) -> list[str]:
    """Return what is wrong between keys of `strategy`."""
    faults = [
        f"strategy.{higher} must be greater than strategy.{lower}"
        for lower, higher in RISING_STRATEGY
        if getattr(strategy, higher) <= getattr(strategy, lower)
    ]
    if strategy.half_spread_max_bps < strategy.half_spread_min_bps:
        faults.append("strategy.half_spread_max_bps must be at least strategy.half_spread_min_bps")
    if strategy.glft.half_spread_max_bps < strategy.glft.half_spread_min_bps:
        faults.append("strategy.glft.half_spread_max_bps must be at least strategy.glft.half_spread_min_bps")
    return faults


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
    monitors: MonitorsConfig
    reference: ReferenceConfig
    execution: ExecutionConfig
    reconciler: ReconcilerConfig
    state: StateConfig
    log: LogConfig
    alerts: AlertsConfig
    live: LiveConfig | None = None

    @model_validator(mode="after")
    def _cross_checks(self) -> Config:
        faults = _monitor_faults(self.monitors, self.live)
        strategy, risk = self.strategy, self.risk
        if strategy.requote_interval_seconds != self.engine.tick_interval_seconds:
            faults.append(
                f"strategy.requote_interval_seconds ({strategy.requote_interval_seconds}) must equal "
                f"engine.tick_interval_seconds ({self.engine.tick_interval_seconds}): "
                "set both to the same number"
            )
        if risk.stale_halt_seconds <= risk.stale_pull_seconds:
            faults.append("risk.stale_halt_seconds must be greater than risk.stale_pull_seconds")
        faults += _strategy_faults(strategy)
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
    return checked_config(read_yaml(text, source), source)


def checked_config(raw: dict[str, Any], source: str) -> Config:
    """Return the checked configuration in a mapping. Raises ConfigError with every fault found."""
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
