"""Plays a scenario: the live engine on a rehearsed world in which its events happen."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec

from neo_engine.domain.errors import StartupFailure
from neo_engine.live_session import LiveResult
from neo_engine.rehearsal.points import Crash
from neo_engine.rehearsal.world import LEDGER_SECONDS, Rehearsal, RehearsalTerms
from neo_engine.scenario.file import Scenario
from neo_engine.scenario.stage import Done, Stage
from neo_engine.simulator.agents.hands import line_value
from neo_engine.simulator.model import keys
from neo_engine.simulator.server.genesis import RLUSD

SESSIONS_MAX = 20  # a scenario whose engine dies more often shows nothing new


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """What the model ledger says of our account in the end. quote: tokens, as text."""

    balance_drops: int
    quote: str
    offers: int


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """How a scenario went. result: None when the last session could not start: then `failure` says why.

    first_index: the network's index of ledger 1. last_ledger: the one that was open in the end.
    """

    first_index: int
    last_ledger: int
    sessions: int
    result: LiveResult | None
    failure: str
    done: tuple[Done, ...]
    truth: Truth


def play(scenario: Scenario, db: Path) -> Played:
    """Play a scenario into a database. Raises ConfigError, UsageError or StateError."""
    terms = RehearsalTerms(
        market=scenario.market,
        seed=scenario.seed,
        xrp=scenario.account.xrp,
        tokens=scenario.account.tokens,
        escalation=scenario.escalation,
        unlimited=not scenario.charged,
    )
    world = Rehearsal.open(scenario.document, scenario.path, terms)
    stage = Stage(world, db)
    for one in scenario.events:
        world.at_ledger(one.at, partial(stage.perform, one.name, one.deed), seconds=one.seconds)
    result, failure, sessions = None, "", 0
    while sessions < SESSIONS_MAX:
        sessions += 1
        left = max(scenario.ledgers - world.ledger + 1, 1)
        try:
            result = world.session(db, ledgers=left, point=stage.point, between=stage.between)
        except Crash:
            world.clock.sleep(stage.away_ledgers * LEDGER_SECONDS)
            continue
        except StartupFailure as error:
            failure = str(error)
        break
    return Played(
        first_index=world.first_ledger,
        last_ledger=world.ledger,
        sessions=sessions,
        result=result,
        failure=failure,
        done=(*stage.done, *_missed(scenario, stage)),
        truth=_truth(world),
    )


def _missed(scenario: Scenario, stage: Stage) -> list[Done]:
    """Return the events that the session's end came before."""
    happened = [one.event for one in stage.done]
    missed = []
    for one in scenario.events:
        if one.name in happened:
            happened.remove(one.name)
        else:
            text = "did not happen: all was over before"
            missed.append(Done(ledger=one.at, event=one.name, text=text, failed=True))
    return missed


def _truth(world: Rehearsal) -> Truth:
    entries, account = world.network.chain.state.entries, world.account
    line = entries.get(keys.line(account, world.network.issuer, RLUSD))
    offers = sum(
        1 for one in entries.values() if one["LedgerEntryType"] == "Offer" and one["Account"] == account
    )
    return Truth(
        balance_drops=entries[keys.account_root(account)]["Balance"],
        quote=f"{0 if line is None else line_value(line, account):f}",
        offers=offers,
    )


__all__ = ["Played", "Truth", "play"]
