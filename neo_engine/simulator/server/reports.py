"""What the server tells of itself: `fee`, `server_info`, `server_state`, and the load in its streams.

The fields are those of a rippled 3.1.1 with its own administrator on the line; what this server has none
of (peers, threads, a disk) has the value of one that stands alone. Times are the network's.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec

from neo_engine.simulator.model.context import Rules
from neo_engine.simulator.model.ledger import Header
from neo_engine.simulator.server.queue import (
    BASE_LEVEL,
    EXPECTED_ALONE,
    LEDGERS_IN_QUEUE,
    MULTIPLIER_MIN,
    FeeQueue,
    drops_asked,
    drops_of,
)

Json = dict[str, Any]

BUILD_VERSION = "3.1.1"
NODE_KEY = "n9Lx4Kkau1Zv9aLevL76dBfVtVM3yHmneuh2EgDoHoNbHiLyamBR"
HOST = "neo"
_GIT = {"branch": "HEAD", "hash": "c5988233d05bedddac28866ed37607f4869855f9"}
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MICROSECONDS = 1_000_000


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """The network at one moment. now, started: seconds since 2000-01-01. ports: (number, protocol).

    queue: None without fee escalation. in_ledger: transactions in the open ledger.
    """

    now: int
    started: int
    header: Header
    first_ledger: int
    rules: Rules
    network_id: int
    in_ledger: int
    queue: FeeQueue | None
    ports: tuple[tuple[int, str], ...] = ()
    amendment_blocked: bool = False

    @property
    def open_level(self) -> int:
        """The fee level that the open ledger asks for."""
        return BASE_LEVEL if self.queue is None else self.queue.metrics.required_level(self.in_ledger)

    @property
    def open_cost(self) -> int:
        """The drops a reference transaction has to pay to get into the open ledger."""
        return drops_asked(self.open_level, self.rules.base_fee)

    @property
    def complete_ledgers(self) -> str:
        """The range of ledgers kept."""
        return f"{self.first_ledger}-{self.header.ledger_index}"


def fee_report(at: Situation) -> Json:
    """Return the result of `fee`."""
    base = at.rules.base_fee
    metrics = None if at.queue is None else at.queue.metrics
    expected = EXPECTED_ALONE if metrics is None else metrics.expected
    median = MULTIPLIER_MIN if metrics is None else metrics.multiplier
    room = expected * LEDGERS_IN_QUEUE if at.queue is None else at.queue.size_max
    return {
        "current_ledger_size": str(at.in_ledger),
        "current_queue_size": str(0 if at.queue is None else len(at.queue)),
        "drops": {
            "base_fee": str(base),
            "median_fee": str(drops_of(median, base)),
            "minimum_fee": str(base),
            "open_ledger_fee": str(at.open_cost),
        },
        "expected_ledger_size": str(expected),
        "ledger_current_index": at.rules.ledger_index,
        "levels": {
            "median_level": str(median),
            "minimum_level": str(BASE_LEVEL),
            "open_ledger_level": str(at.open_level),
            "reference_level": str(BASE_LEVEL),
        },
        "max_queue_size": str(room),
    }


def load_fields(at: Situation) -> Json:
    """Return the load factors as `server_state` and the `server` stream have them."""
    return {
        "load_base": BASE_LEVEL,
        "load_factor": at.open_level,
        "load_factor_fee_escalation": at.open_level,
        "load_factor_fee_queue": BASE_LEVEL,
        "load_factor_fee_reference": BASE_LEVEL,
        "load_factor_server": BASE_LEVEL,
    }


def server_status(at: Situation) -> Json:
    """Return a message of the `server` stream."""
    return {
        "type": "serverStatus",
        "server_status": "full",
        "base_fee": at.rules.base_fee,
        **load_fields(at),
    }


def _common(at: Situation) -> Json:
    uptime = at.now - at.started
    state = {"duration_us": "0", "transitions": "0"}
    told: Json = {
        "build_version": BUILD_VERSION,
        "complete_ledgers": at.complete_ledgers,
        "git": dict(_GIT),
        "initial_sync_duration_us": "0",
        "io_latency_ms": 1,
        "jq_trans_overflow": "0",
        "load": {"job_types": [], "threads": 1},
        "node_size": "medium",
        "peer_disconnects": "0",
        "peer_disconnects_resources": "0",
        "peers": 0,
        "ports": [{"port": str(port), "protocol": [protocol]} for port, protocol in at.ports],
        "pubkey_node": NODE_KEY,
        "pubkey_validator": "none",
        "server_state": "full",
        "server_state_duration_us": str(uptime * _MICROSECONDS),
        "state_accounting": {
            **{name: dict(state) for name in ("connected", "syncing", "tracking")},
            "disconnected": {"duration_us": "0", "transitions": "1"},
            "full": {"duration_us": str(uptime * _MICROSECONDS), "transitions": "1"},
        },
        "time": _human(at.now),
        "uptime": uptime,
        "validation_quorum": 0,
    }
    if at.network_id:
        told["network_id"] = at.network_id
    if at.amendment_blocked:
        told["amendment_blocked"] = True
    return told


def _human(seconds: int) -> str:
    when = _EPOCH + timedelta(seconds=seconds)
    return f"{when.year}-{_MONTHS[when.month - 1]}-{when:%d %H:%M:%S}.000000 UTC"


def _xrp(drops: int) -> int | float:
    """Return drops as the JSON number of XRP that the server shows (never calculated with)."""
    value = Decimal(drops).scaleb(-6)
    return int(value) if value == value.to_integral_value() else float(value)


def server_info(at: Situation) -> Json:
    """Return the result of `server_info`."""
    factor = Fraction(at.open_level, BASE_LEVEL)
    info = {
        **_common(at),
        "hostid": HOST,
        "last_close": {"converge_time_s": 0.1, "proposers": 0},
        "load_factor": int(factor) if factor.denominator == 1 else float(factor),
        "validated_ledger": {
            "age": max(at.now - at.header.close_time, 0),
            "base_fee_xrp": _xrp(at.rules.base_fee),
            "hash": at.header.ledger_hash,
            "reserve_base_xrp": _xrp(at.rules.base_reserve),
            "reserve_inc_xrp": _xrp(at.rules.owner_reserve),
            "seq": at.header.ledger_index,
        },
        "validator_list": {"count": 0, "expiration": "unknown", "status": "unknown"},
    }
    if at.open_level != BASE_LEVEL:
        info["load_factor_fee_escalation"] = info["load_factor"]
    return {"info": info}


def server_state(at: Situation) -> Json:
    """Return the result of `server_state`."""
    state = {
        **_common(at),
        **load_fields(at),
        "last_close": {"converge_time": 100, "proposers": 0},
        "validated_ledger": {
            "base_fee": at.rules.base_fee,
            "close_time": at.header.close_time,
            "hash": at.header.ledger_hash,
            "reserve_base": at.rules.base_reserve,
            "reserve_inc": at.rules.owner_reserve,
            "seq": at.header.ledger_index,
        },
        "validator_list_expires": 0,
    }
    return {"state": state}
