"""Reading the parameters of a request, with the server's own leniency and its own errors.

Theory (rippled json_value.cpp; RPCHelpers.cpp, readLimitField). Where a command does not check a field's
type, rippled converts: a number becomes text, any non-empty value is true. What cannot be converted (a
list where a text is wanted) is an internal error there, and is one here.

Currency codes are brought to one form, so that a three-letter code written in hex is the same asset.

>>> currency_code("0000000000000000000000005553440000000000")
'USD'
>>> currency_code("toolongcode") is None
True
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any, NamedTuple

from neo_engine.domain.assets import Asset
from neo_engine.domain.errors import BadNumber
from neo_engine.simulator.model import keys
from neo_engine.simulator.server.call import Call
from neo_engine.simulator.server.errors import RpcError, expected_field, invalid_field, missing_field

ADDRESS_CHARS_MAX = 40  # no address is longer; decoding takes time with the square of the length
HASH_CHARS = 64
UINT32_MAX = 0xFFFFFFFF
_ISO_CHARS = frozenset(string.ascii_letters + string.digits + "<>(){}[]|?!@#$%^&*")
_HEX_CHARS = frozenset(string.hexdigits)
_CODE_BYTES = slice(12, 15)


class Limits(NamedTuple):
    """How many entries a page may have (rippled Tuning.h)."""

    least: int
    usual: int
    most: int


ACCOUNT_PAGES = Limits(10, 200, 400)
BOOK_PAGES = Limits(0, 60, 100)


def text_of(value: Any) -> str:
    """Return a value as text, as rippled's asString. Raises RpcError for what has no text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise RpcError("internal")


def uint_of(value: Any) -> int | None:
    """Return a value as a 32-bit count, as rippled's asUInt; None for what is none."""
    if value is None:
        return 0
    if isinstance(value, (bool, float)):
        return int(value) if 0 <= value <= UINT32_MAX else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10:
        value = int(value)
    return value if isinstance(value, int) and 0 <= value <= UINT32_MAX else None


def is_hash(text: str) -> bool:
    """True for 64 hex digits."""
    return len(text) == HASH_CHARS and set(text) <= _HEX_CHARS


def is_address(text: str) -> bool:
    """True for an account's address."""
    if len(text) > ADDRESS_CHARS_MAX:
        return False
    try:
        keys.account_id(text)
    except BadNumber:
        return False
    return True


def address(call: Call, name: str = "account") -> str:
    """Return the text of a required field that should hold an address; it may still be none.

    Raises RpcError for a missing field and for one that is no text.
    """
    if name not in call.params:
        raise missing_field(name)
    value = call.params[name]
    if not isinstance(value, str):
        raise invalid_field(name)
    return value


def limit_of(call: Call, limits: Limits) -> int:
    """Return how many entries the page may have. Raises RpcError for anything but a positive count."""
    value = call.params.get("limit")
    if value is None:
        return limits.usual
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise expected_field("limit", "unsigned integer")
    if value == 0:
        raise invalid_field("limit")
    return value if call.admin else max(limits.least, min(limits.most, value))


def currency_code(text: str) -> str | None:
    """Return a currency's code in the ledger's form (XRP, three characters or 40 hex digits), or None."""
    if text in ("", "XRP"):
        return "XRP"
    if len(text) == 3 and set(text) <= _ISO_CHARS:
        return text
    if len(text) != 40 or not set(text) <= _HEX_CHARS:
        return None
    raw = bytes.fromhex(text)
    if not any(raw):
        return "XRP"
    code = raw[_CODE_BYTES].decode("latin-1")
    standard = not any(raw[:12]) and not any(raw[15:]) and set(code) <= _ISO_CHARS
    return code if standard and code != "XRP" else text.upper()


def issuer_address(text: str) -> str | None:
    """Return an issuer's address, given as such or as 40 hex digits; "" for XRP's, None for none."""
    if len(text) == 40 and set(text) <= _HEX_CHARS:
        text = keys.address_of(bytes.fromhex(text))
    if not is_address(text):
        return None
    return "" if text == keys.XRP_ISSUER else text


def issue_of(value: Any) -> Asset | None:
    """Return the asset in a {currency, issuer} object, None where it is none (rippled issueFromJson)."""
    if not isinstance(value, Mapping) or not isinstance(value.get("currency"), str):
        return None
    code = currency_code(value["currency"])
    issuer = value.get("issuer")
    if code is None or (code == "XRP") != (issuer is None):
        return None
    if issuer is None:
        return Asset("XRP", "")
    return Asset(code, issuer) if isinstance(issuer, str) and is_address(issuer) else None
