"""The quote gate: every reason not to quote, as a value with the side it closes and its numbers.

Names are stored and counted, so they never change: the `DataFault` values (data that must not be
quoted on), Warmup, AnchorDivergence, Inventory, MinNotional, Viability, ToxicFlow, NoEdgeFlat and Manual.

1. On a data fault nothing is priced: an empty side has no mid, and none is invented.
2. Numbers are checked here although the feed checks them too: a snapshot is never believed because
   of where it comes from.
3. Inventory closes only the side that would add to what is held too much of.
4. No gate waits for something that only quoting can bring. ToxicFlow and NoEdgeFlat are measured from the
   market's trades alone, are open while too few were seen, and their window moves on by itself.
5. Manual closes what the operator ordered, for as long as the order stands, and waits for nothing else.
"""

from __future__ import annotations

from decimal import Decimal

from neo_engine.config import Config
from neo_engine.config_sections import StrategyConfig
from neo_engine.domain.amm import Pool
from neo_engine.domain.market import DataFault, MarketSnapshot, is_price
from neo_engine.domain.number import BPS, ZERO, plain, xrp_from_drops
from neo_engine.domain.pause import Pause
from neo_engine.domain.records import Accounts, Gate
from neo_engine.strategy.anchor import AnchorView, is_empty_pool, is_sound_pool
from neo_engine.strategy.toxicity import Flow

WARMUP = "Warmup"
ANCHOR_DIVERGENCE = "AnchorDivergence"
INVENTORY = "Inventory"
MIN_NOTIONAL = "MinNotional"
VIABILITY = "Viability"
TOXIC_FLOW = "ToxicFlow"
NO_EDGE_FLAT = "NoEdgeFlat"
MANUAL = "Manual"

BID = "bid"
ASK = "ask"
BOTH = "both"

_CENT = Decimal("0.01")
_FEE_UNITS_A_BPS = 10  # a pool's trading fee counts hundred-thousandths (xrpl.org, "AMM": TradingFee)


def shown(bps: Decimal) -> str:
    """Return a number of bps for people: two decimals, rounded half to even."""
    return plain(bps.quantize(_CENT)) if bps.adjusted() < 20 else f"{bps:.2E}"


def data_gates(snapshot: MarketSnapshot) -> tuple[Gate, ...]:
    """Return why this snapshot must not be priced at all; empty for a sound one."""
    if snapshot.faults:
        return tuple(_fault(fault, "reported with the snapshot") for fault in snapshot.faults)
    bid, ask, mid = snapshot.best_bid, snapshot.best_ask, snapshot.mid
    if bid is None or ask is None or mid is None:
        empty = "bids" if bid is None else "asks" if ask is None else "mid"
        return (_fault(DataFault.EMPTY_SIDE, f"no {empty}"),)
    if not (is_price(bid) and is_price(ask) and is_price(mid)):
        return (_fault(DataFault.BAD_NUMBER, f"bid {bid:.6g}, ask {ask:.6g}, mid {mid:.6g}"),)
    if bid >= ask:
        return (_fault(DataFault.CROSSED, f"best bid {plain(bid)} is not below best ask {plain(ask)}"),)
    if not bid <= mid <= ask:
        return (_fault(DataFault.BAD_NUMBER, f"mid {plain(mid)} outside {plain(bid)}..{plain(ask)}"),)
    pool = snapshot.pool
    if pool is not None and not is_empty_pool(pool) and not is_sound_pool(pool):
        detail = f"pool of {pool.base_drops} drops and {pool.quote:.6g}, fee {pool.trading_fee}"
        return (_fault(DataFault.BAD_NUMBER, detail),)
    return ()


def no_data_gate() -> Gate:
    """Return the gate of a tick before the first ledger."""
    return _fault(DataFault.NO_DATA, "no ledger was received yet")


def stale_gates(snapshot: MarketSnapshot, config: Config, now: int) -> tuple[Gate, ...]:
    """Return StaleData for a ledger that is too old to be priced as it comes; now: the feed's time.

    It stands beside the monitor of staleness, which notices that none comes.
    """
    age, limit = now - snapshot.close_time, config.risk.stale_data_seconds
    if age < limit:
        return ()
    return (_fault(DataFault.STALE, f"the ledger is {age} s old (risk.stale_data_seconds {limit})"),)


def unhealthy_gates(why: str) -> tuple[Gate, ...]:
    """Return UnhealthyNode when the server that is read is not in step; why: "" when it is."""
    return (_fault(DataFault.UNHEALTHY, why),) if why else ()


def _fault(fault: DataFault, detail: str) -> Gate:
    return Gate(name=fault.value, side=BOTH, detail=detail)


def book_gates(spread_bps: Decimal, config: StrategyConfig) -> tuple[Gate, ...]:
    """Return AnchorDivergence when the book is too wide for its mid to mean a price."""
    if spread_bps <= config.book_max_spread_bps:
        return ()
    detail = f"book spread {shown(spread_bps)} bps > {plain(config.book_max_spread_bps)}"
    return (Gate(name=ANCHOR_DIVERGENCE, side=BOTH, detail=detail),)


def divergence_gates(view: AnchorView, config: StrategyConfig) -> tuple[Gate, ...]:
    """Return AnchorDivergence when the pool has been outside its fee band for too long."""
    if view.outside_ticks <= config.pool_band_ticks:
        return ()
    detail = (
        f"mid {shown(view.outside_bps)} bps outside the pool's fee band for {view.outside_ticks} ticks; "
        f"{plain(config.pool_band_margin_bps)} bps and {config.pool_band_ticks} ticks are allowed"
    )
    return (Gate(name=ANCHOR_DIVERGENCE, side=BOTH, detail=detail),)


