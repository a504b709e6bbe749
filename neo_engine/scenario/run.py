"""Plays a scenario: the live engine on a rehearsed world in which its events happen."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec

from neo_engine.config_sections import FILE_REFERENCE
from neo_engine.domain.errors import StartupFailure, StateError
from neo_engine.feed.reference import COLUMNS
from neo_engine.live_session import LiveResult
from neo_engine.rehearsal.points import Crash
from neo_engine.rehearsal.world import LEDGER_SECONDS, Rehearsal, RehearsalTerms
from neo_engine.scenario.file import Scenario
from neo_engine.scenario.log import overheard
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

    first_index: the network's index of ledger 1. last_ledger: the one that was open in the end. log: what the
    engine logged, from INFO on.
    """

    first_index: int
    last_ledger: int
    sessions: int
    result: LiveResult | None
    failure: str
    done: tuple[Done, ...]
    truth: Truth
    log: tuple[str, ...]


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
    document, reference = dict(scenario.document), None
    if scenario.reference:
        reference = db.with_name(db.name + ".reference.csv")
        _begin(reference)
        document["reference"] = {**document["reference"], "source": f"{FILE_REFERENCE}{reference}"}
    world = Rehearsal.open(document, scenario.path, terms)
    stage = Stage(world, db, reference)
    for one in scenario.events:
        world.at_ledger(one.at, partial(stage.perform, one.name, one.deed), seconds=one.seconds)
    with overheard() as log:
        result, failure, sessions = _sessions(scenario, stage)
    return Played(
        first_index=world.first_ledger,
        last_ledger=world.ledger,
        sessions=sessions,
        result=result,
        failure=failure,
        done=(*stage.done, *_missed(scenario, stage)),
        truth=_truth(world),
        log=tuple(log),
    )


def _begin(reference: Path) -> None:
    try:
        reference.write_bytes(COLUMNS + b"\n")
    except OSError as error:
        raise StateError(f"{reference}: cannot be written ({error.strerror}); give another --db") from error


def _sessions(scenario: Scenario, stage: Stage) -> tuple[LiveResult | None, str, int]:
    """Run sessions until one ends otherwise than by its death; return result, failure and their number."""
    world, result, failure, sessions = stage.world, None, "", 0
    while sessions < SESSIONS_MAX:
        sessions += 1
        left = max(scenario.ledgers - world.ledger + 1, 1)
        try:
            result = world.session(
                stage.db, ledgers=left, point=stage.point, between=stage.between, on_store=stage.opened
            )
        except Crash:
            world.clock.sleep(stage.away_ledgers * LEDGER_SECONDS)
            continue
        except StartupFailure as error:
            failure = str(error)
        break
    return result, failure, sessions


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
