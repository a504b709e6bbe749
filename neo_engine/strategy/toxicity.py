"""How harmful the market's takers are to who quotes: one-sided flow, and what the mid does after a taking.

    flow imbalance = |bought - sold| / (bought + sold)     XRP taken in `toxicity_window_ticks` ledgers
    taker markout  = mean of  s x (mid N ledgers later - mid after the taking) / mid after the taking

with s = +1 for a taker who buys and -1 for one who sells, N = `markout_ticks`, in bps. The first is the
volume-synchronised probability of informed trading (VPIN; Easley, Lopez de Prado and O'Hara, "Flow toxicity
and liquidity in a high-frequency world", Review of Financial Studies 25, 2012) with ledgers in place of
buckets of equal volume: a ledger is the shortest time in which anybody can answer, and buckets would not end
in a market where nobody trades. The second is what a maker loses by being taken (price impact; Huang and
Stoll, "Dealer versus auction markets", Journal of Financial Economics 41, 1996), from the mid that the taking
left, because the levels it emptied are its own mark and fill again.

1. Only others' trades are read, never our fills.
2. Both are unknown with fewer than `toxicity_min_trades`, and then the factor is 1. The window moves on with
   the ledgers: what nobody trades any more is forgotten by time.
3. Sums are kept in at most BLOCKS blocks of ledgers; a tick adds to one of them.

>>> rising = Flow(trades=40, share=Decimal("0.9"), buys=True, markout_bps=None)
>>> factor(rising, flow_from=Decimal("0.8"), markout=(Decimal(3), Decimal(8)), most=Decimal(2))
Decimal('1.5')
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from neo_engine.config_sections import StrategyConfig
from neo_engine.domain.assets import Side
from neo_engine.domain.market import MarketTrade, is_price
from neo_engine.domain.number import BPS, MAX_DROPS, ONE, ZERO
from neo_engine.strategy.chain import rise
from neo_engine.strategy.volatility import GAP_LEDGERS_MAX

BLOCKS = 12


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of some ledgers. number: which stretch of ledgers. bought, sold: drops, by the taker's side.

    judged: takings whose later mid is known. against_bps: sum of their signed moves.
    """

    number: int
    trades: int
    bought: int
    sold: int
    judged: int
    against_bps: Decimal

    def plus(self, other: Block) -> Block:
        """Return the sums of both, under this one's number."""
        return Block(
            number=self.number,
            trades=self.trades + other.trades,
            bought=self.bought + other.bought,
            sold=self.sold + other.sold,
            judged=self.judged + other.judged,
            against_bps=self.against_bps + other.against_bps,
        )


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """The takings of a ledger whose later mid is not known yet; mid: the one they left."""

    ledger_index: int
    mid: Decimal
    buys: int
    sells: int


class FlowState(msgspec.Struct, frozen=True, kw_only=True):
    """Complete blocks (oldest first), their sums, the block being filled, and takings to be judged."""

    blocks: tuple[Block, ...]
    complete: Block
    current: Block
    waiting: tuple[Taken, ...]


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """What the window says. share: flow imbalance, buys: of which side; None while unknown."""

    trades: int
    share: Decimal | None
    buys: bool
    markout_bps: Decimal | None

    @property
    def is_known(self) -> bool:
        """True while the window holds enough to judge anything by."""
        return self.share is not None or self.markout_bps is not None


NO_BLOCK = Block(number=0, trades=0, bought=0, sold=0, judged=0, against_bps=ZERO)
START = FlowState(blocks=(), complete=NO_BLOCK, current=NO_BLOCK, waiting=())


def observe(
    state: FlowState, ledger_index: int, mid: Decimal, trades: tuple[MarketTrade, ...], config: StrategyConfig
) -> FlowState:
    """Return the state after a believed ledger, newer than any before; mid: the one it left."""
    count = min(BLOCKS, config.toxicity_window_ticks)
    number = ledger_index // -(-config.toxicity_window_ticks // count)
    blocks, complete, current, waiting = state.blocks, state.complete, state.current, state.waiting
    if number != current.number:
        blocks = tuple(one for one in (*blocks, current) if one.number > number - count)
        complete, current = NO_BLOCK, msgspec.structs.replace(NO_BLOCK, number=number)
        for one in blocks:
            complete = complete.plus(one)
    judged, against = 0, ZERO
    while waiting and waiting[0].ledger_index + config.markout_ticks <= ledger_index:
        due, waiting = waiting[0], waiting[1:]
        if ledger_index - due.ledger_index <= config.markout_ticks + GAP_LEDGERS_MAX:
            judged += due.buys + due.sells
            against += (due.buys - due.sells) * (mid - due.mid) * BPS / due.mid
    buys, sells, bought, sold = _sides(trades) if trades else (0, 0, 0, 0)
    if buys or sells:
        waiting = (*waiting, Taken(ledger_index=ledger_index, mid=mid, buys=buys, sells=sells))
    if judged or buys or sells:
        current = Block(
            number=number,
            trades=current.trades + buys + sells,
            bought=current.bought + bought,
            sold=current.sold + sold,
            judged=current.judged + judged,
            against_bps=current.against_bps + against,
        )
    elif current is state.current and waiting is state.waiting:
        return state
    return FlowState(blocks=blocks, complete=complete, current=current, waiting=waiting)


def _sides(trades: tuple[MarketTrade, ...]) -> tuple[int, int, int, int]:
    """Return how many takers bought and sold, and how many drops; what is no trade is left out."""
    buys = sells = bought = sold = 0
    for trade in trades:
        if not 0 < trade.base_drops <= MAX_DROPS or not is_price(trade.price):
            continue
        if trade.taker_side is Side.BUY:
            buys, bought = buys + 1, bought + trade.base_drops
        else:
            sells, sold = sells + 1, sold + trade.base_drops
    return buys, sells, bought, sold


def measured(state: FlowState, config: StrategyConfig) -> Flow:
    """Return what the window says now."""
    done, current, least = state.complete, state.current, config.toxicity_min_trades
    trades = done.trades + current.trades
    judged = done.judged + current.judged
    share = markout = None
    buys = False
    if trades >= least:
        bought, sold = done.bought + current.bought, done.sold + current.sold
        buys = bought > sold
        share = Decimal(abs(bought - sold)) / (bought + sold)
    if judged >= least:
        markout = (done.against_bps + current.against_bps) / judged
    return Flow(trades=trades, share=share, buys=buys, markout_bps=markout)


def factor(flow: Flow, *, flow_from: Decimal, markout: tuple[Decimal, Decimal], most: Decimal) -> Decimal:
    """Return the greater of what the two measures ask for: they tell of one danger, which counts once.

    flow_from: imbalance from which on the factor rises, to `most` at 1. markout: the same in bps, from .. to.
    """
    by_flow = ONE if flow.share is None else rise(flow.share, flow_from, ONE, most)
    by_markout = ONE if flow.markout_bps is None else rise(flow.markout_bps, *markout, most)
    return max(by_flow, by_markout)