def warmup_gates(mids: int, trades: int | None, config: StrategyConfig) -> tuple[Gate, ...]:
    """Return Warmup while too little has been seen.

    trades: those in the intensity window while the glft model has no estimate yet, else None.
    """
    if mids < config.warmup_ticks:
        return (Gate(name=WARMUP, side=BOTH, detail=f"{mids} of {config.warmup_ticks} mids seen"),)
    if trades is not None:
        detail = f"{trades} of {config.glft.intensity_min_trades} trades seen, {mids} mids"
        return (Gate(name=WARMUP, side=BOTH, detail=detail),)
    return ()


def inventory_gates(accounts: Accounts, config: Config) -> tuple[Gate, ...]:
    """Return Inventory for the side that would add to a holding at its soft limit."""
    share, risk = config.inventory.soft_limit_share, config.risk
    gates = []
    xrp, xrp_limit = xrp_from_drops(accounts.base_drops), share * risk.max_xrp_exposure
    if xrp >= xrp_limit:
        detail = f"{plain(xrp)} XRP held >= {plain(xrp_limit)}"
        gates.append(Gate(name=INVENTORY, side=BID, detail=detail))
    quote_limit = share * risk.max_rlusd_exposure
    if accounts.quote >= quote_limit:
        detail = f"{plain(accounts.quote)} RLUSD held >= {plain(quote_limit)}"
        gates.append(Gate(name=INVENTORY, side=ASK, detail=detail))
    return tuple(gates)


def viability_gates(floor_bps: Decimal, pool: Pool | None) -> tuple[Gate, ...]:
    """Return Viability when the narrowest half-spread lies above the fee of the pool, if there is one.

    Beyond its fee the pool is the cheaper of the two, so it is always taken first and what reaches our
    offer is what has moved past it (rippled AMMLiquidity.cpp, getOffer).
    """
    if pool is None or is_empty_pool(pool):
        return ()
    ceiling = Decimal(pool.trading_fee) / _FEE_UNITS_A_BPS
    if floor_bps <= ceiling:
        return ()
    detail = f"half-spread of at least {shown(floor_bps)} bps > {plain(ceiling)} bps, the fee of the pool"
    return (Gate(name=VIABILITY, side=BOTH, detail=detail),)


def toxic_gates(flow: Flow, half_spread_bps: Decimal, config: StrategyConfig) -> tuple[Gate, ...]:
    """Return ToxicFlow: both sides when takers gain more than the half-spread, else the side they take."""
    if flow.markout_bps is not None and flow.markout_bps > half_spread_bps:
        detail = (
            f"takers gain {shown(flow.markout_bps)} bps in {config.markout_ticks} ledgers > "
            f"{shown(half_spread_bps)} bps of half-spread"
        )
        return (Gate(name=TOXIC_FLOW, side=BOTH, detail=detail),)
    if flow.share is None or flow.share < config.toxic_close_share:
        return ()
    way = "buying" if flow.buys else "selling"
    detail = (
        f"{shown(flow.share * 100)} % of the flow is {way} >= {plain(config.toxic_close_share * 100)} %, "
        f"{flow.trades} trades in {config.toxicity_window_ticks} ledgers"
    )
    return (Gate(name=TOXIC_FLOW, side=ASK if flow.buys else BID, detail=detail),)


def edge_gates(
    flow: Flow, half_spread_bps: Decimal, fee_bps: Decimal, imbalance: Decimal, config: StrategyConfig
) -> tuple[Gate, ...]:
    """Return NoEdgeFlat when a fill is expected to earn too little; fee_bps: of one transaction.

    imbalance: of the inventory, -1 (no XRP) to +1. When it is flat both sides close, else the one that adds.
    """
    if flow.markout_bps is None:
        return ()
    edge = half_spread_bps - flow.markout_bps - fee_bps
    if edge > config.min_edge_bps:
        return ()
    detail = (
        f"{shown(edge)} bps a fill <= {plain(config.min_edge_bps)}: {shown(half_spread_bps)} of half-spread, "
        f"{shown(flow.markout_bps)} lost to takers, {shown(fee_bps)} of fee"
    )
    side = BOTH
    if abs(imbalance) >= config.edge_flat_share and imbalance != ZERO:
        side = BID if imbalance > ZERO else ASK
    return (Gate(name=NO_EDGE_FLAT, side=side, detail=detail),)


def min_notional_gate(side: str, slot: str, notional: Decimal, least: Decimal) -> Gate:
    """Return MinNotional for a level that is worth less than the smallest order sent."""
    detail = f"{slot} is worth {shown(notional)} RLUSD < {plain(least)}"
    return Gate(name=MIN_NOTIONAL, side=side, detail=detail)


def manual_gates(pause: Pause | None) -> tuple[Gate, ...]:
    """Return Manual for the sides that the operator has closed, with who, when and why."""
    return () if pause is None else (Gate(name=MANUAL, side=pause.side, detail=pause.told),)


def is_open(gates: tuple[Gate, ...], side: str) -> bool:
    """Return True when no gate closes this side."""
    return not any(gate.side in (side, BOTH) for gate in gates)


def spread_bps(bid: Decimal, ask: Decimal, mid: Decimal) -> Decimal:
    """Return the distance between the best bid and ask in bps of the mid."""
    return (ask - bid) * BPS / mid
