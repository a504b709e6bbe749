"""Pools of the model: a server's own transactions to the last digit, XLS-30 by other means, invariants."""

from __future__ import annotations

import json
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neo_engine.domain.assets import XRP
from neo_engine.simulator.model import keys, lines, pools
from neo_engine.simulator.model.amounts import amount_of, to_wire
from neo_engine.simulator.model.context import Rules
from neo_engine.simulator.model.fields import entry_from_wire
from neo_engine.simulator.model.state import State, View
from neo_engine.simulator.model.transactions import amm_deposit, amm_withdraw
from neo_engine.simulator.model.transactor import apply
from neo_engine.simulator.model.tx import Tx
from tests.unit.model_amm_fixture import (
    ISSUER,
    MAKER,
    OTHER,
    PAIR,
    PEOPLE,
    POOL,
    RULES,
    THIRD,
    USD,
    create,
    deposit,
    drops,
    holdings,
    opened,
    pooled,
    run,
    set_flags,
    share_of,
    shares,
    token_sum,
    usd,
    withdraw,
)

D = Decimal
EXACT = Context(prec=60)
CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data" / "model_amm.jsonl").read_text("utf-8").splitlines()
]

# What a server did


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['from']}-{case['ledger_index']}")
def test_a_servers_pool_transaction_is_repeated_to_the_last_digit(case: dict[str, Any]) -> None:
    fields = {name: value for name, value in case["tx"].items() if name != "hash"}
    rules = Rules(
        ledger_index=case["ledger_index"],
        parent_close_time=case["parent_close_time"],
        parent_hash=case["parent_hash"],
        base_fee=10,
        base_reserve=1_000_000,
        owner_reserve=200_000,
    )
    state = State({entry["index"]: entry_from_wire(entry) for entry in case["state"]})
    applied = apply(state, Tx(fields, case["tx"]["hash"]), rules)
    assert applied.meta is not None
    assert applied.meta | {"TransactionIndex": case["meta"]["TransactionIndex"]} == case["meta"]


@pytest.mark.parametrize(
    ("parent_hash", "pool", "address"),
    [
        (
            "1B1164BD52BC6A984B67D70568F7663C0C2500FA65C14D481634147FE90D8CBA",
            "2768ECF91E850ECB8BEEDE9271A2B11E14C0A9C0FC56FE489B0ADA70E1A7F29F",
            "rGisgk1AabfzLLSv156LLSTXgC3PJYUc3y",
        ),
        (
            "78BA94DC635A81ECA251476A07253367E553B4A9E034E8B72B83A43D000B1EAA",
            "625118CAFB893D511A7580014EA8CF07BFF95D7B776EAFC572AD0E23E4808871",
            "r9JtKDj2hXH71YZw64zLKnzeJaRPrAkiAg",
        ),
        (
            "5556ED3B42E552DFDF69287FE9134CE7A49C4E24D6C560F456050BB7CE855698",
            "0500E8AE1495981BDE1E9BBDC255A903F137A5B79F1367F8A33CA76D76A246F7",
            "rfE4hgyemLj8sAv6S9C8NLZKeu6K3QNAH8",
        ),
    ],
)
def test_a_pools_address_is_what_a_server_made_of_the_parent_hash(
    parent_hash: str, pool: str, address: str
) -> None:
    assert pools.free_address(View(State()), parent_hash, pool) == address


def test_a_taken_address_is_passed_over() -> None:
    taken = "rGisgk1AabfzLLSv156LLSTXgC3PJYUc3y"
    index = "2768ECF91E850ECB8BEEDE9271A2B11E14C0A9C0FC56FE489B0ADA70E1A7F29F"
    parent = "1B1164BD52BC6A984B67D70568F7663C0C2500FA65C14D481634147FE90D8CBA"
    view = View(State({keys.account_root(taken): {"LedgerEntryType": "AccountRoot"}}))
    assert pools.free_address(view, parent, index) not in (None, taken)


