"""Amounts inside the model: an `int` is XRP in drops, a `Token` an issued amount.

The wire form is the ledger's own: drops as a text, a token as {currency, issuer, value}. The text of a
token's value follows the server (STAmount.cpp, getText): plain digits, except where the exponent of the
16-digit mantissa lies outside -25..-5, then the whole mantissa with its exponent.

>>> to_wire(Token(Decimal("1E+12"), "USD", "r1"))["value"]
'1000000000000000e-3'
>>> to_wire(Token(Decimal("0.50"), "USD", "r1"))["value"]
'0.5'
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from neo_engine.domain.assets import XRP, Asset
from neo_engine.domain.errors import BadNumber
from neo_engine.domain.number import ISSUED_DIGITS, ZERO, parse_drops, parse_issued, plain

_PLAIN_EXPONENTS = range(-25, -4)


class Token(NamedTuple):
    """An issued amount; at most 16 significant digits."""

    value: Decimal
    currency: str
    issuer: str

    @property
    def asset(self) -> Asset:
        """What it is an amount of."""
        return Asset(self.currency, self.issuer)


Amount = int | Token


def asset_of(amount: Amount) -> Asset:
    """Return what the amount is an amount of."""
    return XRP if isinstance(amount, int) else Asset(amount.currency, amount.issuer)


def decimal_of(amount: Amount) -> Decimal:
    """Return the number: drops, or token units."""
    return Decimal(amount) if isinstance(amount, int) else amount.value


def amount_of(asset: Asset, value: Decimal) -> Amount:
    """Return `value` (drops without a fraction, or token units) as an amount of `asset`."""
    return Token(value, asset.currency, asset.issuer) if asset.issuer else int(value)


def value_text(value: Decimal) -> str:
    """Return a token's value as the server writes it."""
    if not value:
        return "0"
    exponent = value.adjusted() - (ISSUED_DIGITS - 1)
    if exponent in _PLAIN_EXPONENTS or exponent == 0:
        return plain(value)
    mantissa = int(value.scaleb(-exponent))
    return f"{mantissa}e{exponent}"


def to_wire(amount: Amount) -> Any:
    """Return the amount as JSON has it."""
    if isinstance(amount, int):
        return str(amount)
    return {"currency": amount.currency, "issuer": amount.issuer, "value": value_text(amount.value)}


def from_wire(value: object, what: str) -> Amount:
    """Return the amount in `value`; `what` names it. Raises BadNumber for what no ledger can hold."""
    if isinstance(value, str):
        return parse_drops(value, what)
    if isinstance(value, dict) and {"currency", "issuer", "value"} <= value.keys():
        number = parse_issued(value["value"], f"{what}.value")
        return Token(number or ZERO, str(value["currency"]), str(value["issuer"]))
    raise BadNumber(f"{what}: {str(value)[:80]!r} is neither drops nor a token amount")
