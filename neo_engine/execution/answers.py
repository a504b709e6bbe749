"""What the answer to a submit means and what follows from it: one table for every result class.

Theory (docs "Finality of Results", "Transaction Results", `submit`; ledger-rules, Submission). Only tem and
a few tef can never become anything else. tes and tec may still change, ter and tel may still be applied by
a server that keeps them, and a lost answer may hide any of these. So the table says "rejected" seldom.

The engine result is looked at before `accepted`: a server says accepted even of tefPAST_SEQ. For ter and
tel `accepted: false` is the server's word that it kept nothing: it comes to something only if sent again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Protocol

import msgspec

from neo_engine.domain.orders import PreparedTransaction, SubmitClass

Json = dict[str, Any]


class Told(Enum):
    """How a request ended: with a result, with the server's refusal, or with nothing."""

    ANSWERED = "answered"
    REFUSED = "refused"
    LOST = "lost"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a request. result: of an answer, or a refusal's whole reply; token: a refusal's name.

    sent: a lost one may have reached a server.
    """

    told: Told
    result: Json = {}
    token: str = ""
    sent: bool = True


class Ask(Protocol):
    """The server: one answer for each request. Nothing is raised for a refusal or a lost answer."""

    def __call__(self, command: str, parameters: Json) -> Answer:
        """Return the answer within the caller's own time limit."""

    def submit(self, blobs: Sequence[str]) -> list[Answer]:
        """Send signed blobs in their order, all before the first answer is waited for; one answer each."""


class Step(Enum):
    """What is to be done about a submitted transaction."""

    WAIT = "wait"  # a ledger decides
    FILL_GAP = "fill gap"  # kept by the server; comes when the sequences before it are used
    SEND_AGAIN = "send again"  # the same blob, with each ledger until its last one
    RAISE_FEE = "raise fee"  # as SEND_AGAIN; the next ones pay what the open ledger asks
    LOOK_UP = "look up"  # ask for its hash before anything else
    DROP = "drop"  # never: its number is free
    STOP = "stop"  # never, and so will all others: key or network are wrong


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer means. why: in words for a person, where a person must act."""

    outcome: SubmitClass
    step: Step
    why: str = ""


_TAKEN = Verdict(outcome=SubmitClass.ACCEPTED, step=Step.WAIT)
_KEPT = Verdict(outcome=SubmitClass.ACCEPTED, step=Step.FILL_GAP)
_KNOWN = Verdict(outcome=SubmitClass.ACCEPTED, step=Step.LOOK_UP)
_OPEN = Verdict(outcome=SubmitClass.UNKNOWN, step=Step.SEND_AGAIN)
_DEAR = Verdict(outcome=SubmitClass.UNKNOWN, step=Step.RAISE_FEE)
_ASK = Verdict(outcome=SubmitClass.UNKNOWN, step=Step.LOOK_UP)
_NEVER = Verdict(outcome=SubmitClass.REJECTED, step=Step.DROP)
_WRONG_KEY = Verdict(
    outcome=SubmitClass.REJECTED,
    step=Step.STOP,
    why="this key may not sign for the account; check live.key_source and live.regular_key",
)
_WRONG_NETWORK = Verdict(
    outcome=SubmitClass.REJECTED,
    step=Step.STOP,
    why="the server is on another network; check live.network_id against live.endpoints",
)

#: By result code, or by the code's beginning. The longest entry that fits decides.
TABLE: dict[str, Verdict] = {
    "tes": _TAKEN,
    "tec": _TAKEN,  # may still become a success; validated, it burns fee and sequence
    "terQUEUED": _TAKEN,
    "terPRE_SEQ": _KEPT,  # signed anew under another sequence it would be a second order
    "ter": _OPEN,
    "tefPAST_SEQ": _ASK,  # perhaps our own earlier copy
    "tefALREADY": _KNOWN,
    "tefMAX_LEDGER": _ASK,  # an earlier copy may be in a ledger that is not validated yet
    "tefNO_TICKET": _ASK,  # used by our own earlier copy, or never made
    "tefBAD_AUTH": _WRONG_KEY,
    "tefMASTER_DISABLED": _WRONG_KEY,
    "tef": _OPEN,  # this server's trouble; another may take it
    "tem": _NEVER,
    "telINSUF_FEE_P": _DEAR,
    "telCAN_NOT_QUEUE_FEE": _DEAR,
    "telCAN_NOT_QUEUE": _OPEN,  # also _BALANCE, _BLOCKED, _BLOCKS, _FULL
    "telNETWORK_ID_MAKES_TX_NON_CANONICAL": _WRONG_NETWORK,
    "telREQUIRES_NETWORK_ID": _WRONG_NETWORK,
    "telWRONG_NETWORK": _WRONG_NETWORK,
    "tel": _OPEN,
}
#: Refusals of the request itself that no repetition changes; any other (tooBusy, noNetwork) may pass.
FINAL_REFUSALS = frozenset({"invalidTransaction", "invalidParams"})
LOST = "noAnswer"
#: What reading an answer raises that does not have the form of the API: it says nothing, then.
MALFORMED = (LookupError, TypeError, ValueError)
HASH_DIGITS = 64


def code_of(answer: Answer) -> str:
    """Return the answer's engine result, a refusal's name, or `noAnswer`."""
    if answer.told is Told.LOST:
        return LOST
    if answer.told is Told.REFUSED:
        return answer.token
    return str(answer.result.get("engine_result", LOST))


def classify(answer: Answer) -> Verdict:
    """Return what the answer to a submit means."""
    if answer.told is Told.LOST:
        return _OPEN
    if answer.told is Told.REFUSED:
        return _NEVER if answer.token in FINAL_REFUSALS else _OPEN
    code = code_of(answer)
    fits = [beginning for beginning in TABLE if code.startswith(beginning)]
    if not fits:
        return _ASK
    verdict = TABLE[max(fits, key=len)]
    dropped = code.startswith(("ter", "tel")) and answer.result.get("accepted") is False
    if dropped and verdict.outcome is SubmitClass.ACCEPTED:
        return _OPEN
    return verdict


def hash_in(answer: Answer) -> str | None:
    """Return the hash that a submit's answer gives the transaction, None where it tells none."""
    tx_json = answer.result.get("tx_json") if answer.told is Told.ANSWERED else None
    told = tx_json.get("hash") if isinstance(tx_json, dict) else None
    return told if isinstance(told, str) and len(told) == HASH_DIGITS else None


def final_in(result: Json) -> tuple[str, int] | None:
    """Return result code and ledger of a validated `tx` answer, None for one that cannot be read."""
    try:
        code, ledger_index = result["meta"]["TransactionResult"], int(result["ledger_index"])
    except MALFORMED:
        return None
    return (code, ledger_index) if isinstance(code, str) else None


class LedgerSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A validated ledger. results: result codes of our transactions in it, by hash. close_time: seconds
    since 2000-01-01. account_sequence: ours after it."""

    ledger_index: int
    close_time: int
    fee_base_drops: int
    account_sequence: int
    results: Mapping[str, str]


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """The final word on an order's transaction that no ledger told us.

    result: of the validated transaction, which was missed and must be read anew from `ledger_index`; None:
    it can never be validated, and code (the last preliminary one) says why.
    """

    prepared: PreparedTransaction
    result: str | None
    ledger_index: int | None
    code: str