# XLS-30 by other means: a payment in one asset is a swap of a part of it and a deposit of both, a drawing is
# a withdrawal of both and a swap of one; both are worked out here in 60 digits from the swap alone.

held_amounts = st.decimals(D(1), D(10**9), places=4)
parts = st.decimals(D("0.001"), D("0.9"), places=6)
fees = st.integers(0, 1000)


def swapped(pays: Decimal, held_in: Decimal, held_out: Decimal, fee: Decimal) -> Decimal:
    net = EXACT.multiply(pays, 1 - fee)
    return EXACT.divide(EXACT.multiply(held_out, net), EXACT.add(held_in, net))


def near(one: Decimal, other: Decimal, scale: Decimal, distance: str = "1E-12") -> bool:
    return abs(EXACT.subtract(one, other)) <= EXACT.multiply(scale, D(distance))


@given(held_amounts, held_amounts, parts, fees)
def test_paying_one_asset_is_a_swap_and_an_equal_deposit(
    held: Decimal, other: Decimal, part: Decimal, units: int
) -> None:
    fee = D(units) / 100_000
    start = pools.first_tokens(held, other)
    swap = EXACT.multiply(held, part)
    got = swapped(swap, held, other, fee)
    grown = EXACT.divide(got, other - got)  # the share the pool grows by: both assets in proportion
    paid = EXACT.add(swap, EXACT.multiply(grown, EXACT.add(held, swap)))
    tokens = EXACT.multiply(start, grown)
    paid16 = Context(prec=16).plus(paid)
    assert near(pools.tokens_for_paying(held, paid16, start, fee), tokens, start)
    tokens16 = Context(prec=16).plus(tokens)
    assert near(pools.payment_for_tokens(held, start, tokens16, fee, xrp=False), paid, held, "1E-11")


@given(held_amounts, held_amounts, parts, fees)
def test_drawing_one_asset_is_an_equal_withdrawal_and_a_swap(
    held: Decimal, other: Decimal, part: Decimal, units: int
) -> None:
    fee = D(units) / 100_000
    start = pools.first_tokens(held, other)
    tokens = Context(prec=16).multiply(start, part)
    share = EXACT.divide(tokens, start)
    mine, theirs = EXACT.multiply(held, share), EXACT.multiply(other, share)
    drawn = EXACT.add(mine, swapped(theirs, other - theirs, held - mine, fee))
    assert near(pools.drawing_for_tokens(held, start, tokens, fee, xrp=False), drawn, held)
    drawn16 = Context(prec=16).plus(drawn)
    # Near the end a little more of the asset costs ever more tokens, so the last digits grow.
    assert near(pools.tokens_for_drawing(held, drawn16, start, fee), tokens, start, "1E-11")


def test_the_first_tokens_are_the_root_of_the_product_rounded_down() -> None:
    # sqrt(5000000000 * 11000) = 7416198.4870956629..., as a server gave 7416198.48709566 tokens.
    assert pools.first_tokens(D(5_000_000_000), D(11_000)) <= D("7416198.4870956629")
    assert pools.first_tokens(D(400), D(900)) == 600


# What each flag does


def test_tokens_are_paid_for_in_both_assets_in_proportion() -> None:
    state = pooled()
    start = holdings(state)
    assert deposit(state, OTHER, amm_deposit.LP_TOKEN, LPTokenOut=shares(state, "1000000")) == "tesSUCCESS"
    after = holdings(state)
    assert share_of(state, OTHER) == 1_000_000
    part = EXACT.divide(D(1_000_000), start.tokens)
    assert 0 <= after.first_held - EXACT.multiply(start.first_held, part) - start.first_held < 1
    assert near(
        after.second_held - start.second_held, EXACT.multiply(start.second_held, part), start.second_held
    )


