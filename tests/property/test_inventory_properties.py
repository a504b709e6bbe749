"""Conservation of money: for every history the books close to the last digit."""

from __future__ import annotations

from decimal import Context, Decimal

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from neo_engine.domain.assets import Side
from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.fills import Fill, LiquiditySide
from neo_engine.domain.market import VenueOffer
from neo_engine.domain.orders import Quote
from neo_engine.inventory import (
    Available,
    Inventory,
    accounts,
    apply_capital,
    apply_fees,
    apply_fill,
    empty,
    fit_to_capital,
)
from tests.unit.core_values import account, order, paper_config, snapshot

# Far more digits than any sum here can need: the tests' own arithmetic never rounds.
WIDE = Context(prec=2000)
PLENTY = Available(base_drops=10**20, quote=Decimal(10**20))

drops = st.integers(min_value=1, max_value=10**12)
amounts = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent),
    st.integers(min_value=1, max_value=10**16 - 1),
    st.integers(min_value=-20, max_value=-8),
)
marks = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent),
    st.integers(min_value=1, max_value=10**27),
    st.integers(min_value=-27, max_value=-20),
)


@st.composite
def fills(draw: st.DrawFn) -> Fill:
    side = draw(st.sampled_from(Side))
    amount = draw(amounts)
    unit = Decimal(1).scaleb(amount.adjusted() - 15)
    rounding = draw(st.sampled_from([Decimal(0), unit, -unit]))
    moved = WIDE.add(amount if side is Side.SELL else -amount, rounding)
    return Fill(
        order_id=1,
        ledger_index=draw(st.integers(min_value=1, max_value=10**6)),
        close_time=0,
        transaction_index=0,
        node="N",
        tx_hash="T",
        side=side,
        liquidity=LiquiditySide.MAKER,
        base_drops=draw(drops),
        quote=amount,
        quote_balance_delta=moved
        if (moved > 0) is (side is Side.SELL)
        else (amount if side is Side.SELL else -amount),
        rounding=rounding,
        offer_sequence=1,
    )


@st.composite
def events(draw: st.DrawFn) -> CapitalEvent:
    xrp = draw(st.booleans())
    return CapitalEvent(
        request_id=str(draw(st.integers(min_value=0, max_value=40))),
        kind=draw(st.sampled_from(CapitalKind)),
        base_drops=draw(drops) if xrp else 0,
        quote=Decimal(0) if xrp else draw(amounts),
        note="",
        created_at="",
    )


steps = st.lists(
    st.one_of(fills(), st.tuples(events(), marks), st.integers(min_value=0, max_value=10**6)), max_size=40
)


def replay(history: list[Fill | tuple[CapitalEvent, Decimal] | int]) -> tuple[Inventory, int, Decimal]:
    """Return the inventory, and the balances added up the plain way."""
    inventory, xrp, rlusd = empty(), 0, Decimal(0)
    for step in history:
        if isinstance(step, Fill):
            inventory, _ = apply_fill(inventory, step)
            xrp += step.base_drops if step.side is Side.BUY else -step.base_drops
            rlusd = WIDE.add(rlusd, step.quote_balance_delta)
        elif isinstance(step, tuple):
            event, mark = step
            inventory, record = apply_capital(inventory, event, mark, PLENTY)
            if record is not None and record.applied:
                xrp += event.sign * event.base_drops
                rlusd = WIDE.add(rlusd, WIDE.multiply(event.quote, Decimal(event.sign)))
        else:
            inventory = apply_fees(inventory, step)
            xrp -= step
    return inventory, xrp, rlusd


@given(history=steps, mark=marks)
def test_profit_by_parts_is_profit_by_value_to_the_last_digit(
    history: list[Fill | tuple[CapitalEvent, Decimal] | int], mark: Decimal
) -> None:
    inventory, _, _ = replay(history)
    view = accounts(inventory, mark)
    fees = WIDE.multiply(WIDE.divide(Decimal(view.fees_drops), Decimal(10**6)), mark)
    by_parts = WIDE.subtract(WIDE.add(view.realised, view.unrealised), fees)
    by_value = WIDE.subtract(view.account_value, view.net_capital)
    assert by_parts == by_value


@given(history=steps, mark=marks)
def test_the_account_is_worth_its_balances_at_the_mark(
    history: list[Fill | tuple[CapitalEvent, Decimal] | int], mark: Decimal
) -> None:
    inventory, xrp, rlusd = replay(history)
    worth = WIDE.add(WIDE.multiply(WIDE.divide(Decimal(xrp), Decimal(10**6)), mark), rlusd)
    assert accounts(inventory, mark).account_value == worth


