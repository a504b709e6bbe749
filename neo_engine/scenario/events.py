"""What can happen in a scenario besides the faults of the server's schedule: one small function each.

Everything others do is a real transaction of the model; what the engine's own key does is signed with it and
sent past the engine, as a second program would. Amounts are units of the asset, prices RLUSD per XRP.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from typing import Any, Literal

from msgspec.structs import replace

from neo_engine.domain.assets import XRP, Asset, Side
from neo_engine.domain.clock import utc_text
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.market import DataFault, MarketSnapshot
from neo_engine.domain.number import ZERO, plain
from neo_engine.domain.pause import Pause
from neo_engine.ops.clock import iso
from neo_engine.ops.control import pause_path, remove_pause, request_kill, request_pause
from neo_engine.ports import VenueReport
from neo_engine.rehearsal.party import Party
from neo_engine.rehearsal.points import POINTS
from neo_engine.rehearsal.world import LEDGER_SECONDS
from neo_engine.risk.monitors.market import near_drops
from neo_engine.scenario.stage import Bend, EventFailed, Stage
from neo_engine.scenario.table import event, taken
from neo_engine.simulator.agents.hands import DROPS, TF_IMMEDIATE_OR_CANCEL, TF_SELL
from neo_engine.simulator.agents.pool import TF_SINGLE_ASSET, PoolView
from neo_engine.simulator.model.amounts import Token
from neo_engine.simulator.server.fault_deeds import do as do_fault
from neo_engine.simulator.server.genesis import RLUSD

BPS = Decimal(10_000)
CENT = Decimal("0.000001")  # tokens are written with six decimals, as the agents do
FAR_BPS = Decimal(5_000)  # how far from the mid a taker with a given amount goes at most
WITHDRAW_ALL_AS_ONE = 0x0004_0000  # AMMWithdraw, tfOneAssetWithdrawAll
EVERYBODY = "everybody"
MAKER_LIMIT = 1_000_000  # XRP of an order that only its price limits

BookSide = Literal["bids", "asks"]
AssetName = Literal["XRP", "RLUSD"]


def _token(stage: Stage, value: Decimal) -> dict[str, str]:
    return {"currency": RLUSD, "issuer": stage.world.network.issuer, "value": plain(value)}


def _money(stage: Stage, asset: AssetName, amount: Decimal) -> Any:
    return str(int(amount * DROPS)) if asset == "XRP" else _token(stage, amount)


def _seen(stage: Stage) -> tuple[MarketSnapshot, Decimal]:
    """Return the market as it was reported last, and its mid. Raises EventFailed before there is one."""
    snapshot = stage.snapshot
    if snapshot is None or snapshot.mid is None:
        raise EventFailed("no ledger with bids and asks was reported yet; let it happen later")
    return snapshot, snapshot.mid


def _take(stage: Stage, side: BookSide, drops: int, limit: Decimal, *, open_to: str = "") -> str:
    """Let the stranger take one side of the book and the pool, no further than a price.

    open_to: a preliminary result that is no failure, since the closed ledger may give another.
    """
    value = (drops * limit / DROPS).quantize(CENT, ROUND_DOWN if side == "bids" else ROUND_UP)
    xrp, tokens = str(drops), _token(stage, value)
    flags = TF_IMMEDIATE_OR_CANCEL
    if side == "bids":
        result = stage.world.stranger.send("OfferCreate", flags | TF_SELL, TakerGets=xrp, TakerPays=tokens)
    else:
        result = stage.world.stranger.send("OfferCreate", flags, TakerGets=tokens, TakerPays=xrp)
    if result != open_to:
        taken("the taker's order", result)
    return f"a taker of up to {plain(Decimal(drops) / DROPS)} XRP, limit {plain(limit)}"


# the market


@event
def sweep(
    stage: Stage, *, side: BookSide, near_depths: Decimal | None = None, down_to_bps: Decimal | None = None
) -> str:
    """a taker sweeps one side: so many near depths of it, or all as far as `down_to_bps` from the mid"""
    snapshot, mid = _seen(stage)
    if (near_depths is None) == (down_to_bps is None):
        raise EventFailed("sweep: give one of near_depths and down_to_bps")
    away = FAR_BPS if down_to_bps is None else down_to_bps
    limit = mid * (1 - away / BPS if side == "bids" else 1 + away / BPS)
    drops = MAKER_LIMIT * DROPS
    if near_depths is not None:
        taker = Side.SELL if side == "bids" else Side.BUY
        near = near_drops(snapshot, taker, stage.world.config.monitors.cascade_near_bps)
        drops = int(near * near_depths)
    return _take(stage, side, drops, limit.quantize(CENT))


@event
def price_jump(stage: Stage, *, percent: Decimal) -> str:
    """what the agents take XRP to be worth jumps by so many percent, and stays there"""
    if percent <= -100:
        raise EventFailed(f"price_jump: {percent} % would leave no price; give more than -100")
    stage.world.market.shift(1 + percent / 100)
    return f"the fair price is {stage.world.market.fair_price:.6f} now"


@event
def withdraw(
    stage: Stage, *, who: str = EVERYBODY, side: Literal["both", "bids", "asks"] = "both", ledgers: int = 1
) -> str:
    """an agent (or everybody) cancels its offers of a side and sends nothing more for so many ledgers"""
    world = stage.world
    resting = world.market.agents if who == EVERYBODY else (who,)
    unknown = [one for one in resting if one not in world.market.agents]
    if unknown:
        raise EventFailed(f"withdraw: no agent {unknown[0]!r}; there are {', '.join(world.market.agents)}")
    count = 0
    accounts = {world.market.accounts[one] for one in resting}
    for entry in list(world.network.open_ledger.state.entries.values()):
        if entry["LedgerEntryType"] != "Offer" or entry["Account"] not in accounts:
            continue
        sells = not isinstance(entry["TakerGets"], Token)
        other = entry["TakerPays"] if sells else entry["TakerGets"]
        of_pair = isinstance(other, Token) and other.currency == RLUSD
        if not of_pair or isinstance(entry["TakerPays"], Token) != sells:
            continue
        if side == "both" or sells == (side == "asks"):
            party = Party(world.network, entry["Account"])
            taken("a cancel", party.send("OfferCancel", OfferSequence=entry["Sequence"]))
            count += 1
    for one in resting:
        world.market.rest(one, world.network.open_ledger.index + ledgers - 1)
    return f"{count} offers of {who} are gone, for {ledgers} ledgers"


@event
def pool_trade(stage: Stage, *, side: Literal["buy", "sell"], percent: Decimal) -> str:
    """a trade with the pool alone: so many percent of one asset are put in, the other is taken out"""
    if not 0 < percent <= 50:
        raise EventFailed(f"pool_trade: {percent} % of the pool; give above 0, to 50")
    world, quote = stage.world, Asset(RLUSD, stage.world.network.issuer)
    pool = PoolView(quote).read(world.network.open_ledger.state)
    if pool is None:
        raise EventFailed("pool_trade: there is no pool")
    drops, tokens, _fee = pool
    share = percent / 100
    xrp, token = str(int(drops * share)), _token(stage, (tokens * share).quantize(CENT, ROUND_DOWN))
    pair: dict[str, Any] = {
        "Asset": {"currency": XRP.currency},
        "Asset2": {"currency": RLUSD, "issuer": quote.issuer},
    }
    pays, wants = (xrp, _token(stage, Decimal(0))) if side == "sell" else (token, "0")
    taken("the deposit", world.stranger.send("AMMDeposit", TF_SINGLE_ASSET, **pair, Amount=pays))
    flags = WITHDRAW_ALL_AS_ONE
    taken("the withdrawal", world.stranger.send("AMMWithdraw", flags, **pair, Amount=wants))
    return f"{plain(percent)} % of the pool's {'XRP' if side == 'sell' else 'RLUSD'} traded for the other"


@event
def crowd(stage: Stage, *, transactions: int, fee_drops: int) -> str:
    """strangers send so many transactions at a fee, so that a network that escalates asks for more"""
    results: dict[str, int] = {}
    for _ in range(transactions):
        result = stage.world.stranger.send("AccountSet", fee_drops=fee_drops)
        results[result] = results.get(result, 0) + 1
        if result != "tesSUCCESS":
            break  # the next ones would have the same sequence
    asked = stage.world.network.situation().open_cost
    told = ", ".join(f"{count} {result}" for result, count in results.items())
    return f"{told}; the open ledger asks {asked} drops"


@event
def fees(stage: Stage, *, base_fee: int = 0, reserve_base: int = 0, reserve_increment: int = 0) -> str:
    """the validators vote other fees and reserves, in drops"""
    parameters = {"fee": base_fee, "base": reserve_base, "increment": reserve_increment}
    do_fault(stage.world.network, stage.world.faults.pseudo, "reserve", parameters)
    return ", ".join(f"{name} {value} drops" for name, value in parameters.items() if value)


# our account


def _deed(stage: Stage, name: str, **more: str) -> str:
    parameters = {"account": stage.world.account, "issuer": "", "currency": "", **more}
    told = do_fault(stage.world.network, stage.world.faults.pseudo, name, parameters)
    return f"transaction {told['hash'][:8]}"


@event
def freeze(stage: Stage) -> str:
    """the issuer freezes our trust line"""
    return _deed(stage, "freeze")


@event
def unfreeze(stage: Stage) -> str:
    """the issuer clears the freeze of our trust line"""
    return _deed(stage, "unfreeze")


@event
def clawback(stage: Stage, *, amount: Decimal) -> str:
    """the issuer takes tokens back from us"""
    return _deed(stage, "clawback", value=plain(amount))


@event
def deposit(stage: Stage, *, asset: AssetName, amount: Decimal) -> str:
    """somebody pays us"""
    if asset == "RLUSD":
        return _deed(stage, "deposit", value=plain(amount), currency=RLUSD)
    return _deed(stage, "deposit", value=str(int(amount * DROPS)))


def _by_us(stage: Stage, what: str, **fields: Any) -> str:
    told = stage.world.send(fields)
    taken(what, told["engine_result"])
    return f"transaction {told['tx_json']['hash'][:8]}, sequence {told['tx_json']['Sequence']}"


@event
def withdrawal(stage: Stage, *, asset: AssetName, amount: Decimal) -> str:
    """our key pays money out, past the engine"""
    money = _money(stage, asset, amount)
    to = stage.world.stranger.address
    return _by_us(stage, "the payment", TransactionType="Payment", Destination=to, Amount=money)


@event
def orphan(stage: Stage, *, side: Literal["buy", "sell"], bps: Decimal, xrp: Decimal) -> str:
    """our key places an offer past the engine, so far from the mid (negative: beyond it)"""
    _, mid = _seen(stage)
    price = mid * (1 - bps / BPS if side == "buy" else 1 + bps / BPS)
    drops, tokens = str(int(xrp * DROPS)), _token(stage, (xrp * price).quantize(CENT))
    pays, gets = (drops, tokens) if side == "buy" else (tokens, drops)
    return _by_us(stage, "the offer", TransactionType="OfferCreate", TakerPays=pays, TakerGets=gets)


@event
def hit_ours(stage: Stage, *, side: BookSide) -> str:
    """a taker takes our best offer of a side, and all that is better"""
    network = stage.world.network
    # One whose cancel is under way stands in the last ledger only, one just placed in the open one only.
    entries = {**network.chain.state.entries, **network.open_ledger.state.entries}
    prices = []
    for entry in entries.values():
        if entry["LedgerEntryType"] != "Offer" or entry["Account"] != stage.world.account:
            continue
        pays, gets = entry["TakerPays"], entry["TakerGets"]
        if side == "bids" and isinstance(gets, Token):
            prices.append(gets.value * DROPS / pays)
        elif side == "asks" and isinstance(pays, Token):
            prices.append(pays.value * DROPS / gets)
    best = (max if side == "bids" else min)(prices, default=None)
    if best is None:
        raise EventFailed(f"hit_ours: none of our {side} stands; let it happen in another ledger")
    # A basis point further: the issuer's tick size rounds the price of an order against its owner.
    limit = best * (1 - 1 / BPS if side == "bids" else 1 + 1 / BPS)
    return _take(stage, side, MAKER_LIMIT * DROPS, limit.quantize(CENT), open_to="tecKILLED")


# the operator and the machine


@event
def kill(stage: Stage, *, reason: str = "the scenario pulls the kill switch") -> str:
    """the operator leaves the kill file"""
    return f"kill file {request_kill(stage.db, reason).name}"


@event
def pause(
    stage: Stage, *, side: Literal["both", "bid", "ask"] = "both", reason: str = "the scenario pauses"
) -> str:
    """the operator closes quoting, on one side or on both"""
    at = iso(stage.world.clock.utc_now())
    path = request_pause(stage.db, Pause(side=side, by="operator", at=at, reason=reason))
    return f"pause file {path.name}, side {side}"


@event
def resume(stage: Stage) -> str:
    """the operator's pause ends"""
    if not pause_path(stage.db).exists():
        raise EventFailed("resume: nothing is paused")
    remove_pause(stage.db)
    return "the pause file is gone"