def test_two_assets_are_taken_as_far_as_the_scarcer_goes() -> None:
    state = pooled()
    # The pool holds 10,000 XRP and 20,000 USD: 100 XRP want 200 USD, 150 USD want 75 XRP.
    most = {"Amount": "100000000", "Amount2": usd("150")}
    assert deposit(state, OTHER, amm_deposit.TWO_ASSET, **most) == "tesSUCCESS"
    after = holdings(state)
    assert after.second_held == 20_150
    assert D(10_075_000_000) <= after.first_held <= D(10_075_000_001)
    assert withdraw(state, OTHER, amm_withdraw.TWO_ASSET, Amount="1000000", Amount2=usd("1")) == "tesSUCCESS"
    left = holdings(state)
    assert left.second_held == 20_149
    assert D(10_074_500_000) <= left.first_held <= D(10_074_500_001)


def test_one_asset_for_tokens_costs_at_most_what_was_said() -> None:
    state = pooled()
    flag, tokens = amm_deposit.ONE_ASSET_LP_TOKEN, shares(state, "141421")
    # 1 % of the tokens: the exact cost is 2.01 % of the asset and the fee on half of it.
    assert deposit(state, OTHER, flag, Amount=usd("402"), LPTokenOut=tokens) == "tecAMM_FAILED"
    assert deposit(state, OTHER, flag, Amount=usd("404"), LPTokenOut=tokens) == "tesSUCCESS"
    assert D(402) < holdings(state).second_held - 20_000 < D(404)
    flag = amm_withdraw.ONE_ASSET_LP_TOKEN
    assert withdraw(state, OTHER, flag, Amount=usd("404"), LPTokenIn=tokens) == "tecAMM_FAILED"
    assert withdraw(state, OTHER, flag, Amount=usd("0"), LPTokenIn=tokens) == "tesSUCCESS"
    assert D(20_000) < holdings(state).second_held < D(20_004)


@pytest.mark.parametrize("most", ["0", "19999"])
def test_a_deposit_at_a_price_makes_a_token_cost_just_that(most: str) -> None:
    state = pooled()
    # A token costs 2 * 20,000 / 14,142,135.6 USD at first, 0.00283, and more with every further one.
    price = shares(state, "1") | {"currency": "USD", "issuer": ISSUER, "value": "0.003"}
    assert deposit(state, OTHER, amm_deposit.LIMIT_LP_TOKEN, Amount=usd(most), EPrice=price) == "tesSUCCESS"
    paid, got = holdings(state).second_held - 20_000, share_of(state, OTHER)
    assert near(EXACT.divide(paid, got), D("0.003"), D("0.003"), "1E-9")


def test_a_deposit_below_its_price_is_made_whole() -> None:
    state = pooled()
    price = usd("0.003")
    assert deposit(state, OTHER, amm_deposit.LIMIT_LP_TOKEN, Amount=usd("10"), EPrice=price) == "tesSUCCESS"
    assert near(holdings(state).second_held, D(20_010), D(20_010))


def test_a_withdrawal_at_a_price_makes_a_unit_cost_just_that() -> None:
    state = pooled()
    # A unit costs 14,142,135.6 / (2 * 20,000) tokens at first, 353.6.
    price = shares(state, "400")
    assert withdraw(state, MAKER, amm_withdraw.LIMIT_LP_TOKEN, Amount=usd("0"), EPrice=price) == "tesSUCCESS"
    start = pools.first_tokens(D(10_000_000_000), D(20_000))
    drawn, given_back = 20_000 - holdings(state).second_held, start - share_of(state, MAKER)
    assert near(EXACT.divide(given_back, drawn), D(400), D(400), "1E-9")


def test_the_slots_holder_pays_a_tenth_of_the_fee_for_a_day() -> None:
    late = Rules(
        **{name: getattr(RULES, name) for name in RULES.__struct_fields__}
        | {"parent_close_time": 800_086_400}
    )
    paid = {"Flags": amm_deposit.SINGLE_ASSET, **PAIR, "Amount": usd("1000")}
    got = []
    for fee, rules in ((1000, RULES), (1000, late), (100, late)):
        state = pooled(fee)
        run(state, "AMMDeposit", MAKER, rules, **paid)
        got.append(share_of(state, MAKER))
    assert got[0] == got[2] > got[1]


# The end of a pool


