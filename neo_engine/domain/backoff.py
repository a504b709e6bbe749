"""How long a place of the ladder waits after its orders were refused: by the class of the refusal.

A refusal tells why, and that says how soon another try can end otherwise: a clock that was off is right with
the next ledger, a reserve has to be freed first, a malformed transaction stays one. Each further refusal in a
row doubles the time. Nothing is remembered but the orders themselves, so a new session begins without waits.

>>> wait_of("tecINSUF_RESERVE_OFFER", 1), wait_of("tecINSUF_RESERVE_OFFER", 3), wait_of("temBAD_OFFER", 9)
(8, 32, 64)
"""

from __future__ import annotations

from collections.abc import Iterable

from neo_engine.domain.orders import Order, OrderStatus

#: Ledgers to wait after a first refusal, by result code or its beginning; the longest that fits decides.
#: 1 is the next ledger, so no wait; docs/orders.md has the reasons.
WAITS = {
    "": 4,
    "dry run: ": 0,
    "tes": 1,
    "noAnswer": 1,
    "notSent": 1,
    "ter": 2,
    "terINSUF_FEE_B": 8,
    "tef": 2,
    "tefMAX_LEDGER": 1,
    "tel": 2,
    "tec": 4,
    "tecEXPIRED": 1,
    "tecKILLED": 1,
    "tecINSUF_RESERVE_OFFER": 8,
    "tecINSUFFICIENT_RESERVE": 8,
    "tecFROZEN": 32,
    "tecNO_AUTH": 32,
    "tecNO_ISSUER": 32,
    "tecNO_LINE": 32,
    "tem": 32,
    "temBAD_SEQUENCE": 2,
    "slowDown": 8,
    "amendmentBlocked": 32,
    "unlBlocked": 32,
    "invalidParams": 32,
    "invalidTransaction": 32,
}
WAIT_MAX = 64  # ledgers, about four minutes: what a person mended is noticed soon enough


def wait_of(code: str, in_a_row: int) -> int:
    """Return the ledgers to wait after so many refusals in a row, the last of them with `code`."""
    first = WAITS[max((beginning for beginning in WAITS if code.startswith(beginning)), key=len)]
    doublings = min(in_a_row - 1, WAIT_MAX.bit_length())
    return min(first << doublings, WAIT_MAX)


def backing_off(orders: Iterable[Order], ledger_index: int) -> dict[str, str]:
    """Return the slots that wait still, each with why; orders: all that are known, in work or ended.

    A slot waits after refusals that are newer than its last order that was not refused.
    """
    known = tuple(orders)
    refused: dict[str, list[Order]] = {}
    for order in known:
        if order.status is OrderStatus.REJECTED:
            refused.setdefault(order.slot, []).append(order)
    if not refused:  # nearly always: a hundred ended orders are known, and none of them was refused
        return {}
    good: dict[str, int] = {}
    for order in known:
        if order.status not in (OrderStatus.REJECTED, OrderStatus.DENIED):
            good[order.slot] = max(good.get(order.slot, 0), order.order_id)
    waiting = {}
    for slot, ended in refused.items():
        row = [order for order in ended if order.order_id > good.get(slot, 0)]
        if not row:
            continue
        last = max(row, key=lambda order: order.order_id)
        code = last.result_code or ""
        since = last.created_ledger if last.closed_ledger is None else last.closed_ledger
        until = since + wait_of(code, len(row))
        if ledger_index < until:
            waiting[slot] = f"{len(row)} in a row refused, last {code} in ledger {since}; waits for {until}"
    return waiting