@event
def reference(stage: Stage, *, percent: Decimal = ZERO, ledgers: int = 1) -> str:
    """another market's price, so many percent from the mid now, a row each ledger for so many of them"""
    _, mid = _seen(stage)
    if stage.reference is None:
        raise EventFailed("reference: the scenario has no reference; say `reference: true`")
    price = (mid * (1 + percent / 100)).quantize(CENT)
    begin = max(stage.world.network.chain.header.close_time, stage.reference_until)
    times = range(begin, begin + ledgers * LEDGER_SECONDS, LEDGER_SECONDS)
    stage.reference_until = times[-1] + 1
    rows = "".join(f"{utc_text(at)},{plain(price)}\n" for at in times)
    with stage.reference.open("a", encoding="ascii") as file:
        file.write(rows)
    return f"{plain(price)}, {plain(percent)} % from the mid {plain(mid)}, for {ledgers} ledgers"


@event
def signal(stage: Stage, *, name: Literal["SIGINT", "SIGTERM"]) -> str:
    """the system asks the process to end"""
    reasons = {"SIGINT": HaltReason.INTERRUPTED_SIGINT, "SIGTERM": HaltReason.INTERRUPTED_SIGTERM}
    stage.world.signals.send(reasons[name], name)
    return name


@event
def crash(stage: Stage, *, point: str = "submit.after", away_ledgers: int | None = None) -> str:
    """the process dies at the next such point; a new session starts, so many ledgers later"""
    if point not in POINTS:
        raise EventFailed(f"crash: no point {point!r}; there are {', '.join(POINTS)}")
    stage.crash_at, stage.away_ledgers = point, away_ledgers or 0
    return f"the process dies at the next {point}"


