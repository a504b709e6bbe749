"""A server as a process: the network it serves, and the signals that end it."""

from __future__ import annotations

import asyncio
import signal
import sys

import msgspec

from neo_engine.domain.halt import EXIT_OK, EXIT_SIGINT, EXIT_SIGTERM
from neo_engine.simulator.agents import open_market
from neo_engine.simulator.server import signing
from neo_engine.simulator.server.app import LocalServer
from neo_engine.simulator.server.faults import Faults, FaultyNetwork
from neo_engine.simulator.server.genesis import fresh_chain

_EXIT = {signal.SIGINT: EXIT_SIGINT, signal.SIGTERM: EXIT_SIGTERM}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Which network to make. market: None for a fresh one without agents.

    start: close time of its first ledger, seconds since 2000-01-01. seconds_per_ledger: of its own time.
    """

    market: str | None
    seed: int
    start: int
    seconds_per_ledger: int
    escalation: bool


def network_of(plan: Plan, faults: Faults | None = None) -> FaultyNetwork:
    """Return the planned network. Raises UsageError for a market that does not exist."""
    if plan.market is None:
        chain, market = fresh_chain(plan.start), None
    else:
        market = open_market(plan.market, plan.seed, signing.hash_of)
        chain = market.chain
        if plan.start > chain.header.close_time:
            chain.header = msgspec.structs.replace(chain.header, close_time=plan.start)
    return FaultyNetwork(
        chain,
        seconds_per_ledger=plan.seconds_per_ledger,
        escalation=plan.escalation,
        market=market,
        faults=faults,
    )


async def serve_until_signal(server: LocalServer, what: str) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code. Prints one line when ready.

    Raises StartupFailure if a port cannot be had.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[signal.Signals] = loop.create_future()

    def note(number: signal.Signals) -> None:
        if not ended.done():
            ended.set_result(number)

    for number in _EXIT:
        if sys.platform == "win32":  # the loop knows no signals there, the process does
            signal.signal(number, lambda got, _frame: loop.call_soon_threadsafe(note, signal.Signals(got)))
        else:
            loop.add_signal_handler(number, note, number)
    await server.start()
    try:
        websocket, http = server.addresses
        print(f"ready: {websocket} {http or 'no HTTP'} ({what})", flush=True)
        return _EXIT.get(await ended, EXIT_OK)
    finally:
        await server.stop()
