"""What the monitors remember between ticks, what they are told, and what they answer.

Times are seconds since 2000-01-01 on the feed's clock.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from neo_engine.domain.account_findings import AccountFinding
from neo_engine.domain.assets import Side
from neo_engine.domain.halt import Halt
from neo_engine.domain.link import CONNECTED, Link
from neo_engine.domain.market import AccountView, DataFault, MarketSnapshot
from neo_engine.domain.number import ZERO
from neo_engine.domain.records import Accounts, Gate
from neo_engine.domain.reference import ReferencePrice
from neo_engine.domain.severity import Reading, Severity


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How many in a row."""

    count: int


class Age(msgspec.Struct, frozen=True, kw_only=True):
    """Close time of the newest ledger; before the first, of the one the feed starts from.

    broken_at: when the feed was last seen to connect again since that ledger, None if it never was.
    """

    last_ledger_time: int
    broken_at: int | None = None


class Peak(msgspec.Struct, frozen=True, kw_only=True):
    """start_value: net capital (RLUSD) when the first mark was known. peak_value: highest account value
    net of later capital events. pct: the drawdown now, in percent.
    """

    start_value: Decimal | None
    peak_value: Decimal | None
    pct: Decimal


class Holdings(msgspec.Struct, frozen=True, kw_only=True):
    """The fills-only XRP inventory over the window: (since when, drops), oldest first, never empty."""

    steps: tuple[tuple[int, int], ...]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """before: the last ledger that was believed. side: the takers' of the run. length: ledgers in a row.

    severity: what was taken in the run, in near depths.
    """

    before: MarketSnapshot | None
    side: Side | None
    length: int
    severity: Decimal


class LastMid(msgspec.Struct, frozen=True, kw_only=True):
    """The last mid that was believed (None before the first) and its ledger's close time."""

    mid: Decimal | None
    close_time: int


class Refusals(msgspec.Struct, frozen=True, kw_only=True):
    """Refused orders in a row, and when the last one was."""

    count: int
    last: int | None


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """The answers to our latest orders, oldest first (True: refused), and when the last refusal was."""

    refused: tuple[bool, ...]
    last: int | None


class Jump(msgspec.Struct, frozen=True, kw_only=True):
    """Since when the ledger's balance has been too far from our books; None while it is not."""

    xrp_since: int | None
    quote_since: int | None


class Burn(msgspec.Struct, frozen=True, kw_only=True):
    """day: whole days since 2000-01-01 (UTC). before: the session's fees until it began, less those that
    earlier sessions sent on it. fees: the session's until now.
    """

    day: int
    before: int
    fees: int


class DayResult(msgspec.Struct, frozen=True, kw_only=True):
    """day: whole days since 2000-01-01 (UTC). before: the session's P&L when it began, less what earlier
    sessions made on it. pnl: the session's until now. RLUSD.
    """

    day: int
    before: Decimal
    pnl: Decimal


class Issuer(msgspec.Struct, frozen=True, kw_only=True):
    """When the issuer last took tokens back (None: never), and how many. frozen: what the account's events
    told of a freeze that lasts, "" without one.
    """

    clawback_at: int | None
    clawed: Decimal
    frozen: str


class Depeg(msgspec.Struct, frozen=True, kw_only=True):
    """Since when the distance has been at each threshold or beyond it (warn, pull, kill); None while not."""

    since: tuple[int | None, int | None, int | None]


class RiskState(msgspec.Struct, frozen=True, kw_only=True):
    """The memory of each monitor that has one, under the monitor's name, and what all said last.

    readings: in the order of the table of monitors. newest_order: highest order_id whose answer counted.
    """

    feed_failures: Count
    staleness: Age
    unhealthy_data: Count
    daily_loss: DayResult
    drawdown: Peak
    position_velocity: Holdings
    cascade: Run
    price_velocity: LastMid
    balance_jump: Jump
    depeg: Depeg
    issuer: Issuer
    ledger_stall: Age
    submit_errors: Refusals
    reject_rate: Answers
    fee_burn: Burn
    readings: tuple[Reading, ...]
    newest_order: int


class RiskObservation(msgspec.Struct, frozen=True, kw_only=True):
    """What a tick saw. close_time: of its ledger, None when none came (silence or a fault).

    feed_faults: faulty messages since the last tick, before this tick's ledger. data_faults: of its
    snapshot. kill: the operator's requests, each as `source: reason`. snapshot: the market after its
    ledger. account: the venue's word after it, and books: what we hold by our own count at the same moment
    (both None before the opening is booked). results: codes of the answers to creates and replaces, oldest
    first. newest_order: highest order_id that had one. findings: what the ledger did to our account besides.
    link: how the feed is connected. reference: another market's newest price, None without one.
    """

    close_time: int | None
    feed_faults: int
    data_faults: tuple[DataFault, ...]
    kill: tuple[str, ...]
    snapshot: MarketSnapshot | None = None
    account: AccountView | None = None
    books: Accounts | None = None
    results: tuple[str, ...] = ()
    newest_order: int = 0
    findings: tuple[AccountFinding, ...] = ()
    link: Link = CONNECTED
    reference: ReferencePrice | None = None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """All that a monitor may look at: the tick's observation, the accounts after it, and when (feed time)."""

    tick: RiskObservation
    view: Accounts
    at: int


class RiskAssessment(msgspec.Struct, frozen=True, kw_only=True):
    """The monitors' answer. halt: the session ends. gates: close sides. changed: readings to store.

    severity: the highest of all monitors.
    """

    state: RiskState
    severity: Severity
    halt: Halt | None
    gates: tuple[Gate, ...]
    changed: tuple[Reading, ...]

    @property
    def drawdown_pct(self) -> Decimal:
        """The drawdown in percent, by the formula that decides."""
        return self.state.drawdown.pct


NO_PEAK = Peak(start_value=None, peak_value=None, pct=ZERO)
NO_RUN = Run(before=None, side=None, length=0, severity=ZERO)
NO_REFUSAL = Refusals(count=0, last=None)
NO_ANSWER = Answers(refused=(), last=None)
NO_JUMP = Jump(xrp_since=None, quote_since=None)
NO_DEPEG = Depeg(since=(None, None, None))
NOTHING_TAKEN = Issuer(clawback_at=None, clawed=ZERO, frozen="")
