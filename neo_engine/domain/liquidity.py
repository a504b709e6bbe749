"""What a run through books and pools sees, and what it says it did: the values around `flow`.

Everything is told from the taker's side: he pays `pays` and gets `gets`. Amounts are Decimals, drops
without a fraction. A rate is what is paid for one unit received; lower is better for the taker. Transfer
rates are the ledger's integers: billionths, 1,000,000,000 for none.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from enum import Enum
from typing import Protocol

import msgspec

from neo_engine.domain.assets import Asset
from neo_engine.domain.number import ZERO

#: A transfer rate of nothing (AccountRoot TransferRate; rippled QUALITY_ONE).
PARITY = 1_000_000_000


class RestingOffer(msgspec.Struct, frozen=True, kw_only=True):
    """One offer of a book. pays, gets: what is left of it. expiration: seconds since 2000-01-01."""

    index: str
    owner: str
    rate: Decimal
    pays: Decimal
    gets: Decimal
    expiration: int | None


class PoolState(msgspec.Struct, frozen=True, kw_only=True):
    """A pool as one taker sees it. fee_units: 1/100,000, the taker's own (he may hold the auction slot)."""

    account: str
    pays: Decimal
    gets: Decimal
    fee_units: int


class Market(Protocol):
    """The state a run walks. Nothing it answers changes while the run lasts."""

    @property
    def parent_close_time(self) -> int:
        """Close time of the ledger before, seconds since 2000-01-01."""

    def offers(self, pays: Asset, gets: Asset) -> Iterator[RestingOffer]:
        """Yield the offers that sell `gets` for `pays`, best rate first, then oldest; made as asked for."""

    def funds(self, owner: str, asset: Asset) -> Decimal | None:
        """Return what `owner` can spend of `asset` now: XRP above his reserve, or a token balance.

        None without limit (the issuer himself); ZERO when the token is frozen.
        """

    def pool(self, pays: Asset, gets: Asset, taker: str) -> PoolState | None:
        """Return the pool of the two assets seen by `taker`, None if there is none or it is empty."""

    def transfer_rate(self, issuer: str) -> int:
        """Return the issuer's transfer rate in billionths, PARITY for none."""


class RemovalReason(Enum):
    """Why an offer left the book without (or apart from) being taken."""

    __hash__ = object.__hash__

    EXPIRED = "expired"
    UNFUNDED = "unfunded"
    DUST = "dust"
    SELF_CROSSED = "self_crossed"


class SourcePaid(msgspec.Struct, frozen=True, kw_only=True):
    """The taker handed over `amount` of the strand's first asset, the transfer fee on it included.

    Also told where he issues it himself: then there is no balance of his to change.
    """

    asset: Asset
    amount: Decimal


class OfferTaken(msgspec.Struct, frozen=True, kw_only=True):
    """An offer was taken from, once. pays: what its owner receives. gets: what goes on to the taker.

    gives: what its owner loses: `gets`, plus the transfer fee where the owner pays it. left_*: what is
    left of the offer then. gone: it leaves the book with this take.
    """

    index: str
    owner: str
    pays_asset: Asset
    gets_asset: Asset
    pays: Decimal
    gets: Decimal
    gives: Decimal
    left_pays: Decimal
    left_gets: Decimal
    gone: bool


class PoolSwapped(msgspec.Struct, frozen=True, kw_only=True):
    """A pool received `pays` and gave `gets`."""

    account: str
    pays_asset: Asset
    gets_asset: Asset
    pays: Decimal
    gets: Decimal


class DestinationGot(msgspec.Struct, frozen=True, kw_only=True):
    """The receiver got `amount` of the strand's last asset. Also told where he issues it himself."""

    asset: Asset
    amount: Decimal


#: One change of balances. They stand in the order in which the server makes them, round after round, so
#: that a ledger which rounds each change of a trust line to 16 digits comes to the server's last digit.
Move = SourcePaid | OfferTaken | PoolSwapped | DestinationGot


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """An offer that left the book without being taken to its end.

    lasting: it stays deleted even if the transaction ends in tecKILLED: it was found stale when a round
    began (the server counts what earlier rounds of the same run left without funds among these). Not
    lasting: a round's own takes left it without funds, so it goes and comes with that round.
    """

    index: str
    reason: RemovalReason
    lasting: bool


class FlowRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A payment through books and pools (rippled Flow).

    strands: each the chain of assets it passes, e.g. (USD, RLUSD) for one book and (USD, XRP, RLUSD) for
    two, (USD,) for a payment in one token through its issuer; at least one, all with the same first and
    last asset. deliver: the most to get. send_max: the most
    to pay, None for any (then only `funds` limits). funds: what the source has (None: the issuer).
    room: the most the destination can still receive (None: no limit): its trust line's limit.
    limit_rate: the worst acceptable rate (tfLimitQuality), None for any.
    """

    source: str
    destination: str
    strands: tuple[tuple[Asset, ...], ...]
    deliver: Decimal
    send_max: Decimal | None
    funds: Decimal | None
    room: Decimal | None
    partial: bool
    limit_rate: Decimal | None


class FlowResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did. result: tesSUCCESS, or tecPATH_PARTIAL or tecPATH_DRY: then nothing moved and
    nothing was removed.

    paid, got: totals as the server counts them (actualAmountIn, actualAmountOut).
    """

    result: str
    paid: Decimal = ZERO
    got: Decimal = ZERO
    moves: tuple[Move, ...] = ()
    removals: tuple[Removal, ...] = ()


class CrossRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An OfferCreate from the moment its old offer is cancelled and its fee taken (CreateOffer.cpp).

    pays, gets: the assets of TakerGets and TakerPays: what the sender gives and what he wants, with their
    amounts as sent. funds: what he can spend of `pays_asset` (None: he issues it). owner_may_rest: his
    reserve allows one more offer. tick_size: 3..15, 16 for off: the smaller one of the two issuers'.
    line_reserve: by how much the reserve for a trust line that crossing would create for him lowers what
    he can spend, in drops; ZERO unless he pays XRP and has no line for `gets_asset`.
    """

    taker: str
    pays_asset: Asset
    gets_asset: Asset
    pays: Decimal
    gets: Decimal
    funds: Decimal | None
    tick_size: int
    sell: bool
    passive: bool
    immediate_or_cancel: bool
    fill_or_kill: bool
    owner_may_rest: bool
    line_reserve: Decimal = ZERO


class Rest(msgspec.Struct, frozen=True, kw_only=True):
    """What is placed in the book, at the rate of the order as rounded to the tick, before any crossing.

    pays, gets: the sender's, so TakerGets is `pays` and TakerPays is `gets`. rate: TakerPays / TakerGets,
    16 digits, as the directory encodes it.
    """

    pays: Decimal
    gets: Decimal
    rate: Decimal


class CrossResult(msgspec.Struct, frozen=True, kw_only=True):
    """How an OfferCreate ends. result: tesSUCCESS, tecKILLED, tecUNFUNDED_OFFER, tecINSUF_RESERVE_OFFER.

    With a tec nothing moves; with tecKILLED the removals (all lasting) still count, with the others there
    are none.
    """

    result: str
    paid: Decimal = ZERO
    got: Decimal = ZERO
    moves: tuple[Move, ...] = ()
    removals: tuple[Removal, ...] = ()
    rest: Rest | None = None