@pytest.mark.parametrize("second", [False, True])
def test_the_last_tokens_take_the_pool_and_all_its_entries_with_them(second: bool) -> None:
    state = opened()
    before = set(state.entries)
    counts = {who: state.entries[keys.account_root(who)]["OwnerCount"] for who in PEOPLE}
    assert create(state).result == "tesSUCCESS"
    if second:
        assert deposit(state, OTHER, amm_deposit.SINGLE_ASSET, Amount="5000000") == "tesSUCCESS"
        assert withdraw(state, OTHER, amm_withdraw.WITHDRAW_ALL) == "tesSUCCESS"
    assert withdraw(state, MAKER, amm_withdraw.WITHDRAW_ALL) == "tesSUCCESS"
    assert set(state.entries) == before
    assert counts == {who: state.entries[keys.account_root(who)]["OwnerCount"] for who in PEOPLE}
    assert withdraw(state, MAKER, amm_withdraw.WITHDRAW_ALL) == "terNO_AMM"


def test_an_empty_line_of_somebody_else_goes_with_the_pool() -> None:
    state = pooled()
    view = View(state)
    share = holdings(state).share
    lines.create_line(view, THIRD, share.issuer, share.currency, no_ripple=True, limit=D(100))
    state.absorb(view)
    assert withdraw(state, MAKER, amm_withdraw.WITHDRAW_ALL) == "tesSUCCESS"
    assert state.entries[keys.account_root(THIRD)]["OwnerCount"] == 1
    assert not any("AMMID" in entry for entry in state.entries.values())


def test_a_pool_with_too_many_lines_stays_empty_until_it_is_started_again() -> None:
    state = pooled()
    view, share = View(state), holdings(state).share
    for number in range(520):  # 512 entries are looked at with one transaction
        holder = keys.address_of(number.to_bytes(20, "big"))
        root = {"LedgerEntryType": "AccountRoot", "Account": holder, "Flags": 0, "OwnerCount": 0}
        view.insert(keys.account_root(holder), {**root, "Balance": 10**9, "Sequence": 1})
        lines.create_line(view, holder, share.issuer, share.currency, no_ripple=True, limit=D(1))
    state.absorb(view)
    assert withdraw(state, MAKER, amm_withdraw.WITHDRAW_ALL) == "tesSUCCESS"
    assert holdings(state).tokens == holdings(state).first_held == holdings(state).second_held == 0
    assert withdraw(state, MAKER, amm_withdraw.WITHDRAW_ALL) == "tecAMM_EMPTY"
    assert deposit(state, OTHER, amm_deposit.SINGLE_ASSET, Amount="5") == "tecAMM_EMPTY"
    start = {"Amount": "400", "Amount2": usd("900"), "TradingFee": 70}
    assert deposit(state, OTHER, amm_deposit.TWO_ASSET_IF_EMPTY, **start) == "tesSUCCESS"
    assert holdings(state).tokens == share_of(state, OTHER) == 600
    entry = state.entries[POOL]
    assert (entry["TradingFee"], entry["AuctionSlot"]["Account"]) == (70, OTHER)
    assert entry["AuctionSlot"]["Expiration"] == RULES.parent_close_time + 86_400


def test_nobody_can_take_one_side_of_the_pool_whole() -> None:
    state = pooled()
    assert withdraw(state, MAKER, amm_withdraw.SINGLE_ASSET, Amount=usd("20000")) == "tecAMM_BALANCE"
    whole = {"Amount": usd("0")}
    assert withdraw(state, MAKER, amm_withdraw.ONE_ASSET_WITHDRAW_ALL, **whole) == "tecAMM_BALANCE"
    deposit(state, OTHER, amm_deposit.SINGLE_ASSET, Amount="5000000")
    assert withdraw(state, OTHER, amm_withdraw.ONE_ASSET_WITHDRAW_ALL, **whole) == "tesSUCCESS"
    assert share_of(state, OTHER) == 0


# Votes