# what a true ledger never shows


def _bent(snapshot_bent: Callable[[MarketSnapshot], MarketSnapshot]) -> Bend:
    return lambda report: replace(report, snapshot=snapshot_bent(report.snapshot))


def _crossed(snapshot: MarketSnapshot) -> MarketSnapshot:
    if snapshot.best_ask is None or not snapshot.bids:
        return snapshot
    price = snapshot.best_ask * Decimal("1.001")
    bids = (replace(snapshot.bids[0], price=price), *snapshot.bids[1:])
    return replace(snapshot, bids=bids, best_bid=price, mid=(price + snapshot.best_ask) / 2)


def _price(value: str) -> Any:
    return lambda snapshot: replace(snapshot, best_bid=Decimal(value), mid=Decimal(value))


def _frozen(snapshot: MarketSnapshot) -> MarketSnapshot:
    return replace(snapshot, faults=(*snapshot.faults, DataFault.FROZEN))


BENDS: dict[str, Callable[[MarketSnapshot], MarketSnapshot]] = {
    "crossed": _crossed,
    "nan": _price("NaN"),
    "absurd": _price("1E+90"),
    "negative": _price("-1"),
    "frozen": _frozen,
}


def _for_ledgers(stage: Stage, ledgers: int, how: Bend) -> str:
    first = stage.world.ledger
    stage.bend(first, first + ledgers - 1, how)
    return f"in ledgers {first} to {first + ledgers - 1}"


