"""What is traded: the pair, its quote asset and how a currency code is written.

The base is always XRP, the quote always an issued token, so a price is always quote per XRP.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import msgspec

from neo_engine.domain.errors import BadNumber

HEX_CODE_LENGTH = 40
_HEX = frozenset("0123456789ABCDEF")


class Asset(NamedTuple):
    """Anything an account can hold: XRP, or a token by ledger currency code and issuer's address."""

    currency: str
    issuer: str

    @property
    def is_xrp(self) -> bool:
        """True for XRP, which has no issuer."""
        return not self.issuer


XRP = Asset("XRP", "")


class IssuedAsset(msgspec.Struct, frozen=True, kw_only=True):
    """A token: its ledger currency code (three letters or 40 hex digits) and its issuer's address."""

    currency: str
    issuer: str

    def __post_init__(self) -> None:
        code = self.currency
        if len(code) != 3 and not (len(code) == HEX_CODE_LENGTH and set(code) <= _HEX):
            raise BadNumber(f"currency: {code!r} is neither three characters nor 40 upper-case hex digits")

    @property
    def symbol(self) -> str:
        """The code as a person writes it: the hex form decoded where it is ASCII text."""
        if len(self.currency) == 3:
            return self.currency
        raw = bytes.fromhex(self.currency).rstrip(b"\0")
        return raw.decode("ascii") if raw.isalnum() else self.currency


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """XRP against one token."""

    quote: IssuedAsset

    @property
    def symbol(self) -> str:
        """As shown and stored: XRP/RLUSD."""
        return f"XRP/{self.quote.symbol}"


def currency_code(symbol: str) -> str:
    """Return the ledger code of a symbol: three characters as they are, longer ones as padded hex.

    >>> currency_code("RLUSD")
    '524C555344000000000000000000000000000000'
    """
    if len(symbol) == 3 or len(symbol) == HEX_CODE_LENGTH:
        return symbol
    if not 3 < len(symbol) <= 20 or not symbol.isascii():
        raise BadNumber(f"currency: {symbol!r} cannot be written as a ledger currency code")
    return symbol.encode("ascii").hex().upper().ljust(HEX_CODE_LENGTH, "0")


class Side(Enum):
    """Which way an order trades the base: BUY pays quote for XRP (a bid), SELL the other way (an ask)."""

    __hash__ = object.__hash__  # members are single objects; hashing the name costs a call

    BUY = "buy"
    SELL = "sell"

    @property
    def opposite(self) -> Side:
        """The side that trades against this one."""
        return Side.SELL if self is Side.BUY else Side.BUY