def test_the_fee_is_the_mean_of_the_votes_by_tokens() -> None:
    state = pooled(300)
    tokens = holdings(state).tokens
    third = shares(state, str(Context(prec=16).divide(tokens, D(3))))
    assert deposit(state, OTHER, amm_deposit.LP_TOKEN, LPTokenOut=third) == "tesSUCCESS"
    assert run(state, "AMMVote", OTHER, **PAIR, TradingFee=700).result == "tesSUCCESS"
    entry = state.entries[POOL]
    # 300 with three quarters of the tokens and 700 with one: 400.
    assert entry["TradingFee"] == 400
    assert entry["AuctionSlot"]["DiscountedFee"] == 40
    votes = [slot["VoteEntry"] for slot in entry["VoteSlots"]]
    assert [(vote["Account"], vote["VoteWeight"]) for vote in votes] == [(MAKER, 75_000), (OTHER, 25_000)]
    assert withdraw(state, OTHER, amm_withdraw.WITHDRAW_ALL) == "tesSUCCESS"
    assert run(state, "AMMVote", MAKER, **PAIR, TradingFee=0).result == "tesSUCCESS"
    entry = state.entries[POOL]
    assert "TradingFee" not in entry
    assert "DiscountedFee" not in entry["AuctionSlot"]
    assert entry["VoteSlots"] == [{"VoteEntry": {"Account": MAKER, "VoteWeight": 100_000}}]
    assert run(state, "AMMVote", THIRD, **PAIR, TradingFee=9).result == "tecAMM_INVALID_TOKENS"


def test_a_ninth_vote_counts_only_with_more_tokens_than_the_least() -> None:
    voters = [keys.address_of(bytes([number] * 20)) for number in range(50, 59)]
    state = opened(people=(MAKER, *voters))
    assert create(state, 100).result == "tesSUCCESS"
    for number, voter in enumerate(voters):
        tokens = shares(state, str(1000 * (number + 1)))
        assert deposit(state, voter, amm_deposit.LP_TOKEN, LPTokenOut=tokens) == "tesSUCCESS"
    for voter in voters[1:8]:
        assert run(state, "AMMVote", voter, **PAIR, TradingFee=100).result == "tesSUCCESS"

    def voting() -> list[str]:
        return [slot["VoteEntry"]["Account"] for slot in state.entries[POOL]["VoteSlots"]]

    full = [MAKER, *voters[1:8]]
    assert voting() == full
    assert run(state, "AMMVote", voters[0], **PAIR, TradingFee=1000).result == "tesSUCCESS"
    assert voting() == full
    assert run(state, "AMMVote", voters[8], **PAIR, TradingFee=1000).result == "tesSUCCESS"
    assert voting() == [MAKER, voters[8], *voters[2:8]]


# Refusals


def test_a_pool_cannot_be_made_twice_or_of_what_its_maker_lacks() -> None:
    assert create(opened(issuer_flags=0)).result == "terNO_RIPPLE"
    assert create(opened(issuer_flags=lines.DEFAULT_RIPPLE | lines.GLOBAL_FREEZE)).result == "tecFROZEN"
    assert create(opened(issuer_flags=lines.DEFAULT_RIPPLE | lines.REQUIRE_AUTH)).result == "tecNO_AUTH"
    assert create(opened(), amount2="1000001").result == "tecUNFUNDED_AMM"
    assert create(opened(), amount="1000000000000").result == "tecUNFUNDED_AMM"
    # Base reserve and one line held leave nothing for a line to the shares.
    assert create(opened(xrp=1_400_000)).result == "tecINSUF_RESERVE_LINE"
    assert create(opened(), fee=1001).result == "temBAD_FEE"
    assert create(opened(), amount="0").result == "temBAD_AMOUNT"
    assert (
        run(opened(), "AMMCreate", MAKER, Amount="5", Amount2="5", TradingFee=1).result == "temBAD_AMM_TOKENS"
    )
    assert create(pooled()).result == "tecDUPLICATE"


def test_no_pool_is_made_of_shares() -> None:
    state = pooled()
    made = run(state, "AMMCreate", MAKER, Amount="5", Amount2=shares(state, "5"), TradingFee=1)
    assert made.result == "tecAMM_INVALID_TOKENS"


