"""A market of agents: how it opens, that it repeats, and that nobody is ruined or gains from nothing."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

import msgspec
import pytest

from neo_engine.domain.assets import Asset
from neo_engine.domain.errors import InvariantViolation, UsageError
from neo_engine.simulator.agents import Market, open_market
from neo_engine.simulator.agents.hands import Sight, model_hash
from neo_engine.simulator.agents.settings import market_settings, markets
from neo_engine.simulator.model import keys
from neo_engine.simulator.model.fields import fields_to_wire

#: The names of the recordings of a real server, and the two that a market has beside them.
RECORDED = ("issuer", "gateway", "lp", "arb", "neo", *(f"maker{n}" for n in range(1, 7)))
NAMES = {*RECORDED, *(f"taker{n}" for n in range(1, 9)), "maker7", "bank"}
ALL_DROPS = 10**17
SHORT = 120


@cache
def opened(name: str = "calm", seed: int = 3) -> Market:
    """A market to look at, not to change."""
    return open_market(name, seed)


def root(market: Market, who: str) -> dict[str, Any]:
    return market.chain.state.entries[keys.account_root(market.accounts[who])]


def tokens(market: Market, who: str, issuer: str, currency: str) -> Decimal:
    address, other = market.accounts[who], market.accounts[issuer]
    line = market.chain.state.entries[keys.line(address, other, currency)]
    value: Decimal = line["Balance"].value
    return value if line["LowLimit"].issuer == address else -value


def test_the_accounts_have_the_recordings_names_and_addresses_made_of_the_seed() -> None:
    assert set(opened().accounts) == NAMES
    assert opened("hostile").accounts == opened().accounts
    assert not set(opened(seed=4).accounts.values()) & set(opened().accounts.values())


def test_issuer_gateway_and_pool_are_set_up_as_on_the_recorded_ledgers() -> None:
    market = opened()
    issuer, gateway = root(market, "issuer"), root(market, "gateway")
    assert issuer["TickSize"] == 7
    assert issuer["Flags"] == 0x80000000 | 0x00800000  # allows clawback, ripples by default
    assert (gateway["TickSize"], gateway["TransferRate"]) == (5, 1_002_000_000)
    pool = market.chain.state.entries[keys.amm(Asset("XRP", ""), Asset(*_quote(market)))]
    assert pool["TradingFee"] == market_settings("calm").pool.fee_units


def _quote(market: Market) -> tuple[str, str]:
    return market.pair.quote.currency, market.pair.quote.issuer


def test_the_paper_account_has_500_xrp_and_1000_rlusd_less_its_fee() -> None:
    market = opened()
    assert root(market, "neo")["Balance"] == 500_000_000 - 10  # one TrustSet
    assert tokens(market, "neo", "issuer", market.pair.quote.currency) == 1_000
    assert root(market, "neo")["OwnerCount"] == 1


def test_the_first_state_is_made_by_transactions_from_all_xrp_in_one_account() -> None:
    market = open_market("calm", 3)
    for _ in range(20):
        market.advance()
    entries = market.chain.state.entries.values()
    drops = sum(entry["Balance"] for entry in entries if entry["LedgerEntryType"] == "AccountRoot")
    assert drops == market.chain.header.total_coins < ALL_DROPS


def test_the_same_seed_gives_the_same_ledgers_and_another_seed_others() -> None:
    def hashes(seed: int) -> list[str]:
        market = open_market("hostile", seed)
        return [market.advance().header.ledger_hash for _ in range(SHORT)]

    first = hashes(8)
    assert first == hashes(8)
    assert first != hashes(9)


def test_agents_do_not_send_what_a_ledger_would_not_take() -> None:
    for name in markets():
        market = open_market(name, 5)
        for _ in range(SHORT):
            closed = market.advance()
            assert not closed.failed, closed.failed[0][1]
            assert not closed.retry


def test_both_sides_of_the_book_are_there_from_the_first_ledger_on() -> None:
    for name in markets():
        market = open_market(name, 6)
        for _ in range(SHORT):
            sight: Sight = market._sight([])
            assert sight.ask is not None
            assert sight.bid is not None
            assert sight.bid < sight.ask
            market.advance()


def test_nobody_is_ruined_and_nobody_piles_up_everything() -> None:
    market = open_market("hostile", 2)
    start = int(market_settings("hostile").funds.xrp) * 1_000_000
    turns = len(NAMES)  # the bank looks at one account a ledger
    for number in range(900):
        market.advance()
        if number < turns:
            continue
        for who in ("maker1", "maker2", "maker3", "arb", "taker1", "taker8"):
            # Half to twice is where the bank steps in; in the ledgers between two visits it may go on.
            assert start // 4 < root(market, who)["Balance"] < start * 3, who


def test_the_bank_pays_up_who_has_lost_and_takes_from_who_has_gained() -> None:
    market = open_market("calm", 1)
    for who, part in (("taker1", Decimal("0.1")), ("taker2", Decimal(5))):
        entry = root(market, who)
        moved = entry["Balance"] - int(entry["Balance"] * part)
        other = root(market, "bank")
        market.chain.state.entries[keys.account_root(market.accounts[who])] = {
            **entry,
            "Balance": entry["Balance"] - moved,
        }
        market.chain.state.entries[keys.account_root(market.accounts["bank"])] = {
            **other,
            "Balance": other["Balance"] + moved,
        }
    for _ in range(len(NAMES)):
        market.advance()
    wanted = int(market_settings("calm").funds.xrp) * 1_000_000
    for who in ("taker1", "taker2"):
        assert abs(root(market, who)["Balance"] - wanted) < wanted // 4, who


def test_the_bank_writes_amounts_of_tokens_that_a_ledger_can_hold() -> None:
    market = open_market("calm", 1)
    quote = market.pair.quote
    for digits in ("412247.2539721174", "0.00000001234567891", "77.12345678901234"):
        for who in ("taker1", "taker2", "taker3", "maker1"):
            index = keys.line(market.accounts[who], quote.issuer, quote.currency)
            line = market.chain.state.entries[index]
            sign = 1 if line["LowLimit"].issuer == market.accounts[who] else -1
            held = line["Balance"]._replace(value=sign * Decimal(digits))
            market.chain.state.entries[index] = {**line, "Balance": held}
        for _ in range(len(NAMES)):
            assert not market.advance().failed


def test_a_market_keeps_nothing_of_the_past() -> None:
    market = open_market("calm", 1)

    def size() -> int:
        return len(market.chain.state.entries)

    def bytes_held() -> int:
        entries = [fields_to_wire(entry) for entry in market.chain.state.entries.values()]
        return len(msgspec.json.encode(entries))

    for _ in range(300):
        market.advance()
    entries, held = size(), bytes_held()
    for _ in range(900):
        market.advance()
    assert size() < 2 * entries
    assert bytes_held() < 2 * held


def test_a_given_hash_names_the_transactions_and_leaves_what_they_say_alone() -> None:
    def shouting(fields: dict[str, Any]) -> str:
        return model_hash(fields)[::-1]

    plain, other = open_market("calm", 3), open_market("calm", 3, shouting)
    mine, theirs = plain.transactions(), other.transactions()
    assert all(tx.hash == shouting(dict(tx.json)) for tx in theirs)
    # The order within a ledger hangs on the hashes, so only the first ledger's senders must agree.
    assert {tx.account for tx in mine} & {tx.account for tx in theirs}


def test_others_may_send_their_own_transactions_into_the_market() -> None:
    market = open_market("calm", 1)
    sent = market.transactions()
    closed = market.chain.close(sent[:-1], market.next_time)  # one is lost on the way
    market.closed(closed)
    for _ in range(SHORT):
        assert not market.advance().failed


def test_a_ledger_of_another_chain_is_a_mistake_of_the_caller() -> None:
    market, other = open_market("calm", 1), open_market("calm", 1)
    closed = other.advance()
    with pytest.raises(InvariantViolation, match="told of ledger"):
        market.closed(closed)


def test_an_unknown_market_is_refused() -> None:
    with pytest.raises(UsageError, match="no such market"):
        open_market("psychic", 1)


def test_ledgers_are_four_seconds_apart_in_the_mean() -> None:
    market = open_market("calm", 1)
    begun = market.chain.header.close_time
    times = [market.advance().header.close_time for _ in range(SHORT)]
    assert times == sorted(set(times))
    assert abs(times[-1] - begun - 4 * SHORT) <= 10
