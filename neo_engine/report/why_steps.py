"""The values of a walk through the decision tree: one step, its outcome and its numbers."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

OK = "ok"
FEWER = "fewer"  # a level is missing or smaller; every side that was open still quotes
WIDENED = "widened"
ONE_SIDE = "one side"
STOPPED = "stopped"
NOT_REACHED = "not reached"
SIDES = ("bid", "ask")


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One number or word behind a step. settings: the configuration keys it was held against, with values."""

    name: str
    value: str
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """The fact as one line."""
        limits = ", ".join(f"{key} {value}" for key, value in self.settings)
        return f"{self.name}: {self.value}" + (f" [{limits}]" if limits else "")


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the tree. cause: its gate, halt reason or factor; detail: that one's numbers.

    closed: the sides it closed. advice: what the operator can do.
    """

    name: str
    outcome: str
    text: str
    facts: tuple[Fact, ...] = ()
    advice: str | None = None
    cause: str | None = None
    detail: str | None = None
    closed: tuple[str, ...] = ()


def names_of(steps: Iterable[Step]) -> str:
    """Return the causes of steps with their numbers: `Inventory (140 XRP held >= 135)`."""
    return ", ".join(f"{step.cause} ({step.detail})" if step.detail else f"{step.cause}" for step in steps)