def test_a_deposit_is_refused_in_the_servers_words() -> None:
    state, flag = pooled(), amm_deposit.SINGLE_ASSET
    assert deposit(opened(), OTHER, flag, Amount="5") == "terNO_AMM"
    assert deposit(state, OTHER, 0, Amount="5") == "temMALFORMED"
    assert deposit(state, OTHER, flag | amm_deposit.TWO_ASSET, Amount="5") == "temMALFORMED"
    assert deposit(state, OTHER, amm_withdraw.WITHDRAW_ALL, Amount="5") == "temINVALID_FLAG"
    assert deposit(state, OTHER, flag, Amount="5", Amount2=usd("5")) == "temMALFORMED"
    assert deposit(state, OTHER, flag, Amount=usd("0")) == "temBAD_AMOUNT"
    stranger = {"currency": "EUR", "issuer": ISSUER, "value": "5"}
    assert deposit(state, OTHER, flag, Amount=stranger) == "temBAD_AMM_TOKENS"
    assert deposit(state, OTHER, amm_deposit.LP_TOKEN, LPTokenOut=stranger) == "temBAD_AMM_TOKENS"
    empty = amm_deposit.TWO_ASSET_IF_EMPTY
    assert deposit(state, OTHER, empty, Amount="5", Amount2=usd("5")) == "tecAMM_NOT_EMPTY"
    assert deposit(state, OTHER, flag, Amount=usd("1000001")) == "tecUNFUNDED_AMM"
    # Somebody without a line to the shares is told of the reserve, who has one of the funds.
    assert deposit(state, OTHER, flag, Amount="1000000000000") == "tecINSUF_RESERVE_LINE"
    assert deposit(state, MAKER, flag, Amount="1000000000000") == "tecUNFUNDED_AMM"
    least = shares(state, "800")  # 1 XRP of 10,000 gets some 707 of the 14,142,136 tokens
    assert deposit(state, OTHER, flag, Amount="1000000", LPTokenOut=least) == "tecAMM_FAILED"
    assert deposit(state, OTHER, flag, Amount=usd("1E-25")) == "tecAMM_INVALID_TOKENS"


def test_a_withdrawal_is_refused_in_the_servers_words() -> None:
    state, flag = pooled(), amm_withdraw.SINGLE_ASSET
    assert withdraw(state, MAKER, flag, Amount="5", LPTokenIn=shares(state, "1")) == "temMALFORMED"
    assert withdraw(state, MAKER, amm_deposit.TWO_ASSET_IF_EMPTY, Amount="5") == "temINVALID_FLAG"
    assert withdraw(state, MAKER, flag, Amount=usd("20001")) == "tecAMM_BALANCE"
    assert withdraw(state, OTHER, flag, Amount=usd("5")) == "tecAMM_BALANCE"
    more = shares(state, "20000000")
    assert withdraw(state, MAKER, amm_withdraw.LP_TOKEN, LPTokenIn=more) == "tecAMM_INVALID_TOKENS"
    assert withdraw(state, MAKER, amm_withdraw.LP_TOKEN, LPTokenIn=shares(state, "1E-6")) == "tecAMM_FAILED"
    # A token is worth more than 353 of the shares, so none can be had for one.
    cheap = shares(state, "1")
    assert (
        withdraw(state, MAKER, amm_withdraw.LIMIT_LP_TOKEN, Amount=usd("0"), EPrice=cheap)
        == "tecAMM_INVALID_TOKENS"
    )