@given(history=steps)
def test_no_drop_and_no_digit_is_lost(history: list[Fill | tuple[CapitalEvent, Decimal] | int]) -> None:
    inventory, xrp, rlusd = replay(history)
    assert inventory.balance_drops == xrp
    assert inventory.quote == rlusd
    assert inventory.base_drops == inventory.fills_base_drops + inventory.overlay_base_drops


@given(history=steps)
def test_nothing_held_costs_nothing(history: list[Fill | tuple[CapitalEvent, Decimal] | int]) -> None:
    inventory, _, _ = replay(history)
    if inventory.base_drops:
        back = abs(inventory.base_drops)
        side = Side.SELL if inventory.base_drops > 0 else Side.BUY
        moved = Decimal(1) if side is Side.SELL else Decimal(-1)
        template = Fill(
            order_id=1,
            ledger_index=1,
            close_time=0,
            transaction_index=0,
            node="N",
            tx_hash="T",
            side=side,
            liquidity=LiquiditySide.MAKER,
            base_drops=back,
            quote=Decimal(1),
            quote_balance_delta=moved,
            rounding=Decimal(0),
            offer_sequence=1,
        )
        inventory, _ = apply_fill(inventory, template)
    assert inventory.cost_basis == 0
    assert WIDE.subtract(inventory.quote, inventory.net_capital) == inventory.realised


@given(event=events(), mark=marks, history=steps)
def test_a_capital_event_changes_no_profit(
    event: CapitalEvent, mark: Decimal, history: list[Fill | tuple[CapitalEvent, Decimal] | int]
) -> None:
    inventory, _, _ = replay(history)
    before = accounts(inventory, mark)
    event = replace(event, request_id="the event")
    after = accounts(apply_capital(inventory, event, mark, PLENTY)[0], mark)
    assert WIDE.subtract(before.account_value, before.net_capital) == WIDE.subtract(
        after.account_value, after.net_capital
    )


@st.composite
def wanted(draw: st.DrawFn) -> tuple[Quote, ...]:
    quotes = []
    for number in range(draw(st.integers(min_value=0, max_value=6))):
        side = draw(st.sampled_from(Side))
        size = draw(st.integers(min_value=1, max_value=200 * 10**6))
        price = Decimal(draw(st.integers(min_value=10**5, max_value=10**7))).scaleb(-6)
        quotes.append(
            Quote(
                slot=f"{'bid' if side is Side.BUY else 'ask'}-{number}",
                side=side,
                price=price,
                base_drops=size,
                quote=price * size / 10**6,
                expiration=None,
            )
        )
    return tuple(quotes)


@given(
    quotes=wanted(),
    funds=st.tuples(st.integers(min_value=0, max_value=300 * 10**6), st.integers(min_value=0, max_value=500)),
    issuer=st.tuples(st.sampled_from([5, 7, 15, 16]), st.sampled_from([1_000_000_000, 1_002_000_000])),
    listed=st.lists(st.integers(min_value=0, max_value=5), unique=True, max_size=3),
)
def test_what_is_quoted_can_always_be_paid_for(
    quotes: tuple[Quote, ...], funds: tuple[int, int], issuer: tuple[int, int], listed: list[int]
) -> None:
    (balance, rlusd), (tick_size, rate) = funds, issuer
    old = tuple(order(number + 1, f"bid-{number}", "1", 10**6) for number in listed)
    offers = tuple(
        VenueOffer(
            offer_sequence=one.offer_sequence or 0,
            side=one.side,
            base_drops=one.base_drops,
            quote=one.quote,
            expiration=None,
        )
        for one in old
    )
    view = account(balance, str(rlusd), owner_count=1 + len(old), offers=offers)
    market = snapshot(tick_size=tick_size, transfer_rate=rate)
    config = paper_config()
    fitted, gates = fit_to_capital(quotes, view, market, config, old)
    new = [one for one in fitted if one.slot not in {each.slot for each in old}]
    asks = sum(one.base_drops for one in fitted if one.side is Side.SELL)
    locked = 10**6 + (1 + len(old) + len(new)) * 200_000 + 2 * 10**6
    if asks or new:
        assert balance >= locked + asks
    bids = sum((one.quote for one in fitted if one.side is Side.BUY), Decimal(0))
    assert bids * rate / 10**9 <= rlusd
    by_slot = {one.slot: one for one in quotes}
    for one in fitted:
        asked = by_slot[one.slot]
        assert 0 < one.base_drops <= asked.base_drops
        if one != asked:
            assert one.quote >= config.order_size.min_notional_rlusd
    changed = [one for one in quotes if one not in fitted]
    assert len(gates) == len(changed)
