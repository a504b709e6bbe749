"""fault: shows a fault at once, for an admin on the same socket (no command of rippled's)."""

from __future__ import annotations

from typing import Any

from neo_engine.simulator.server.call import Call
from neo_engine.simulator.server.errors import RpcError, invalid_params
from neo_engine.simulator.server.fault_schedule import BadSchedule
from neo_engine.simulator.server.formats import Json


def fault(call: Call) -> Json:
    """Start the fault that the request names. Raises RpcError (invalidParams) saying what is wrong."""
    network: Any = call.network
    faults = getattr(network, "faults", None)
    if faults is None:
        raise RpcError("notSupported")
    try:
        return dict(faults.command(faults.real(network), call.params))
    except BadSchedule as error:
        raise invalid_params(str(error)) from error