def test_a_frozen_line_or_token_keeps_the_pool_shut() -> None:
    state = pooled()
    line = keys.line(MAKER, ISSUER, "USD")
    set_flags(state, line, lines.ends(MAKER, ISSUER)[1].freeze)
    assert deposit(state, MAKER, amm_deposit.SINGLE_ASSET, Amount="5000") == "tecFROZEN"
    assert withdraw(state, MAKER, amm_withdraw.SINGLE_ASSET, Amount=usd("5")) == "tecFROZEN"
    assert withdraw(state, MAKER, amm_withdraw.WITHDRAW_ALL) == "tecFROZEN"
    assert withdraw(state, MAKER, amm_withdraw.SINGLE_ASSET, Amount="5000") == "tesSUCCESS"
    set_flags(state, keys.account_root(ISSUER), lines.GLOBAL_FREEZE)
    assert deposit(state, OTHER, amm_deposit.SINGLE_ASSET, Amount="5000") == "tecFROZEN"


# What must hold whatever is done

moves = st.lists(
    st.tuples(
        st.sampled_from(PEOPLE),
        st.sampled_from(
            ["pay XRP", "pay USD", "pay both", "take", "draw XRP", "draw USD", "give", "all", "all XRP"]
        ),
        st.decimals(D("0.000001"), D("2"), places=6),
    ),
    min_size=1,
    max_size=12,
)


def moved(state: State, who: str, what: str, size: Decimal) -> str:
    """Do one of the moves; size: as a share of what the pool holds, for tokens of all tokens."""
    if POOL not in state.entries:
        return create(state, amount="7000003", amount2="1.3").result
    pool = holdings(state)
    cut = Context(prec=16)
    xrp = to_wire(amount_of(XRP, max((pool.first_held * size).to_integral_value(), D(1))))
    token = to_wire(amount_of(USD, cut.multiply(pool.second_held, size)))
    tokens = shares(state, str(cut.multiply(pool.tokens, size)))
    if what.startswith(("pay", "take")):
        flags, fields = {
            "pay XRP": (amm_deposit.SINGLE_ASSET, {"Amount": xrp}),
            "pay USD": (amm_deposit.SINGLE_ASSET, {"Amount": token}),
            "pay both": (amm_deposit.TWO_ASSET, {"Amount": token, "Amount2": xrp}),
            "take": (amm_deposit.LP_TOKEN, {"LPTokenOut": tokens}),
        }[what]
        return deposit(state, who, flags, **fields)
    flags, fields = {
        "draw XRP": (amm_withdraw.SINGLE_ASSET, {"Amount": xrp}),
        "draw USD": (amm_withdraw.SINGLE_ASSET, {"Amount": token}),
        "give": (amm_withdraw.LP_TOKEN, {"LPTokenIn": tokens}),
        "all": (amm_withdraw.WITHDRAW_ALL, {}),
        "all XRP": (amm_withdraw.ONE_ASSET_WITHDRAW_ALL, {"Amount": "0"}),
    }[what]
    return withdraw(state, who, flags, **fields)


@given(moves, fees)
@settings(max_examples=60, deadline=None)
def test_no_sequence_of_deposits_and_withdrawals_makes_value(
    steps: list[tuple[str, str, Decimal]], fee: int
) -> None:
    state = opened()
    create(state, fee, amount="7000003", amount2="1.3")
    for who, what, size in steps:
        old = holdings(state) if POOL in state.entries else None
        xrp, tokens = drops(state), token_sum(state, USD)
        result = moved(state, who, what, size)
        assert result.startswith(("tes", "tec", "tem"))
        burnt = 0 if result.startswith("tem") else (200_000 if old is None else 10)
        assert drops(state) == xrp - burnt
        assert near(token_sum(state, USD), tokens, tokens, "1E-14")
        if POOL not in state.entries:
            assert not any("AMMID" in entry for entry in state.entries.values())
            continue
        new = holdings(state)
        assert near(token_sum(state, new.share), new.tokens, new.tokens, "1E-14")
        assert share_of(state, who) >= 0
        if old is not None:
            # The product of the assets for each pair of tokens is what a share is worth.
            worth_before = EXACT.divide(
                old.first_held * old.second_held, EXACT.multiply(old.tokens, old.tokens)
            )
            worth_now = EXACT.divide(new.first_held * new.second_held, EXACT.multiply(new.tokens, new.tokens))
            assert worth_now >= EXACT.multiply(worth_before, D(1) - D("1E-14"))
