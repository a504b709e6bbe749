"""Where things stand in the ledger: the index of each kind of entry (rippled Indexes.cpp).

An index is the first half of the SHA-512 of a two-byte space and what names the entry, written as 64
upper-case hex digits; their order as texts is the ledger's order. Accounts are base58 addresses.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from hashlib import sha512

from base58 import XRP_ALPHABET, b58decode_check, b58encode_check

from neo_engine.domain.assets import Asset
from neo_engine.domain.errors import BadNumber
from neo_engine.domain.number import ISSUED_DIGITS

ACCOUNT_BYTES = 20
BOOK_BASE_DIGITS = 48  # the rest of a book directory's index is its rate
XRP_ISSUER = "rrrrrrrrrrrrrrrrrrrrrhoLvTp"  # all zero: who "issues" XRP
NEUTRAL_ISSUER = "rrrrrrrrrrrrrrrrrrrrBZbvji"  # one: the issuer in a trust line's balance
FEE_SETTINGS = "4BC50C9B0D8515D3EAAE1E74B29A95804346C491EE1A95BF25E4AAB854A6A651"
#: No token may bear the name of XRP: neither by letters nor by their hex form (UintTypes.cpp, badCurrency).
BAD_CURRENCIES = frozenset({"XRP", "0000000000000000000000005852500000000000"})
_HEX_CODE = 40
_HEX = frozenset("0123456789ABCDEFabcdef")
_CACHED = 65_536  # addresses and indexes kept: some 10 MB at most


def half(data: bytes) -> bytes:
    """Return the first 32 bytes of the SHA-512: the ledger's hash."""
    return sha512(data).digest()[:32]


@lru_cache(maxsize=_CACHED)
def account_id(address: str) -> bytes:
    """Return the 20 bytes of an address. Raises BadNumber unless its checksum and length fit."""
    try:
        raw = b58decode_check(address, alphabet=XRP_ALPHABET)
    except ValueError:
        raise BadNumber(f"account: {address[:60]!r} is no address (checksum)") from None
    if len(raw) != ACCOUNT_BYTES + 1 or raw[0] != 0:
        raise BadNumber(f"account: {address[:60]!r} is no account's address")
    return raw[1:]


def address_of(account: bytes) -> str:
    """Return the address of 20 bytes."""
    return b58encode_check(b"\0" + account, alphabet=XRP_ALPHABET).decode("ascii")


@lru_cache(maxsize=_CACHED)
def currency_bytes(code: str) -> bytes:
    """Return the 20 bytes of a currency code; all zero for XRP. Raises BadNumber for anything else."""
    if code in ("XRP", ""):
        return bytes(20)
    if len(code) == 3 and code.isascii():
        return bytes(12) + code.encode("ascii") + bytes(5)
    if len(code) == _HEX_CODE and set(code) <= _HEX:
        return bytes.fromhex(code)
    raise BadNumber(f"currency: {code[:60]!r} is no currency code")


def issuer_bytes(asset: Asset) -> bytes:
    """Return the 20 bytes of the asset's issuer; all zero for XRP."""
    return account_id(asset.issuer) if asset.issuer else bytes(20)


def _index(space: bytes, *parts: bytes) -> str:
    return sha512(b"\0" + space + b"".join(parts)).hexdigest()[:64].upper()


@lru_cache(maxsize=_CACHED)
def account_root(address: str) -> str:
    """Return the index of an AccountRoot."""
    return _index(b"a", account_id(address))


def offer(address: str, sequence: int) -> str:
    """Return the index of an Offer by its owner and the sequence (or ticket) that made it."""
    return _index(b"o", account_id(address), sequence.to_bytes(4, "big"))


def ticket(address: str, sequence: int) -> str:
    """Return the index of a Ticket."""
    return _index(b"T", account_id(address), sequence.to_bytes(4, "big"))


@lru_cache(maxsize=_CACHED)
def line(one: str, other: str, currency: str) -> str:
    """Return the index of the trust line between two accounts."""
    low, high = sorted((account_id(one), account_id(other)))
    return _index(b"r", low, high, currency_bytes(currency))


@lru_cache(maxsize=_CACHED)
def owner_directory(address: str) -> str:
    """Return the index of the first page of what an account owns."""
    return _index(b"O", account_id(address))


def page(root: str, number: int) -> str:
    """Return the index of a directory's page; page 0 is the root itself."""
    return _index(b"d", bytes.fromhex(root), number.to_bytes(8, "big")) if number else root


@lru_cache(maxsize=_CACHED)
def book_base(pays: Asset, gets: Asset) -> str:
    """Return the first 48 digits of a book's directories. pays, gets: its owners' TakerPays, TakerGets."""
    currencies = currency_bytes(pays.currency) + currency_bytes(gets.currency)
    return _index(b"B", currencies, issuer_bytes(pays), issuer_bytes(gets))[:BOOK_BASE_DIGITS]


@lru_cache(maxsize=_CACHED)
def book_fields(pays: Asset, gets: Asset) -> dict[str, str]:
    """Return what every page of a book's directories says of the book; not to be changed."""
    return {
        "TakerGetsCurrency": currency_bytes(gets.currency).hex().upper(),
        "TakerGetsIssuer": issuer_bytes(gets).hex().upper(),
        "TakerPaysCurrency": currency_bytes(pays.currency).hex().upper(),
        "TakerPaysIssuer": issuer_bytes(pays).hex().upper(),
    }


def book_directory(base: str, rate: Decimal) -> str:
    """Return the index of the directory of one rate (TakerPays / TakerGets, 16 digits) of a book."""
    exponent = rate.adjusted() - (ISSUED_DIGITS - 1)
    return f"{base}{exponent + 100:02X}{int(rate.scaleb(-exponent)):014X}"


def rate_of_directory(index: str) -> Decimal:
    """Return the rate that a book directory's index ends with."""
    return Decimal(int(index[50:], 16)).scaleb(int(index[48:50], 16) - 100)


@lru_cache(maxsize=_CACHED)
def amm(one: Asset, other: Asset) -> str:
    """Return the index of the pool of two assets, in either order."""
    ends = sorted((currency_bytes(asset.currency), issuer_bytes(asset)) for asset in (one, other))
    return _index(b"A", *(issuer + currency for currency, issuer in ends))
