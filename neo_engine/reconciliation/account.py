"""What follows from the things that happened to our account and that no order of ours explains.

    finding                               booked as capital   then
    dust                                  yes                 noted
    payment, clawback, pool, orphan fill  yes                 noted, or halt (live.external_changes)
    a transaction we did not send         its fee             halt
    an offer of no order of ours          no                  halt
    money that nothing explains           no                  halt
    a server's list says something else   no                  halt
    a freeze, a trust line removed        no                  halt
    missed events, read again since       no                  noted
    key, network or numbers refused       no                  halt: submission_refused

What is booked makes a capital event that the operator may judge later: its note begins with `proposed`. It
is booked where the session halts too, so that inventory less fees stays the account's balance.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from neo_engine.config import Config
from neo_engine.domain.account_findings import AccountFinding, FindingKind
from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.clock import utc_text
from neo_engine.domain.halt import Halt, HaltReason
from neo_engine.domain.number import ZERO, plain, xrp_from_drops
from neo_engine.domain.records import Finding

_K = FindingKind
#: Money that came or went without a trade of ours: `live.external_changes` decides.
EXTERNAL = frozenset({_K.PAID_IN, _K.PAID_OUT, _K.CLAWBACK, _K.POOL, _K.ORPHAN_FILL})
_NOTED = frozenset({_K.DUST, _K.CHAIN_BREAK, _K.LEDGER_GAP})
_ENDS = frozenset({_K.FREEZE, _K.TRUST_LINE})  # halt by what is so now, not by the change
PROPOSE = "propose"


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a tick's findings: capital to book, rows to store, and a halt or None."""

    capital: tuple[CapitalEvent, ...]
    findings: tuple[Finding, ...]
    halt: Halt | None


NOTHING = Answered(capital=(), findings=(), halt=None)


def answer(found: Iterable[AccountFinding], config: Config, close_time: int) -> Answered:
    """Return what follows from findings; close_time: of the tick's ledger, seconds since 2000-01-01."""
    capital: list[CapitalEvent] = []
    findings: list[Finding] = []
    refused: Halt | None = None
    for number, one in enumerate(found):
        halts = _halts(one, config)
        findings.append(Finding(name=one.kind.value, order_id=None, halts=halts, detail=_text(one)))
        capital += _booked(one, utc_text(close_time), number)
        if one.kind is FindingKind.CANNOT_SEND:
            refused = Halt(reason=HaltReason.SUBMISSION_REFUSED, detail=one.detail)
    return Answered(capital=tuple(capital), findings=tuple(findings), halt=refused) if findings else NOTHING


def _halts(one: AccountFinding, config: Config) -> bool:
    if one.kind in _NOTED:
        return False
    if one.kind in EXTERNAL:
        return config.live is None or config.live.external_changes != PROPOSE
    if one.kind in _ENDS:
        return one.active == (one.kind is FindingKind.FREEZE)
    return True


def _booked(one: AccountFinding, at: str, number: int) -> list[CapitalEvent]:
    if one.kind in EXTERNAL or one.kind is FindingKind.DUST:
        drops, quote = one.base_drops, one.quote
    elif one.kind is FindingKind.STRANGE_TRANSACTION:
        drops, quote = -one.fee_drops, ZERO
    else:
        return []
    events = []
    for asset, moved, amount in (("xrp", drops, ZERO), ("token", 0, quote)):
        value = amount if asset == "token" else Decimal(moved)
        if value:
            kind = CapitalKind.DEPOSIT if value > 0 else CapitalKind.WITHDRAWAL
            event = CapitalEvent(
                request_id=f"ledger-{one.ledger_index}-{one.transaction_index}-{number}-{asset}",
                kind=kind,
                base_drops=abs(moved),
                quote=abs(amount),
                note=f"proposed: {one.kind.value}: {one.detail}",
                created_at=at,
                observed=True,
            )
            events.append(event)
    return events


def _text(one: AccountFinding) -> str:
    where = f"ledger {one.ledger_index}" + (f", transaction {one.tx_hash}" if one.tx_hash else "")
    moved = []
    if one.base_drops:
        moved.append(f"{plain(xrp_from_drops(one.base_drops))} XRP")
    if one.quote:
        moved.append(f"{plain(one.quote)} token")
    if one.fee_drops:
        moved.append(f"fee {one.fee_drops} drops")
    return f"{where}: {one.detail}" + (f" ({', '.join(moved)})" if moved else "")
