"""A named market: a chain with agents that trade on it.

    market = open_market("calm", seed=1)
    while True:
        closed = market.chain.close(market.transactions(), close_time)
        market.closed(closed)

`transactions` is what the agents send into the next ledger, decided from the state after the last one;
others may add their own to it. The same name and seed give the same market, transaction for transaction, as
long as nobody else sends any. Nothing is kept of the past but each agent's own offers.

The market opens by transactions alone: from a ledger in which one account holds all XRP, the bank funds the
others, issuer and gateway set up their tokens, trust lines are made, tokens are issued, the pool is
made; then the agents trade for some ledgers, so that there is a book.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from random import Random
from typing import Any, Protocol

from neo_engine.domain.assets import XRP, Asset, IssuedAsset, Pair, currency_code
from neo_engine.domain.errors import InvariantViolation
from neo_engine.simulator.agents.bank import Bank, Share, even_share
from neo_engine.simulator.agents.careless import Careless, Poor
from neo_engine.simulator.agents.hands import (
    DROPS,
    Hand,
    HashOf,
    Sight,
    best_price,
    model_hash,
    token,
    worth,
)
from neo_engine.simulator.agents.makers import Maker
from neo_engine.simulator.agents.pool import Arbitrageur, Provider
from neo_engine.simulator.agents.prices import BPS, Prices, prices_of
from neo_engine.simulator.agents.settings import MarketSettings, market_settings
from neo_engine.simulator.agents.takers import Taker
from neo_engine.simulator.model import keys
from neo_engine.simulator.model.genesis import GENESIS_ACCOUNT, genesis
from neo_engine.simulator.model.ledger import Chain, ClosedLedger
from neo_engine.simulator.model.results import SUCCESS
from neo_engine.simulator.model.tx import Tx

LEDGER_SECONDS = 4
START_TIME = 820_886_400  # 2026-01-05 00:00 UTC, seconds since 2000-01-01
RLUSD, USD = currency_code("RLUSD"), "USD"
CARELESS, POOR = "maker6", "maker7"
TAKERS = tuple(f"taker{number}" for number in range(1, 9))
NEO = "neo"
NEO_DROPS, NEO_QUOTE = 500 * DROPS, Decimal(1_000)
BANK_DROPS = 10**16
CARELESS_DROPS = 3_000 * DROPS
START_DROPS = 1_000 * DROPS  # of accounts that need no more than fees and reserves
PROVIDER_SHARE = 10  # of the pool that its provider owns beside it: one part in this
LIMIT = Decimal(10) ** 12  # of trust lines
TURBULENCE_MEMORY = 10  # ledgers

# AccountSet flags and settings (rippled TxFlags.h; docs "Rippling", "Transfer Fees", "Tick Size").
ASF_DEFAULT_RIPPLE = 8
ASF_ALLOW_CLAWBACK = 16
QUOTE_TICK_SIZE = 7
GATEWAY_TICK_SIZE = 5
GATEWAY_TRANSFER_RATE = 1_002_000_000


class Agent(Protocol):
    """One who trades."""

    def act(self, sight: Sight) -> None:
        """Send transactions for the next ledger."""


class Market:
    """See the module. `pair`: what is traded. `accounts`: who is who, by the names recordings use."""

    def __init__(self, name: str, seed: int, settings: MarketSettings, hash_of: HashOf) -> None:
        state, header = genesis(close_time=START_TIME)
        self.name = name
        self.seed = seed
        self.chain = Chain(state, header)
        self._settings = settings
        self._hash_of = hash_of
        self._first_ledger = header.ledger_index
        self._prices: Prices = prices_of(settings.price, self._random("prices"))
        self._fair = self._prices.step()
        self._turbulence = Decimal(1)
        self._shift = Decimal(1)
        self._resting: dict[str, int] = {}
        names = ("bank", "issuer", "gateway", "lp", "arb", NEO, *settings.makers, CARELESS, POOR, *TAKERS)
        self._hands = {who: Hand(self._address(who), hash_of, self._random(who)) for who in names}
        self.accounts = {who: hand.address for who, hand in self._hands.items()}
        self._quote = Asset(RLUSD, self.accounts["issuer"])
        self._usd = Asset(USD, self.accounts["gateway"])
        self.pair = Pair(quote=IssuedAsset(currency=RLUSD, issuer=self._quote.issuer))
        self._bank = self._make_bank()
        self._agents: list[tuple[str, Agent]] = []

    def _random(self, who: str) -> Random:
        return Random(int.from_bytes(keys.half(f"{self.name} {self.seed} {who}".encode())))

    def _address(self, who: str) -> str:
        return keys.address_of(keys.half(f"account {self.seed} {who}".encode())[: keys.ACCOUNT_BYTES])

    # what others use

    @property
    def fair_price(self) -> Decimal:
        """What the agents take XRP to be worth now, tokens per XRP: for judging afterwards only."""
        return self._fair

    def transactions(self) -> list[Tx]:
        """Return what the agents send into the next ledger. To be called once a ledger."""
        sent: list[Tx] = []
        sight = self._sight(sent)
        for who, agent in self._agents:
            if self._resting.get(who, 0) < sight.ledger_index:
                agent.act(sight)
        return sent

    def shift(self, factor: Decimal) -> None:
        """Let the agents take XRP to be worth so many times as much, at once and from now on.

        Raises ValueError for a factor that is not above zero.
        """
        if not factor > 0:
            raise ValueError(f"market {self.name}: the price cannot become {factor} times as much")
        self._shift *= factor
        self._fair *= factor

    def rest(self, who: str, last_ledger: int) -> None:
        """Let an agent send nothing until that ledger has closed; its offers stand. Raises KeyError."""
        if who not in self.agents:
            raise KeyError(who)
        self._resting[who] = last_ledger

    @property
    def agents(self) -> tuple[str, ...]:
        """The names of those who trade."""
        return tuple(who for who, _ in self._agents)

    def closed(self, closed: ClosedLedger) -> None:
        """Let the agents learn that a ledger closed: the price moves on."""
        if closed.header.ledger_index != self.chain.header.ledger_index:
            raise InvariantViolation(
                f"market {self.name}: told of ledger {closed.header.ledger_index}, but its chain is at "
                f"{self.chain.header.ledger_index}"
            )
        before, self._fair = self._fair, self._prices.step() * self._shift
        moved = abs(self._fair / before - 1) * BPS
        self._turbulence += (moved - self._turbulence) / TURBULENCE_MEMORY

    def advance(self) -> ClosedLedger:
        """Close the next ledger with the agents' transactions alone, four seconds after the last."""
        return self._close(self.transactions())

    @property
    def next_time(self) -> int:
        """When the next ledger would close, not rounded: seconds since 2000-01-01."""
        return START_TIME + LEDGER_SECONDS * (self.chain.header.ledger_index + 1 - self._first_ledger)

    def _close(self, sent: list[Tx]) -> ClosedLedger:
        closed = self.chain.close(sent, self.next_time)
        self.closed(closed)
        return closed

    def _sight(self, sent: list[Tx]) -> Sight:
        """Return what agents see, and make every hand ready to write into `sent`."""
        chain, state = self.chain, self.chain.state
        sight = Sight(
            state=state,
            ledger_index=chain.header.ledger_index + 1,
            close_time=chain.header.close_time,
            fair=self._fair,
            turbulence_bps=self._turbulence,
            ask=best_price(state, self._quote, XRP),
            bid=best_price(state, XRP, self._quote),
            fee=chain.rules().base_fee,
        )
        for hand in self._hands.values():
            if hand.root in state.entries:
                hand.begin(sight, sent)
        return sight

    # opening

    def _make_bank(self) -> Bank:
        hands, settings = self._hands, self._settings
        both = (self._quote, self._usd)
        xrp = settings.funds.xrp
        shares = [even_share(hands[who], xrp, both) for who in TAKERS]
        for who, maker in settings.makers.items():
            shares.append(even_share(hands[who], xrp, both if maker.token == USD else both[:1]))
        shares.append(even_share(hands["arb"], xrp, both[:1]))
        shares.append(even_share(hands["lp"], settings.pool.xrp / PROVIDER_SHARE, both[:1]))
        shares.append(
            Share(
                hand=hands[CARELESS],
                drops=CARELESS_DROPS,
                low=CARELESS_DROPS // 2,
                high=CARELESS_DROPS * 2,
                empty=both[:1],
            )
        )
        rules = self.chain.rules()
        spare = rules.owner_reserve // 4  # funds for an order, but not for one more entry
        shares.append(
            Share(
                hand=hands[POOR],
                drops=rules.reserve(1) + 3 * spare,
                low=rules.reserve(1) + 2 * spare,
                high=rules.reserve(1) + 4 * spare - 1,
            )
        )
        issuers = {self._quote: hands["issuer"], self._usd: hands["gateway"]}
        return Bank(hands["bank"], issuers, tuple(shares))

    def open(self) -> None:
        """Make the market, from the first payment to a book with a past."""
        genesis_hand = Hand(GENESIS_ACCOUNT, self._hash_of, self._random("genesis"))
        sent: list[Tx] = []
        genesis_hand.begin(self._sight(sent), sent)
        bank = self._hands["bank"]
        genesis_hand.send("Payment", Destination=bank.address, Amount=str(BANK_DROPS))
        self._done(sent)
        for step in (self._fund, self._set_up, self._trust, self._issue, self._make_pool):
            sent = []
            step(self._sight(sent))
            self._done(sent)
        self._agents = self._make_agents()
        for _ in range(self._settings.warmup_ledgers):
            self.advance()

    def _done(self, sent: list[Tx]) -> None:
        closed = self._close(sent)
        wrong = [f"{item.tx.kind}: {item.result}" for item in closed.transactions if item.result != SUCCESS]
        wrong += [f"{tx.kind}: {result}" for tx, result in closed.failed]
        wrong += [f"{tx.kind}: not applied" for tx in closed.retry]
        if wrong:
            raise InvariantViolation(f"market {self.name}: it could not open: {', '.join(wrong)}")

    def _fund(self, sight: Sight) -> None:  # noqa: ARG002 - one of the steps
        settings, drops = self._settings, {}
        for who in self._hands:
            drops[who] = int(settings.funds.xrp * DROPS)
        drops["lp"] = int(settings.pool.xrp * (PROVIDER_SHARE + 1) / PROVIDER_SHARE * DROPS) + START_DROPS
        rules = self.chain.rules()
        drops[POOR] = rules.reserve(1) + rules.owner_reserve * 3 // 4
        drops |= {"issuer": START_DROPS, "gateway": START_DROPS, NEO: NEO_DROPS, CARELESS: CARELESS_DROPS}
        for who, amount in drops.items():
            if who != "bank":
                address = self.accounts[who]
                self._hands["bank"].send("Payment", Destination=address, Amount=str(amount))

    def _set_up(self, sight: Sight) -> None:  # noqa: ARG002 - one of the steps
        issuer, gateway = self._hands["issuer"], self._hands["gateway"]
        issuer.send("AccountSet", SetFlag=ASF_DEFAULT_RIPPLE, TickSize=QUOTE_TICK_SIZE)
        issuer.send("AccountSet", SetFlag=ASF_ALLOW_CLAWBACK)
        gateway.send(
            "AccountSet",
            SetFlag=ASF_DEFAULT_RIPPLE,
            TickSize=GATEWAY_TICK_SIZE,
            TransferRate=GATEWAY_TRANSFER_RATE,
        )

    def _trust(self, sight: Sight) -> None:  # noqa: ARG002 - one of the steps
        usd_makers = [who for who, maker in self._settings.makers.items() if maker.token == USD]
        for who, hand in self._hands.items():
            if who in ("bank", "issuer", "gateway"):
                continue
            hand.send("TrustSet", LimitAmount=token(self._quote, LIMIT))
            if who in TAKERS or who in usd_makers:
                hand.send("TrustSet", LimitAmount=token(self._usd, LIMIT))

    def _issue(self, sight: Sight) -> None:
        self._bank.open(sight)
        issuer = self._hands["issuer"]
        issuer.send("Payment", Destination=self.accounts[NEO], Amount=token(self._quote, NEO_QUOTE))
        pool = worth(int(self._settings.pool.xrp * DROPS), sight.fair)
        issuer.send("Payment", Destination=self.accounts["lp"], Amount=token(self._quote, pool))

    def _make_pool(self, sight: Sight) -> None:
        drops = int(self._settings.pool.xrp * DROPS)
        fields: Mapping[str, Any] = {
            "Amount": str(drops),
            "Amount2": token(self._quote, worth(drops, sight.fair)),
            "TradingFee": self._settings.pool.fee_units,
            "Fee": str(self.chain.rules().owner_reserve),
        }
        self._hands["lp"].send("AMMCreate", **fields)

    def _make_agents(self) -> list[tuple[str, Agent]]:
        settings, hands, quote, usd = self._settings, self._hands, self._quote, self._usd
        first = self.chain.header.ledger_index + 1
        agents: list[tuple[str, Agent]] = [
            (who, Maker(hands[who], maker, usd if maker.token == USD else quote, first))
            for who, maker in settings.makers.items()
        ]
        agents += [(who, Taker(hands[who], settings.takers, quote, usd)) for who in TAKERS]
        agents.append(("arb", Arbitrageur(hands["arb"], settings.arbitrage, quote)))
        agents.append(("lp", Provider(hands["lp"], settings.pool, quote)))
        agents.append((CARELESS, Careless(hands[CARELESS], settings.refused, quote, self.accounts["bank"])))
        agents.append((POOR, Poor(hands[POOR], settings.refused, quote)))
        agents.append(("bank", self._bank))
        return agents


def open_market(name: str, seed: int, hash_of: HashOf | None = None) -> Market:
    """Return a named market that is open. hash_of: of a transaction's JSON; None for the model's own.

    Raises UsageError for a name that there is not.
    """
    market = Market(name, seed, market_settings(name), hash_of or model_hash)
    market.open()
    return market
