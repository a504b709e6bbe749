"""The automated market maker's pool of the pair: its state and its arithmetic.

Theory (XLS-30; rippled AMMHelpers.h, amendments fixAMMv1_1 to v1_3). A pool holds I of what a taker
pays and O of what he gets; its fee f is a share of what is paid. Swaps keep I * O from falling:

    paying i:    o = O - I*O / (I + i*(1-f))
    getting o:   i = (I*O / (O-o) - I) / (1-f)

rounded at each step in the pool's favour. Against a book the server lets the pool offer just so much
that the pool's price afterwards, or the average price of the swap, meets the book's best rate.

Here `pays` and `gets` are the taker's: pool_pays = I is what the pool holds of the asset it receives.
Amounts are Decimals, drops without a fraction; a rate is what the taker pays for one unit received.

1. A swap never lowers the product of the pool's amounts.
2. An offer sized to a rate is never worse than that rate.

>>> pool = Pool(account="r", base_drops=1_000_000_000, quote=Decimal(2000), trading_fee=300,
...             discounted_fee=30, auction_accounts=(), auction_expiration=0)
>>> spot_price(pool)
Decimal('2')
>>> quote_for_sale(pool, 1_000_000, 300)
Decimal('1.992013962079')
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from neo_engine.domain.errors import BadNumber
from neo_engine.domain.number import MILLION, ONE, WORK, ZERO
from neo_engine.domain.steps import (
    Trimming,
    add_down,
    add_near,
    div_near,
    div_up,
    mul_down,
    mul_near,
    mul_up,
    rate_of,
    square_root,
    sub_down,
    sub_near,
    sub_up,
    unchanged,
    whole_down,
    whole_up,
)

FEE_UNITS = 100_000  # trading_fee counts hundred-thousandths (xrpl.org, "AMM": TradingFee)
_FEE_DIGITS = 5
#: The most the pool offers when no book limits it: 99 % of what it holds (AMMLiquidity.cpp, maxOffer).
_MOST = Decimal("0.99")
#: The first of the numbered offers, as a share of what the pool holds (AMMLiquidity.h, InitialFibSeqPct).
_FIRST_SIZE = Decimal("0.00025")
#: Rounds with a pool in one run (AMMContext.h, MaxIterations).
POOL_ROUNDS_MAX = 30
#: Sizes of the numbered offers after the first one.
FIBONACCI = [1, 2]
while len(FIBONACCI) < POOL_ROUNDS_MAX:
    FIBONACCI.append(FIBONACCI[-2] + FIBONACCI[-1])
#: How much an offer that missed its rate by rounding is shrunk (AMMHelpers.h, reduceOffer).
_REDUCED = Decimal("0.9999")
#: Qualities nearer than this are the same to the pool: it offers nothing (AMMLiquidity.cpp, getOffer).
_NEAR_RATE = Decimal("1E-7")


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """The pool as a ledger holds it.

    base_drops: XRP held. quote: RLUSD held. trading_fee: units of 1/100,000 (300 = 0.3 %).
    discounted_fee and auction accounts: who trades at a tenth of the fee, until `auction_expiration`
    (seconds since 2000-01-01).
    """

    account: str
    base_drops: int
    quote: Decimal
    trading_fee: int
    discounted_fee: int
    auction_accounts: tuple[str, ...]
    auction_expiration: int


class PoolOffer(msgspec.Struct, frozen=True, kw_only=True):
    """What the pool offers a taker: he pays `pays` for `gets`. rate: what it is ranked by."""

    pays: Decimal
    gets: Decimal
    rate: Decimal


def spot_price(pool: Pool) -> Decimal:
    """Return the pool's marginal price before its fee, RLUSD per XRP, 28 digits, rounded half to even."""
    return WORK.divide(WORK.multiply(pool.quote, MILLION), Decimal(pool.base_drops))


def fee_band(pool: Pool) -> tuple[Decimal, Decimal]:
    """Return (low, high) in RLUSD per XRP: what the pool pays for, and asks for, the next drop of XRP.

    Between the two nobody can profit from the pool, so its price says nothing finer than this.
    """
    spot, kept = spot_price(pool), ONE - fee_share(pool.trading_fee)
    return WORK.multiply(spot, kept), WORK.divide(spot, kept)


def fee_share(units: int) -> Decimal:
    """Return a trading fee of `units` hundred-thousandths as a share of 1, exactly."""
    return Decimal(units).scaleb(-_FEE_DIGITS)


def fee_units_for(pool: Pool, account: str, parent_close_time: int) -> int:
    """Return the fee `account` pays: the auction slot's holder and friends pay the discounted one.

    The slot counts while the parent ledger's close time lies before its end (AMMUtils, getTradingFee).
    """
    if parent_close_time < pool.auction_expiration and account in pool.auction_accounts:
        return pool.discounted_fee
    return pool.trading_fee


