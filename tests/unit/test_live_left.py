"""What a dead live session leaves in its database, read by the next one: every point at which it can die."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from xrpl.core.binarycodec import encode

from benchmarks.state_workload import FIRST_CLOSE, intent, session_end, session_start
from neo_engine.domain.assets import Side
from neo_engine.domain.errors import NeoError
from neo_engine.domain.fills import Fill, LiquiditySide
from neo_engine.domain.orders import (
    NO_ORDER,
    Order,
    OrderStatus,
    PreparedTransaction,
    SubmitClass,
    SubmitOutcome,
    TransactionKind,
    TransactionOutcome,
)
from neo_engine.domain.records import IntentRecord, OutcomeRecord
from neo_engine.execution.live_events import KnownOrder
from neo_engine.live_left import ENDED_FROM, LeftBehind, left_behind
from neo_engine.state.manager import StateManager
from neo_engine.xrpl.signer import blob_hash
from tests.unit.state_fixture import OPTIONS, fixed_now, one, rows

#: An offer of a recorded ledger: its owner, sequence and index.
OWNER, SEQUENCE = "rPz9VGdPKspx3ci7bAPtKm8d7bjTDcDC1Q", 563
INDEX = "ED1650BE61C83EE00F9B3882D0C2A18F32BE3F11B2D5F32E1457BB2A016CAFE7"
S, K = OrderStatus, TransactionKind


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "neo.db"


@contextmanager
def live(path: Path) -> Iterator[StateManager]:
    with closing(StateManager.open(path, OPTIONS, now=fixed_now)) as store:
        store.begin_session(replace(session_start("live"), account=OWNER))
        yield store


def next_start(path: Path) -> LeftBehind:
    with closing(StateManager.open(path, OPTIONS, now=fixed_now)) as store:
        return left_behind(store, OWNER)


def killed(path: Path) -> LeftBehind:
    """What the next start reads if the process is killed now: the files as they are, the WAL among them."""
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    shutil.copy(f"{path}-wal", f"{copy}-wal")
    return next_start(copy)


def tick(number: int, **changes: Any) -> IntentRecord:
    """A tick after ledger 1000 + number, about nothing but the changes."""
    nothing: dict[str, Any] = dict.fromkeys(
        ("transactions", "fills", "inventory", "new_orders", "changed_orders", "prepared"), ()
    )
    return replace(intent(number), **{**nothing, "replaces": {}, **changes})


def answers(number: int, *outcomes: SubmitOutcome, changed: tuple[Order, ...] = ()) -> OutcomeRecord:
    return OutcomeRecord(
        tick=number, close_time=FIRST_CLOSE + 4 * number, outcomes=outcomes, changed_orders=changed
    )


def order(number: int, status: OrderStatus, **changes: Any) -> Order:
    """A bid for 10 XRP at 2.5, decided in tick 1, for ten minutes."""
    made = Order(
        order_id=number,
        slot=f"bid-{number}",
        side=Side.BUY,
        price=Decimal("2.5"),
        base_drops=10_000_000,
        quote=Decimal(25),
        remaining_base_drops=10_000_000,
        remaining_quote=Decimal(25),
        status=status,
        expiration=FIRST_CLOSE + 4 + 600,
        offer_sequence=None,
        tx_hash=None,
        last_ledger_sequence=None,
        created_ledger=1_001,
        failure_reason=None,
        filled_base_drops=0,
        filled_quote=Decimal(0),
        result_code=None,
        cancel_sent_ledger=None,
        closed_ledger=None,
    )
    return replace(made, **changes)


def sent(
    kind: TransactionKind, order_id: int, number: int, *, ticket: bool = False, last: int = 1_005, **more: Any
) -> PreparedTransaction:
    fields = {
        "TransactionType": "OfferCancel" if kind is K.CANCEL else "AccountSet",
        "Account": OWNER,
        "Fee": "12",
        "Sequence": 0 if ticket else number,
        "LastLedgerSequence": last,
        "SigningPubKey": "ED" + "00" * 32,
        "TxnSignature": "00" * 64,
    }
    if kind is K.CANCEL:
        fields["OfferSequence"] = SEQUENCE
    if ticket:
        fields["TicketSequence"] = number
    blob = encode(fields)
    return PreparedTransaction(
        kind=kind,
        order_id=order_id,
        replaces=more.pop("replaces", None),
        tx_hash=blob_hash(blob),
        account_sequence=number,
        last_ledger_sequence=last,
        fee_drops=12,
        blob=blob,
        ticketed=ticket,
        **more,
    )


def placed(number: int, status: OrderStatus, create: PreparedTransaction, **changes: Any) -> Order:
    named = {
        "tx_hash": create.tx_hash,
        "offer_sequence": create.account_sequence,
        "last_ledger_sequence": create.last_ledger_sequence,
    }
    return order(number, status, **{**named, **changes})


def landed(one: PreparedTransaction, ledger_index: int, order_id: int) -> TransactionOutcome:
    return TransactionOutcome(
        tx_hash=one.tx_hash,
        order_id=order_id,
        kind=one.kind,
        result="tesSUCCESS",
        ledger_index=ledger_index,
        transaction_index=2,
        fee_drops=12,
    )


CREATE = sent(K.CREATE, 1, SEQUENCE)


def standing(store: StateManager) -> Order:
    """Order 1 stands since ledger 1002, offer 563."""
    store.commit_intent(tick(1, new_orders=(placed(1, S.PENDING_SUBMIT, CREATE),), prepared=(CREATE,)))
    accepted = SubmitOutcome(
        tx_hash=CREATE.tx_hash, order_id=1, outcome=SubmitClass.ACCEPTED, code="tesSUCCESS"
    )
    store.commit_outcome(answers(1, accepted, changed=(placed(1, S.SUBMITTED, CREATE),)))
    stands = placed(1, S.OPEN, CREATE, result_code="tesSUCCESS")
    store.commit_intent(tick(2, transactions=(landed(CREATE, 1_002, 1),), changed_orders=(stands,)))
    return stands


# --- where it can die ---------------------------------------------------------------------------------------


def test_nothing_is_left_by_a_database_without_live_sessions(path: Path) -> None:
    found = next_start(path)
    assert (found.left.orders, found.left.in_flight, found.left.last_ledger) == ((), (), 0)
    assert (found.orders.working, found.stored) == ((), {})


def test_a_tick_without_a_ledger_is_no_word_on_the_ledger_whose_number_it_bears(path: Path) -> None:
    with live(path) as store:
        standing(store)
    # A later start read up to ledger 1005 and died before a ledger brought what it had found to the rows.
    with live(path) as store:
        store.commit_intent(tick(5, kind="silence"))
        found = killed(path)
    assert found.left.last_ledger == 1_002
    (order_left,) = found.left.orders
    assert order_left.offer_sequence == 563


def test_without_any_ledger_all_is_read_again_from_where_the_first_session_began(path: Path) -> None:
    for number in (4, 6):
        with live(path) as store:
            store.commit_intent(tick(number, kind="silence"))
            store.commit_intent(tick(number + 1, kind="silence"))
            found = killed(path)
    assert found.left.last_ledger == 1_004


def test_died_between_intent_and_answer(path: Path) -> None:
    with live(path) as store:
        made = placed(1, S.PENDING_SUBMIT, CREATE)
        store.commit_intent(tick(1, new_orders=(made,), prepared=(CREATE,)))
        found = killed(path)
    # No answer is stored, so only the hash can tell: as the tracker says of an order without an answer.
    assert found.orders.working == (replace(made, status=S.UNKNOWN),)
    assert found.left.orders == (
        KnownOrder(order_id=1, offer_sequence=563, base_drops=10_000_000, quote=Decimal(25)),
    )
    (flying,) = found.left.in_flight
    assert (flying.prepared, flying.after_ledger, flying.ticketed) == (CREATE, 1_001, False)
    assert (found.left.last_ledger, found.stored) == (1_001, {1: 1})


def test_an_order_without_a_transaction_was_never_signed(path: Path) -> None:
    with live(path) as store:
        store.commit_intent(tick(1, new_orders=(order(1, S.PENDING_SUBMIT),)))
        found = killed(path)
    assert [(one.order_id, one.offer_sequence) for one in found.left.orders] == [(1, None)]
    assert found.orders.working == (order(1, S.PENDING_SUBMIT),)


def test_an_order_that_stands_filled_in_part_comes_back_as_it_was(path: Path) -> None:
    fill = Fill(
        order_id=1,
        ledger_index=1_003,
        close_time=FIRST_CLOSE + 12,
        transaction_index=9,
        node=INDEX,
        tx_hash="AB" * 32,
        side=Side.BUY,
        liquidity=LiquiditySide.MAKER,
        base_drops=1_000_001,
        quote=Decimal("2.500002500000001"),
        quote_balance_delta=Decimal("-2.5000025"),
        rounding=Decimal("0.000000000000001"),
        offer_sequence=SEQUENCE,
    )
    with live(path) as store:
        part = replace(
            standing(store),
            status=S.PARTIALLY_FILLED,
            filled_base_drops=1_000_001,
            filled_quote=fill.quote,
            remaining_base_drops=8_999_999,
            remaining_quote=Decimal("22.499997499999999"),
        )
        store.commit_intent(tick(3, fills=(fill,), changed_orders=(part,)))
        found = killed(path)
    assert found.orders.working == (part,)
    assert [one.filled_base_drops for one in found.left.orders] == [1_000_001]
    # The tracker must know it by its whole key, or reading it again would count it twice.
    assert found.orders.seen[1].fill_keys == frozenset({fill.key})
    assert found.orders.seen[1].ledger_index == 1_003
    assert (found.left.in_flight, found.left.last_ledger) == ((), 1_003)


def test_a_replace_on_its_way_names_both_orders(path: Path) -> None:
    change = sent(K.REPLACE, 2, 564, replaces=1)
    with live(path) as store:
        old = replace(standing(store), status=S.PENDING_CANCEL)
        new = placed(2, S.PENDING_SUBMIT, change, expiration=FIRST_CLOSE + 12 + 600, created_ledger=1_003)
        store.commit_intent(
            tick(3, new_orders=(new,), changed_orders=(old,), prepared=(change,), replaces={2: 1})
        )
        found = killed(path)
    assert found.orders.working == (replace(old, cancel_sent_ledger=1_003), replace(new, status=S.UNKNOWN))
    assert found.orders.replaces == {2: 1}
    assert [one.prepared for one in found.left.in_flight] == [change]


def test_of_cancels_on_their_way_the_newest_counts_and_a_refused_one_does_not(path: Path) -> None:
    first, second = sent(K.CANCEL, 1, 70, ticket=True), sent(K.CANCEL, 1, 565, last=1_008)
    refused = sent(K.CANCEL, 1, 566)
    with live(path) as store:
        leaving = replace(standing(store), status=S.PENDING_CANCEL)
        store.commit_intent(tick(3, changed_orders=(leaving,), prepared=(first,)))
        store.commit_intent(tick(4, prepared=(second,)))
        store.commit_intent(tick(5, prepared=(refused,)))
        no = SubmitOutcome(
            tx_hash=refused.tx_hash, order_id=1, outcome=SubmitClass.REJECTED, code="temBAD_FEE"
        )
        store.commit_outcome(answers(5, no))
        found = killed(path)
    assert found.orders.working == (replace(leaving, cancel_sent_ledger=1_004),)
    flying = [(one.prepared, one.after_ledger, one.ticketed) for one in found.left.in_flight]
    assert flying == [(first, 1_003, True), (second, 1_004, False)]


def test_upkeep_on_its_way_is_of_no_order(path: Path) -> None:
    made = sent(K.UPKEEP, NO_ORDER, 563, tickets=5)
    with live(path) as store:
        store.commit_intent(tick(1, prepared=(made,)))
        found = killed(path)
        assert [(one.prepared, one.after_ledger) for one in found.left.in_flight] == [(made, 1_001)]
        assert (found.left.orders, found.stored) == ((), {})
        store.commit_intent(tick(2, transactions=(landed(made, 1_002, NO_ORDER),)))
        assert killed(path).left.in_flight == ()


# --- over more than one session -----------------------------------------------------------------------------


def test_the_result_for_an_order_that_ended_finds_its_row_and_new_orders_keep_their_numbers(
    path: Path,
) -> None:
    cancel = sent(K.CANCEL, 1, 564)
    with live(path) as store:
        store.commit_intent(
            tick(
                3,
                changed_orders=(replace(standing(store), status=S.FILLED, closed_ledger=1_003),),
                prepared=(cancel,),
            )
        )
        store.end_session(session_end(3))
    found = next_start(path)
    assert (found.left.orders, found.stored) == ((), {ENDED_FROM: 1})
    assert [one.prepared for one in found.left.in_flight] == [replace(cancel, order_id=ENDED_FROM)]
    with live(path) as store:
        for number, row in found.stored.items():
            store.adopt_order(number, row)
        told = landed(cancel, 1_004, ENDED_FROM)
        store.commit_intent(tick(1, transactions=(told,), new_orders=(order(1, S.PENDING_SUBMIT),)))
    query = "SELECT order_id, result, result_session FROM v_submissions WHERE kind = 'cancel'"
    assert rows(path, query) == [(1, "tesSUCCESS", 2)]
    assert rows(path, "SELECT id, session_id, status FROM orders ORDER BY id") == [
        (1, 1, "FILLED"),
        (2, 2, "PENDING_SUBMIT"),
    ]


def test_an_order_adopted_before_is_adopted_again(path: Path) -> None:
    cancel, other = sent(K.CANCEL, 2, 565), sent(K.CREATE, 1, 564)
    with live(path) as store:
        ended = placed(2, S.CANCELED, other, closed_ledger=1_003)
        store.commit_intent(tick(3, new_orders=(ended,)))
        stands = standing(store)
    # In the second session order 1 of the first has the number 2.
    with live(path) as store:
        store.adopt_order(2, 1)
        leaving = replace(stands, order_id=2, status=S.PENDING_CANCEL)
        store.commit_intent(tick(7, changed_orders=(leaving,), prepared=(cancel,)))
        found = killed(path)
    assert found.stored == {1: 1}
    assert found.orders.working == (replace(leaving, order_id=1, cancel_sent_ledger=1_007),)
    (flying,) = found.left.in_flight
    assert (flying.prepared, flying.after_ledger) == (replace(cancel, order_id=1), 1_007)
    assert found.left.last_ledger == 1_007


def test_an_offer_taken_over_without_a_transaction_of_ours_comes_back(path: Path) -> None:
    taken = order(1, S.OPEN, slot="adopted-563", offer_sequence=563, expiration=None)
    with live(path) as store:
        store.commit_intent(tick(1, new_orders=(taken,)))
        found = killed(path)
    assert found.orders.working == (taken,)


def test_an_order_whose_create_was_proven_dead_counts_as_never_signed(path: Path) -> None:
    with live(path) as store:
        store.commit_intent(tick(1, new_orders=(placed(1, S.PENDING_SUBMIT, CREATE),), prepared=(CREATE,)))
        store.commit_outcome(answers(1, changed=(placed(1, S.UNKNOWN, CREATE),)))
    # The next start proves it dead, and dies before its first tick is stored.
    with closing(StateManager.open(path, OPTIONS, now=fixed_now)) as store:
        assert store.settle_submissions([CREATE.tx_hash]) == 1
    found = next_start(path)
    assert found.left.in_flight == ()
    assert [(one.order_id, one.offer_sequence) for one in found.left.orders] == [(1, None)]
    assert found.orders.working == (order(1, S.UNKNOWN),)


# --- damage -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE orders SET size_xrp = 'ten'", "orders row 1, size_xrp: 'ten' is not a number"),
        ("UPDATE orders SET size_xrp = '0.0000001'", "orders row 1, size_xrp: '0.0000001' is not what"),
        ("UPDATE orders SET size_rlusd = '0'", "orders row 1, size_xrp, size_rlusd: '10, 0'"),
        ("UPDATE orders SET filled_xrp = '-1'", "orders row 1, filled_xrp: '-1'"),
        ("UPDATE orders SET filled_rlusd = 'NaN'", "orders row 1, filled_rlusd: NaN is not finite"),
        ("UPDATE orders SET created_at = 'soon'", "orders row 1, created_at: 'soon'"),
        ("UPDATE orders SET created_tick = 99", "orders row 1, created_tick: its tick 99 is not stored"),
        ("UPDATE submissions SET tick = 99", r"submissions row \d+, tick: its tick 99 is not stored"),
        ("UPDATE submissions SET blob = NULL", r"submissions row \d+, blob: nothing is not what"),
        ("UPDATE submissions SET blob = 'xyz'", r"submissions row \d+, blob: 'xyz'"),
        ("UPDATE submissions SET blob = '12' || substr(blob, 3, 98) || blob", r"submissions row \d+, blob"),
        ("UPDATE submissions SET account_sequence = 5", r"submissions row \d+, account_sequence: '5'"),
        ("UPDATE orders SET submit_tx_hash = 'short'", r"submissions row \d+, tx_hash: 'short'"),
        ("UPDATE orders SET submit_tx_hash = NULL", r"submissions row \d+, tx_hash: nothing"),
        ("UPDATE submissions SET kind = 'replace'", "orders row 1, replaces_order: nothing"),
        ("UPDATE fills SET node = '0123456789ABCDEF'", "fills row 1, node: '0123456789ABCDEF'"),
        ("UPDATE fills SET rlusd = ''", "fills row 1, rlusd: '' is not a decimal number"),
        ("UPDATE fills SET close_time = 'x'", "fills row 1, close_time: 'x'"),
        ("UPDATE upkeep SET blob = NULL", "upkeep row 1, blob: nothing"),
    ],
)
def test_a_damaged_row_is_named(path: Path, change: str, message: str) -> None:
    keep = sent(K.UPKEEP, NO_ORDER, 600)
    with live(path) as store:
        made = placed(1, S.PENDING_SUBMIT, CREATE)
        store.commit_intent(tick(1, new_orders=(made,), prepared=(CREATE, keep)))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO fills (session_id, order_id, tick, ledger_index, transaction_index, node, "
            "close_time, tx_hash, side, liquidity, xrp_drops, rlusd, rlusd_balance_delta, rounding, price, "
            "offer_sequence) VALUES (1, 1, 1, 1001, 1, ?, '2026-11-20T20:37:04Z', 'AB', 'buy', 'maker', 1, "
            "'1', '-1', '0', '2', 563)",
            (INDEX[-16:],),
        )
        connection.commit()
    assert len(next_start(path).left.in_flight) == 2
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(change)
        connection.commit()
    with pytest.raises(NeoError, match=message):
        next_start(path)
    assert one(path, "SELECT count(*) FROM orders") == 1


def test_the_fees_sent_today_are_known_to_the_next_start_and_those_of_another_day_are_not(path: Path) -> None:
    create = sent(K.CREATE, 1, 560)
    made = sent(K.UPKEEP, NO_ORDER, 563, tickets=5)
    with live(path) as store:
        new = placed(1, OrderStatus.PENDING_SUBMIT, create)
        store.commit_intent(tick(1, new_orders=(new,), prepared=(create, made)))
        found = killed(path)
        assert found.fees_on(FIRST_CLOSE) == create.fee_drops + made.fee_drops > 0
        assert found.fees_on(FIRST_CLOSE + 86_400) == 0
