"""Token payments that touch no book: value handed along trust lines, from account to account.

Theory (rippled DirectStep.cpp, StrandFlow.h). A payment in one currency is a chain of accounts, mostly the
sender, the issuer and the receiver. Each pair of neighbours is a step over their trust line: its source
redeems what it holds of the next account, or else issues up to the next account's limit. The chain is
worked out backwards from the amount to deliver; the step that cannot carry what is asked of it (or
the sender's maximum at the first) limits the chain, and from there it is worked out forwards again.

An issuer's transfer fee is taken where it passes on what was redeemed to it: it receives more than it
gives. QualityIn and QualityOut of a line rescale the same way.

1. A chain that lacks a line, is frozen, unauthorized, barred by NoRipple or has nothing to give on some
   step does not exist at all: the answer is then tecPATH_DRY even for a payment that is not partial.
2. Fees are rounded as the server does it (steps.ratio_up, steps.ratio_down): up on the way back, to the
   nearest on the way forth.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

import msgspec

from neo_engine.domain.assets import Asset
from neo_engine.domain.liquidity import PARITY
from neo_engine.domain.number import ZERO, issued_add, issued_sub
from neo_engine.domain.steps import rate_of, ratio_down, ratio_up
from neo_engine.simulator.model import keys, lines
from neo_engine.simulator.model.results import SUCCESS
from neo_engine.simulator.model.state import View

DRY = "tecPATH_DRY"
PARTIAL = "tecPATH_PARTIAL"
ROUNDS = 16  # a chain empties itself in one round; a second one only finds that out


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """How a payment ended: its result code, and what the receiver got."""

    result: str
    got: Decimal = ZERO


class _Step(msgspec.Struct, frozen=True, kw_only=True):
    """One pair of neighbours. most: what the line carries. Rates in billionths: in / across, out / across."""

    source: str
    target: str
    most: Decimal
    redeems: bool
    rate_out: int
    rate_in: int


class _Pass(msgspec.Struct, frozen=True, kw_only=True):
    """What one step carries: `inward` is asked of the one before, `outward` goes to the next."""

    inward: Decimal
    across: Decimal
    outward: Decimal


def chain_problem(view: View, accounts: Sequence[str], currency: str, *, in_strand: bool = False) -> str:
    """Return why a chain of accounts cannot carry anything, tesSUCCESS if it can (DirectStep `check`).

    in_strand: it leads to or from a book. Only between a holder and the issuer alone a freeze is no bar.
    """
    pairs = list(pairwise(accounts))
    for place, (source, target) in enumerate(pairs):
        line = view.read(keys.line(source, target, currency))
        mine, theirs = lines.ends(source, target)
        if line is None or view.read(keys.account_root(source)) is None:
            return "terNO_LINE"
        if (in_strand or len(pairs) > 1) and lines.is_blocked(view, source, target, currency):
            return "terNO_LINE"
        if place and _bars_rippling(view, accounts[place - 1], source, target, currency):
            return "terNO_RIPPLE"
        asks = lines.root_of(view, source)["Flags"] & lines.REQUIRE_AUTH
        held = lines.line_balance(line, low=mine is lines.LOW)
        if asks and not line["Flags"] & mine.authorized and not held:
            return "terNO_AUTH"
        if held <= 0 and -held >= line[theirs.limit].value:
            return DRY
    return SUCCESS


def _bars_rippling(view: View, before: str, middle: str, after: str, currency: str) -> bool:
    """True if `middle` has set NoRipple on both of its lines."""
    return all(lines.has_no_ripple(view, middle, peer, currency) for peer in (before, after))


def send_along(
    view: View,
    accounts: Sequence[str],
    currency: str,
    *,
    deliver: Decimal,
    send_max: Decimal,
    partial: bool,
    limit_rate: Decimal | None,
) -> Delivery:
    """Send tokens along a chain of accounts, changing `view`; with a tec the view is to be dropped.

    deliver, send_max: token units. limit_rate: the most to be paid for one unit delivered, None for any.
    """
    problem = chain_problem(view, accounts, currency)
    if problem != SUCCESS:
        return Delivery(result=DRY)
    got = paid = ZERO
    for _ in range(ROUNDS):
        left = issued_sub(deliver, got)
        if left <= 0 or paid >= send_max:
            break
        steps = _steps(view, accounts, currency)
        passes = _run(steps, left, issued_sub(send_max, paid))
        if not passes:
            break
        inward, outward = passes[0].inward, passes[-1].outward
        if limit_rate is not None and rate_of(inward, outward) > limit_rate:
            break
        for step, carried in zip(steps, passes):
            asset = Asset(currency, step.target if step.redeems else step.source)
            lines.credit(view, step.source, step.target, asset, carried.across)
        got, paid = issued_add(got, outward), issued_add(paid, inward)
    if got != deliver:
        if not partial:
            return Delivery(result=PARTIAL)
        if not got:
            return Delivery(result=DRY)
    return Delivery(result=SUCCESS, got=got)


def _quality(view: View, account: str, peer: str, currency: str, *, inward: bool) -> int:
    line = view.read(keys.line(account, peer, currency)) or {}
    mine, _ = lines.ends(account, peer)
    return line.get(mine.quality_in if inward else mine.quality_out) or PARITY


def _steps(view: View, accounts: Sequence[str], currency: str) -> list[_Step]:
    steps: list[_Step] = []
    pairs = list(pairwise(accounts))
    for place, (source, target) in enumerate(pairs):
        held = lines.balance(view, source, Asset(currency, target))
        redeems = held > 0
        rate_out = rate_in = PARITY
        if redeems:
            most = held
            if place:
                asked = _quality(view, source, accounts[place - 1], currency, inward=True)
                rate_out = max(asked, _quality(view, source, target, currency, inward=False))
        else:
            most = lines.limit_room(view, target, Asset(currency, source)) or ZERO
            if place and steps[-1].redeems:
                rate_out = lines.transfer_rate(view, source)
            rate_in = _quality(view, target, source, currency, inward=True)
            if place == len(pairs) - 1:
                rate_in = min(rate_in, PARITY)
        steps.append(
            _Step(
                source=source,
                target=target,
                most=most,
                redeems=redeems,
                rate_out=rate_out,
                rate_in=rate_in,
            )
        )
    return steps


def _run(steps: Sequence[_Step], deliver: Decimal, send_max: Decimal) -> list[_Pass]:
    """Return what each step carries, nothing if the chain is dry (StrandFlow.h, `flow`)."""
    passes: list[_Pass] = [_Pass(inward=ZERO, across=ZERO, outward=ZERO)] * len(steps)
    wanted, limiting = deliver, len(steps)
    for place in range(len(steps) - 1, -1, -1):
        carried = _backward(steps[place], wanted)
        if not carried.outward:
            return []
        if place == 0 and send_max < carried.inward:
            carried, limiting = _forward(steps[0], send_max, carried), 0
            if carried.inward != send_max:
                return []
        elif carried.outward != wanted:
            wanted, limiting = carried.outward, place
            carried = _backward(steps[place], wanted)
            if carried.outward != wanted:
                return []
        passes[place] = carried
        wanted = carried.inward
    for place in range(limiting + 1, len(steps)):
        given = passes[place - 1].outward
        passes[place] = _forward(steps[place], given, passes[place])
        if passes[place].inward != given:
            return []
    return passes if all(carried.outward for carried in passes) else []


def _backward(step: _Step, wanted: Decimal) -> _Pass:
    if step.most <= 0:
        return _Pass(inward=ZERO, across=ZERO, outward=ZERO)
    across = ratio_up(wanted, PARITY, step.rate_in)
    if across <= step.most:
        return _Pass(inward=ratio_up(across, step.rate_out, PARITY), across=across, outward=wanted)
    return _limited(step)


def _forward(step: _Step, given: Decimal, before: _Pass) -> _Pass:
    """Return what goes on of `given`; never more than was found on the way back (setCacheLimiting)."""
    across = ratio_down(given, PARITY, step.rate_out)
    if across > step.most:
        return _limited(step)
    outward = ratio_down(across, step.rate_in, PARITY)
    return _Pass(inward=given, across=min(across, before.across), outward=min(outward, before.outward))


def _limited(step: _Step) -> _Pass:
    return _Pass(
        inward=ratio_up(step.most, step.rate_out, PARITY),
        across=step.most,
        outward=ratio_down(step.most, step.rate_in, PARITY),
    )
