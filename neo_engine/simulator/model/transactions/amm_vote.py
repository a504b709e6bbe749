"""AMMVote: say what a pool's fee should be; it becomes the mean of the votes, weighted by share tokens.

Theory (rippled AMMVote.cpp). A pool keeps eight votes. Every vote brings them all up to date: who has no
tokens left loses his, weights are new, in 1/100,000 of all tokens. Where all eight are taken, a newcomer
replaces the one with the fewest tokens if he has more, or as many and wants a higher fee; else his vote
only refreshes the others. The auction slot's fee follows, a tenth of the new one.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from neo_engine.domain.number import ZERO
from neo_engine.domain.steps import add_near, div_near, mul_near, sub_near, whole_near
from neo_engine.simulator.model import keys, lines, pools
from neo_engine.simulator.model.context import Context, Handler, Rules
from neo_engine.simulator.model.fields import Entry
from neo_engine.simulator.model.results import SUCCESS
from neo_engine.simulator.model.state import View
from neo_engine.simulator.model.tx import Tx

VOTES_MAX = 8  # rippled AMMCore.h, VOTE_MAX_SLOTS


class Vote(msgspec.Struct, frozen=True, kw_only=True):
    """One account's wish. fee: 1/100,000. tokens: share tokens it has now."""

    account: str
    fee: int
    tokens: Decimal


def preflight(tx: Tx, rules: Rules) -> str:  # noqa: ARG001
    """Return what is wrong with the transaction alone."""
    if not {"Asset", "Asset2", "TradingFee"} <= tx.fields.keys():
        return "temMALFORMED"
    result = pools.wrong_pair(
        pools.asset_from_wire(tx.fields["Asset"]), pools.asset_from_wire(tx.fields["Asset2"])
    )
    if result != SUCCESS:
        return result
    return "temBAD_FEE" if tx.fields["TradingFee"] > pools.TRADING_FEE_MAX else SUCCESS


def preclaim(view: View, tx: Tx, rules: Rules) -> str:  # noqa: ARG001
    """Return what stands in the way in the state before: no pool, an empty one, no tokens."""
    _, entry = pools.pool_of(view, tx.fields)
    if entry is None:
        return "terNO_AMM"
    if not entry["LPTokenBalance"].value:
        return "tecAMM_EMPTY"
    held = lines.balance(view, tx.account, entry["LPTokenBalance"].asset)
    return SUCCESS if held else "tecAMM_INVALID_TOKENS"


def apply(context: Context) -> str:
    """Bring the votes up to date with the sender's among them, and the fees with the votes."""
    view, tx = context.view, context.tx
    index, _ = pools.pool_of(view, tx.fields)
    entry = view.edit(index)
    share = entry["LPTokenBalance"]
    mine = Vote(
        account=tx.account,
        fee=tx.fields["TradingFee"],
        tokens=lines.balance(view, tx.account, share.asset),
    )
    votes, paid, weight = _counted(_with(_current(view, entry, mine), mine))
    entry["VoteSlots"] = [_slot(vote, share.value) for vote in votes]
    pools.set_fee(entry, int(whole_near(div_near(paid, weight))))
    return SUCCESS


def _current(view: View, entry: Entry, mine: Vote) -> list[Vote]:
    """Return the votes of who still has tokens, `mine` in the place of the sender's old one."""
    votes = []
    for slot in entry.get("VoteSlots", ()):
        old = slot["VoteEntry"]
        tokens = lines.balance(view, old["Account"], entry["LPTokenBalance"].asset)
        if old["Account"] == mine.account:
            votes.append(mine)
        elif tokens:
            votes.append(Vote(account=old["Account"], fee=old.get("TradingFee", 0), tokens=tokens))
    return votes


def _with(votes: list[Vote], mine: Vote) -> list[Vote | tuple[Vote, Vote]]:
    """Return the votes with `mine`; where it takes another's place, the two as (old, new)."""
    counted: list[Vote | tuple[Vote, Vote]] = list(votes)
    if any(vote.account == mine.account for vote in votes):
        return counted
    if len(votes) < VOTES_MAX:
        return [*counted, mine]
    least = min(votes, key=lambda vote: (vote.tokens, vote.fee, keys.account_id(vote.account)))
    if (mine.tokens, mine.fee) > (least.tokens, least.fee):
        counted[votes.index(least)] = (least, mine)
    return counted


def _counted(votes: list[Vote | tuple[Vote, Vote]]) -> tuple[list[Vote], Decimal, Decimal]:
    """Return the votes, the sum of fee times tokens and that of tokens, rounded in the server's order.

    A vote that is replaced is added with the others and taken off before the new one is added.
    """
    paid = weight = ZERO
    replaced: list[tuple[Vote, Vote]] = []
    for vote in votes:
        if isinstance(vote, tuple):
            replaced.append(vote)
            vote = vote[0]
        paid = add_near(paid, mul_near(Decimal(vote.fee), vote.tokens))
        weight = add_near(weight, vote.tokens)
    for old, new in replaced:
        paid = sub_near(paid, mul_near(Decimal(old.fee), old.tokens))
        weight = sub_near(weight, old.tokens)
        paid = add_near(paid, mul_near(Decimal(new.fee), new.tokens))
        weight = add_near(weight, new.tokens)
    return [vote[1] if isinstance(vote, tuple) else vote for vote in votes], paid, weight


def _slot(vote: Vote, outstanding: Decimal) -> dict[str, Any]:
    share = div_near(mul_near(vote.tokens, Decimal(pools.WEIGHT_WHOLE)), outstanding)
    entry: dict[str, Any] = {"Account": vote.account, "VoteWeight": int(whole_near(share))}
    if vote.fee:
        entry["TradingFee"] = vote.fee
    return {"VoteEntry": entry}


HANDLER = Handler(flags=0, preflight=preflight, preclaim=preclaim, apply=apply)