def swap_paying(
    pool_pays: Decimal, pool_gets: Decimal, pays: Decimal, fee: Decimal, trim: Trimming
) -> Decimal:
    """Return what paying `pays` gets; `trim` rounds it down to the asset's unit. fee: share of 1."""
    product = mul_up(pool_pays, pool_gets)
    after = add_down(pool_pays, mul_down(pays, ONE - fee))
    gets = sub_down(pool_gets, div_up(product, after))
    return trim(gets) if gets > 0 else ZERO


def swap_getting(
    pool_pays: Decimal, pool_gets: Decimal, gets: Decimal, fee: Decimal, trim: Trimming
) -> Decimal:
    """Return what getting `gets` (less than the pool holds) costs; `trim` rounds it up."""
    product = mul_up(pool_pays, pool_gets)
    after = div_up(product, sub_down(pool_gets, gets))
    return trim(div_up(sub_up(after, pool_pays), ONE - fee))


def quote_for_sale(pool: Pool, base_drops: int, fee_units: int) -> Decimal:
    """Return the RLUSD the pool pays for `base_drops`, rounded down."""
    return swap_paying(
        Decimal(pool.base_drops), pool.quote, Decimal(base_drops), fee_share(fee_units), unchanged
    )


def quote_for_purchase(pool: Pool, base_drops: int, fee_units: int) -> Decimal:
    """Return the RLUSD the pool asks for `base_drops`, rounded up.

    Raises BadNumber unless the pool holds more than that.
    """
    if not 0 < base_drops < pool.base_drops:
        raise BadNumber(f"pool {pool.account}: {base_drops} drops cannot be bought of {pool.base_drops}")
    return swap_getting(
        pool.quote, Decimal(pool.base_drops), Decimal(base_drops), fee_share(fee_units), unchanged
    )


def near_rates(one: Decimal, other: Decimal, distance: Decimal) -> bool:
    """True if two rates lie within `distance` of the worse one (AMMHelpers.h, withinRelativeDistance)."""
    worse, better = (one, other) if one > other else (other, one)
    return sub_near(worse, better) < mul_near(distance, worse)