@event
def bend(
    stage: Stage, *, how: Literal["crossed", "nan", "absurd", "negative", "frozen"], ledgers: int = 1
) -> str:
    """the reports of this ledger and the next ones reach the engine bent"""
    return f"{how} {_for_ledgers(stage, ledgers, _bent(BENDS[how]))}"


@event
def disk_full(stage: Stage, *, ledgers: int = 1) -> str:
    """the database's disk has no more room: SQLite may add no page"""
    stage.disk(full=True)
    stage.world.at_ledger(stage.world.ledger + ledgers, lambda: stage.disk(full=False))
    return f"full for {ledgers} ledgers"


@event
def misreport(stage: Stage, *, asset: AssetName, amount: Decimal, ledgers: int = 1) -> str:
    """the reports say that we hold more than we do, by an amount that no transaction explains"""

    def more(report: VenueReport) -> VenueReport:
        account = report.account
        if asset == "XRP":
            account = replace(account, balance_drops=account.balance_drops + int(amount * DROPS))
        else:
            account = replace(account, quote_balance=account.quote_balance + amount)
        return replace(report, account=account)

    return f"{plain(amount)} {asset} too much {_for_ledgers(stage, ledgers, more)}"


@event
def headroom(stage: Stage, *, percent: Decimal, ledgers: int = 1) -> str:
    """no more than so many percent of the requests are left, as if others spent them from our address"""
    if not 0 <= percent <= 100:
        raise EventFailed(f"headroom: {percent} % is no share; give 0 to 100")

    def less(report: VenueReport) -> VenueReport:
        left = report.headroom
        return replace(report, headroom=replace(left, requests=min(left.requests, percent)))

    return f"{plain(percent)} % of the requests {_for_ledgers(stage, ledgers, less)}"
