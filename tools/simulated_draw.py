"""What a seed chooses for one simulated trial: a market, an account, and what goes wrong when.

Besides the faults of the server (`simulator/server/fault_schedule.py`) there are those of the machine and of
the operator, each in OWN with what it does. Everything comes from the seed; the first kind of fault wraps
through all of them, seed after seed, so that as many seeds as there are kinds show every one.
"""

from __future__ import annotations

import random
from typing import Any

import msgspec

from neo_engine.rehearsal.points import POINTS
from neo_engine.scenario.events import BENDS
from neo_engine.simulator.server.fault_schedule import HOWS, KINDS, Place

Json = dict[str, Any]
#: Faults of this machine, its clock and its operator: name -> what happens.
OWN = {
    "disk_full": "SQLite may add no page to its file (SQLITE_FULL) for some ledgers",
    "disk_locked": "another program holds the write lock for some seconds (SQLITE_BUSY)",
    "disk_io": "some commits in a row fail at the store's door, as with SQLITE_IOERR",
    "crash": "the process dies at a point of its work, and is started again",
    "kill": "the operator leaves the kill file",
    "pause": "the operator leaves the pause file and takes it away some ledgers later",
    "capital": "the operator leaves a capital request, which a live session must let lie",
    "suspend": "the process stands still while the network goes on",
    "clock_step": "the wall clock is set forward or back",
    "bend": "the market reaches the engine crossed, NaN, absurd or negative",
}
ALL_KINDS = (*KINDS, *OWN)
MARKETS = ("hostile", "hostile", "volatile", "trending", "calm", "crash", "thin")  # mostly those that fill
LEDGERS = 40  # of a trial, sessions and pauses between them together
FIRST, LAST = 2, LEDGERS - 6  # ledgers in which something begins: there is time left to see what comes of it
MORE_MAX = 4
COMMANDS = ("submit", "submit", "tx", "account_tx", "account_info", "")


class Injection(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that goes wrong. ledger: of the world, seconds: after it opened.

    lasts: as in a schedule file, None for a deed. length: in ledgers, as far as that can be said.
    """

    kind: str
    ledger: int
    seconds: float
    parameters: Json
    lasts: str | None = None
    length: int = 1


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What a seed chose. sessions: how long each is asked to last, in ledgers; the last one is repeated.

    charged: the server counts requests. tolerance: strategy.price_tolerance_bps.
    """

    seed: int
    market: str
    xrp: int
    tokens: int
    escalation: bool
    charged: bool
    sessions: tuple[int, ...]
    tolerance: str
    injections: tuple[Injection, ...]


def draw(seed: int) -> Trial:
    """Return the trial of a seed."""
    dice = random.Random(f"simulated trial {seed}")
    names = [ALL_KINDS[seed % len(ALL_KINDS)], *dice.choices(ALL_KINDS, k=dice.randint(1, MORE_MAX))]
    return Trial(
        seed=seed,
        market=dice.choice(MARKETS),
        xrp=dice.choice((100, 60, 120)),
        tokens=dice.choice((220, 100)),
        escalation=dice.random() < 0.2,
        charged=dice.random() < 0.2,
        sessions=tuple(dice.randint(8, LEDGERS) for _ in range(3)),
        tolerance=dice.choice(("0", "0", "1.0")),
        injections=tuple(sorted((_injection(name, dice) for name in names), key=lambda one: one.ledger)),
    )


def _injection(name: str, dice: random.Random) -> Injection:
    ledger, seconds = dice.randint(FIRST, LAST), round(dice.uniform(0.0, 3.9), 2)
    if name in OWN:
        parameters, length = _own(name, dice)
        return Injection(kind=name, ledger=ledger, seconds=seconds, parameters=parameters, length=length)
    parameters, lasts, length = drawn_fault(name, dice)
    return Injection(
        kind=name, ledger=ledger, seconds=seconds, parameters=parameters, lasts=lasts, length=length
    )


def drawn_fault(name: str, dice: random.Random) -> tuple[Json, str | None, int]:
    """Return parameters of a fault of the server, how long it lasts and how many ledgers that may be."""
    kind, length, lasts = KINDS[name], 1, None
    parameters = _of_server(name, dice)
    if kind.place is Place.REPLY:
        lasts = f"{dice.randint(1, 8)} requests"
        length = 3  # an engine asks for something in nearly every ledger
        submits = name in ("lost_reply", "false_reply")
        parameters["command"] = "submit" if submits else dice.choice(COMMANDS)
    elif kind.lasts is not None:
        length = dice.randint(1, 8)
        lasts = f"{length} ledgers"
    return parameters, lasts, length


def _of_server(name: str, dice: random.Random) -> Json:
    """Return the parameters of a fault of the server; the account is filled in when it happens."""
    parameters: Json = {}
    if "how" in KINDS[name].parameters:
        parameters["how"] = dice.choice(HOWS)
    if name == "latency":
        parameters["seconds"] = round(dice.uniform(0.2, 6.0), 2)
    elif name == "lag":
        parameters["ledgers"] = dice.randint(1, 6)
    elif name == "clawback":
        parameters["value"] = str(dice.randint(1, 40))
    elif name == "deposit":
        parameters["value"] = str(dice.randint(1, 30) * 1_000_000)
    elif name == "reserve":
        parameters |= dice.choice(({"base": 2_000_000}, {"increment": 400_000}, {"fee": 25}))
    return parameters


def _own(name: str, dice: random.Random) -> tuple[Json, int]:
    """Return parameters and length in ledgers of one of OWN."""
    length = dice.randint(1, 5)
    if name == "disk_locked":
        seconds = round(dice.uniform(0.3, 12.0), 2)
        return {"seconds": seconds}, 1 + int(seconds // 4)
    if name == "disk_io":
        return {"commits": dice.randint(1, 6)}, 2
    if name == "crash":
        return {"point": dice.choice(POINTS), "away_ledgers": dice.randint(0, 4)}, 4
    if name == "pause":
        return {"side": dice.choice(("both", "bid", "ask")), "ledgers": length}, length
    if name == "suspend":
        seconds = dice.randint(5, 160)
        return {"seconds": seconds}, 1 + seconds // 4
    if name == "clock_step":
        return {"seconds": dice.choice((-1, 1)) * dice.choice((2, 30, 600, 3600))}, 3
    if name == "bend":
        return {"how": dice.choice(tuple(BENDS)), "ledgers": length}, length
    return {"ledgers": length}, length
