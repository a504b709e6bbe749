"""From a frame or a body to a reply: the outer shape of both ways to ask (rippled ServerHandler.cpp).

Over a WebSocket a request is an object with `command`; an error stands at the top of the reply and the
request is repeated beside it. By HTTP (JSON-RPC) it is {method, params: [{}]} and everything stands in
`result`; with `ripplerpc` 2.0 and later an error stands in `error`, and from 3.0 on it decides the status.

1. Whatever comes in, a reply goes out; what a command refuses is an `RpcError`, nothing else is caught.
2. Numbers beyond 32 bits and nesting beyond 25 are no JSON to rippled, and so to us.
3. Secrets are masked where a request is repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from neo_engine.simulator.server.call import Call, Client, Network
from neo_engine.simulator.server.commands import ADMIN_ONLY, COMMANDS, NOT_SUPPORTED
from neo_engine.simulator.server.errors import ERRORS, RpcError
from neo_engine.simulator.server.formats import Json

FRAME_BYTES_MAX = 1_000_000  # rippled Tuning.h, maxRequestSize
NESTING_MAX = 25  # rippled json_reader.h, nest_limit
VERSION_DEFAULT = 1
VERSIONS = (1, 2)
_INT_MIN, _UINT_MAX = -(2**31), 2**32 - 1
_SECRETS = ("passphrase", "secret", "seed", "seed_hex")
_ECHOED = ("id", "jsonrpc", "ripplerpc", "api_version")
_NOT_STRING_STATUS = 400


def parse(data: str | bytes) -> Json | None:
    """Return the object in a frame or a body, None for anything that is none."""
    if len(data) > FRAME_BYTES_MAX:
        return None
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _is_readable(value) else None


def _is_readable(value: Json) -> bool:
    """True if rippled's reader would take every number and the depth."""
    level: list[Any] = [value]
    for _ in range(NESTING_MAX):
        numbers = [one for one in level if isinstance(one, int)]
        if any(not _INT_MIN <= number <= _UINT_MAX for number in numbers):
            return False
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below.extend(one.values())
            elif isinstance(one, list):
                below.extend(one)
        if not below:
            return True
        level = below
    return False


def version_of(params: Mapping[str, Any]) -> int | None:
    """Return the API version asked for, None for one that is not spoken here."""
    version = params.get("api_version", VERSION_DEFAULT)
    return version if isinstance(version, int) and version in VERSIONS and version is not True else None


def _result(method: str, call: Call) -> Json:
    """Return the result of a command. Raises RpcError."""
    if method in NOT_SUPPORTED:
        raise RpcError("notSupported")
    command = COMMANDS.get(method)
    if command is None:
        raise RpcError("unknownCmd")
    if method in ADMIN_ONLY and not call.admin:
        raise RpcError("forbidden")
    return command(call)


def _masked(request: Any) -> Any:
    return {name: "<masked>" if name in _SECRETS else value for name, value in request.items()}


def _text(frame: str | bytes) -> str:
    return frame if isinstance(frame, str) else frame.decode("utf-8", "replace")


def answer(frame: str | bytes, network: Network, client: Client | None) -> Json:
    """Return the reply to a WebSocket frame. client: who sent it; None for one that takes no messages."""
    admin = client is None or client.admin
    request = parse(frame)
    if request is None:
        return {"error": "jsonInvalid", "type": "error", "value": _text(frame)}
    echoed = {name: request[name] for name in _ECHOED if name in request}
    version = version_of(request)
    names = [request[name] for name in ("command", "method") if name in request]
    if version is None or not names or not isinstance(names[0], str) or names[-1] != names[0]:
        token = "invalid_API_version" if version is None else "missingCommand"
        return {**echoed, "error": token, "request": request, "status": "error", "type": "response"}
    call = Call(params=request, api_version=version, network=network, client=client, admin=admin)
    try:
        result = _result(names[0], call)
    except RpcError as error:
        told = {**error.body(), "request": _masked(request), "status": "error"}
        return {**told, **echoed, "type": "response"}
    return {"result": result, "status": "success", **echoed, "type": "response"}


def answer_http(body: str | bytes, network: Network, *, admin: bool = True) -> tuple[int, Json | str]:
    """Return status and reply to a JSON-RPC body; a text where rippled answers with plain text."""
    request = parse(body)
    if not request:
        return _NOT_STRING_STATUS, "Unable to parse request: "
    given = request.get("params")
    first = given[0] if isinstance(given, list) and given else None
    version = version_of(first) if isinstance(first, dict) else VERSION_DEFAULT
    fault = _http_fault(request, version)
    if fault:
        return _NOT_STRING_STATUS, fault
    method = request["method"]
    params: Json = {**(first or {}), "command": method}
    call = Call(params=params, api_version=version or 0, network=network, client=None, admin=admin)
    ripplerpc = params.get("ripplerpc", "1.0")
    try:
        reply: Json = {"result": {**_result(method, call), "status": "success"}}
    except RpcError as error:
        reply = _http_error(error, params, ripplerpc)
    reply |= {name: params[name] for name in ("jsonrpc", "ripplerpc", "id") if name in params}
    told = reply.get("error", {})
    status = 200
    if "ripplerpc" in params and ripplerpc >= "3.0" and "error_code" in told:
        info = ERRORS.get(told["error"])
        status = 200 if info is None else info.status
    return status, reply


def _http_fault(request: Json, version: int | None) -> str:
    """Return what is wrong with the outer shape of a JSON-RPC request, "" for nothing."""
    if version is None:
        return "invalid_API_version"
    method = request.get("method")
    if method is None:
        return "Null method"
    if not isinstance(method, str):
        return "method is not string"
    if not method:
        return "method is empty"
    params = request.get("params")
    if params in (None, "", [], {}):
        return ""
    if not isinstance(params, list) or len(params) != 1 or not isinstance(params[0], (dict, type(None))):
        return "params unparsable"
    ripplerpc = (params[0] or {}).get("ripplerpc", "1.0")
    return "" if isinstance(ripplerpc, str) else "ripplerpc is not a string"


def _http_error(error: RpcError, params: Json, ripplerpc: str) -> Json:
    told = {**error.body(), "status": "error"}
    if ripplerpc < "2.0":
        return {"result": {**told, "request": _masked(params)}}
    message = told.pop("error_message", None)
    return {"error": {**told, "code": told.get("error_code"), "message": message}}