class PoolSide:
    """The pool seen from one direction of trade: xrp_in, xrp_out tell which of the two sides is XRP.

    Mutable on purpose: a run nets its own swaps in it. Amounts as in the module's docstring.
    """

    __slots__ = (
        "_first_gets",
        "_first_pays",
        "_kept",
        "_spot",
        "_trim_down",
        "_trim_up",
        "_whole_pays",
        "_xrp_out",
        "account",
        "fee",
        "gets",
        "pays",
    )

    def __init__(
        self,
        *,
        account: str = "",
        pays: Decimal,
        gets: Decimal,
        fee_units: int,
        xrp_in: bool,
        xrp_out: bool,
    ) -> None:
        self.account = account
        self.pays = self._first_pays = pays
        self.gets = self._first_gets = gets
        self.fee = fee_share(fee_units)
        self._kept = ONE - self.fee
        self._spot: Decimal | None = None
        self._xrp_out = xrp_out
        self._trim_up = whole_up if xrp_in else unchanged
        self._trim_down = whole_down if xrp_out else unchanged
        self._whole_pays = whole_down if xrp_in else unchanged

    def paying(self, amount: Decimal) -> Decimal:
        """Return what `amount` gets now, rounded down."""
        return swap_paying(self.pays, self.gets, amount, self.fee, self._trim_down)

    def getting(self, amount: Decimal) -> Decimal:
        """Return what `amount` costs now, rounded up."""
        return swap_getting(self.pays, self.gets, amount, self.fee, self._trim_up)

    def spot_rate(self) -> Decimal:
        """Return the rate of the pool's amounts, before the fee."""
        if self._spot is None:
            self._spot = rate_of(self.pays, self.gets)
        return self._spot

    def swap(self, pays: Decimal, gets: Decimal, *, forwards: bool = True) -> None:
        """Take in `pays` and give out `gets`; the token's balance is rounded to 16 digits.

        forwards: in this side's direction; else as the other side names them.
        """
        if forwards:
            self.pays, self.gets = add_near(self.pays, pays), sub_near(self.gets, gets)
        else:
            self.gets, self.pays = add_near(self.gets, pays), sub_near(self.pays, gets)
        self._spot = None

    def offer(self, book_rate: Decimal | None) -> PoolOffer | None:
        """Return what the pool offers ahead of a book whose best rate is `book_rate` (None: no book).

        None when the pool is empty or its price, after the fee, does not beat the book.
        """
        if self.pays <= 0 or self.gets <= 0:
            return None
        if book_rate is None:
            return self._most()
        spot = self.spot_rate()
        if spot >= book_rate or near_rates(spot, book_rate, _NEAR_RATE):
            return None
        # The server's last resort where no size fits, all but a hundredth of the pool (fixAMMv1_2), needs a
        # book a hundred times worse than the pool; the sizes below always fit there.
        return self._sized_by_gets(book_rate) if self._xrp_out else self._sized_by_pays(book_rate)

    def numbered_offer(self, number: int, book_rate: Decimal | None) -> PoolOffer | None:
        """Return the `number`-th offer (from 0) of a run in which several chains of books compete.

        Its size is 0.025 % of what the pool held at first, times the Fibonacci numbers 1, 2, 3, 5, ...,
        whatever the book offers (AMMLiquidity.cpp, generateFibSeqOffer). None when it is worse than the
        book or the pool does not hold it.
        """
        if self.pays <= 0 or self.gets <= 0:
            return None
        if book_rate is not None:
            spot = self.spot_rate()
            if spot >= book_rate or near_rates(spot, book_rate, _NEAR_RATE):
                return None
        pays = self._trim_up(mul_near(_FIRST_SIZE, self._first_pays))
        gets = swap_paying(self._first_pays, self._first_gets, pays, self.fee, self._trim_down)
        if number:
            gets = self._trim_down(mul_near(gets, Decimal(FIBONACCI[number - 1])))
            if gets >= self.gets:
                return None
            pays = self.getting(gets)
        offer = self._if_positive(pays, gets)
        return offer if offer is None or book_rate is None else _not_worse(offer, book_rate)

    def average(self) -> tuple[Decimal, Decimal]:
        """Return (slope, start): what a unit paid gets on average, start + slope * all that is got.

        The slope is negative (QualityFunction.h).
        """
        kept = self._kept
        return -div_near(kept, self.pays), div_near(mul_near(self.gets, kept), self.pays)

    def gets_at_average(self, rate: Decimal) -> Decimal | None:
        """Return how much can be got at `rate` on average, None if nothing."""
        return gets_at_average(*self.average(), rate)

    def _most(self) -> PoolOffer | None:
        gets = self._trim_down(mul_near(self.gets, _MOST))
        if not 0 < gets < self.gets:
            return None
        return PoolOffer(pays=self.getting(gets), gets=gets, rate=self.spot_rate())

    def _sized_by_gets(self, rate: Decimal) -> PoolOffer | None:
        """Size the offer so that XRP received is a whole number first (getAMMOfferStartWithTakerGets)."""
        kept = self._kept
        bound = sub_near(self.gets, div_near(self.pays, mul_near(rate, kept)))
        if bound <= 0:
            return None
        b = sub_near(
            div_near(mul_near(self.pays, sub_near(ONE, div_near(ONE, kept))), rate),
            mul_near(Decimal(2), self.gets),
        )
        c = sub_near(mul_near(self.gets, self.gets), div_near(mul_near(self.pays, self.gets), rate))
        gets = whole_down(min(bound, smaller_root(ONE, b, c)))
        offer = self._if_positive(self.getting(gets), gets)
        if offer is None or offer.rate <= rate:
            return offer
        gets = whole_down(mul_down(gets, _REDUCED))
        return _not_worse(self._if_positive(self.getting(gets), gets), rate)

    def _sized_by_pays(self, rate: Decimal) -> PoolOffer | None:
        """Size the offer by what is paid, XRP in whole drops (getAMMOfferStartWithTakerPays)."""
        kept = self._kept
        bound = sub_near(mul_near(self.gets, rate), div_near(self.pays, kept))
        if bound <= 0:
            return None
        b = mul_near(self.pays, add_near(ONE, kept))
        c = sub_near(mul_near(self.pays, self.pays), mul_near(mul_near(self.pays, self.gets), rate))
        pays = self._whole_pays(min(bound, smaller_root(kept, b, c)))
        offer = self._if_positive(pays, self.paying(pays))
        if offer is None or offer.rate <= rate:
            return offer
        pays = self._whole_pays(mul_down(pays, _REDUCED))
        return _not_worse(self._if_positive(pays, self.paying(pays)), rate)

    def _if_positive(self, pays: Decimal, gets: Decimal) -> PoolOffer | None:
        if pays <= 0 or gets <= 0:
            return None
        return PoolOffer(pays=pays, gets=gets, rate=rate_of(pays, gets))


def _not_worse(offer: PoolOffer | None, rate: Decimal) -> PoolOffer | None:
    return offer if offer is not None and offer.rate <= rate else None


def gets_at_average(slope: Decimal, start: Decimal, rate: Decimal) -> Decimal | None:
    """Return how much can be got at `rate` on average along a line as `PoolSide.average` tells it.

    None if nothing (QualityFunction.cpp, outFromAvgQ). The server divides two negative numbers rounding
    up; so the difference is signed here too.
    """
    gets = div_up(sub_up(div_up(ONE, rate), start), slope)
    return gets if gets > 0 else None


def smaller_root(a: Decimal, b: Decimal, c: Decimal) -> Decimal:
    """Return the smaller root of a x^2 + b x + c in the form that keeps its digits (AMMHelpers.cpp).

    0 where there is none: for a pool and a rate worse than its own there always is one.
    """
    inner = sub_near(mul_near(b, b), mul_near(mul_near(Decimal(4), a), c))
    if inner < 0 or not b:
        return ZERO
    root = square_root(inner)
    return div_near(mul_near(Decimal(2), c), sub_near(-b, root) if b > 0 else add_near(-b, root))
