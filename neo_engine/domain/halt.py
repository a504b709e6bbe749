"""Why a session ended: the single source of truth for halt reasons and their exit codes."""

from __future__ import annotations

from enum import Enum

import msgspec


class HaltReason(Enum):
    """The class of a session's end. Numbers and texts go to `halt.detail`, never in here."""

    DURATION_ELAPSED = "duration_elapsed"
    RECORDING_ENDED = "recording_ended"
    ENGINE_REQUESTED_HALT = "engine_requested_halt"
    RISK_XRP_EXPOSURE = "risk_xrp_exposure"
    RISK_RLUSD_EXPOSURE = "risk_rlusd_exposure"
    RISK_RPC_FAILURE = "risk_rpc_failure"
    RISK_STALE_LEDGER = "risk_stale_ledger"
    RISK_GATEWAY_UNHEALTHY = "risk_gateway_unhealthy"
    RISK_MAX_LOSS = "risk_max_loss"
    RISK_MAX_DRAWDOWN = "risk_max_drawdown"
    KILL_SWITCH = "kill_switch"
    RECONCILER_HALT = "reconciler_halt"
    SUBMISSION_REFUSED = "submission_refused"
    STATE_FAILURE = "state_failure"
    INTERRUPTED_SIGINT = "interrupted_sigint"
    INTERRUPTED_SIGTERM = "interrupted_sigterm"
    INTERRUPTED_SIGBREAK = "interrupted_sigbreak"
    STARTUP_FAILURE = "startup_failure"
    UNEXPECTED_HALT = "unexpected_halt"


MEANING: dict[HaltReason, str] = {
    HaltReason.DURATION_ELAPSED: "the timed session ran to its end",
    HaltReason.RECORDING_ENDED: "the recording had no further ledger",
    HaltReason.ENGINE_REQUESTED_HALT: "a tick asked to stop",
    HaltReason.RISK_XRP_EXPOSURE: "XRP held above risk.max_xrp_exposure",
    HaltReason.RISK_RLUSD_EXPOSURE: "RLUSD held above risk.max_rlusd_exposure",
    HaltReason.RISK_RPC_FAILURE: "too many feed or request failures in a row",
    HaltReason.RISK_STALE_LEDGER: "no validated ledger for too long",
    HaltReason.RISK_GATEWAY_UNHEALTHY: "the server said it is not healthy for too long",
    HaltReason.RISK_MAX_LOSS: "P&L of the session or of the UTC day below its limit",
    HaltReason.RISK_MAX_DRAWDOWN: "drawdown above risk.max_drawdown_pct",
    HaltReason.KILL_SWITCH: "the operator or a monitor pulled the kill switch",
    HaltReason.RECONCILER_HALT: "our orders or balances do not agree with the ledger",
    HaltReason.SUBMISSION_REFUSED: "key or network are refused, or another program sends for the account",
    HaltReason.STATE_FAILURE: "the database could not be written",
    HaltReason.INTERRUPTED_SIGINT: "Ctrl-C",
    HaltReason.INTERRUPTED_SIGTERM: "asked to end by the system (SIGTERM)",
    HaltReason.INTERRUPTED_SIGBREAK: "Ctrl-Break (Windows)",
    HaltReason.STARTUP_FAILURE: "balances or offers could not be read at start",
    HaltReason.UNEXPECTED_HALT: "a crash or a defect; should never appear",
}

EXIT_OK = 0
EXIT_UNEXPECTED = 1
EXIT_USAGE = 2
EXIT_STARTUP = 3
EXIT_HALTED = 4
EXIT_SIGINT = 130
EXIT_SIGTERM = 143

_EXIT: dict[HaltReason, int] = {
    HaltReason.DURATION_ELAPSED: EXIT_OK,
    HaltReason.RECORDING_ENDED: EXIT_OK,
    HaltReason.INTERRUPTED_SIGINT: EXIT_SIGINT,
    HaltReason.INTERRUPTED_SIGBREAK: EXIT_SIGINT,
    HaltReason.INTERRUPTED_SIGTERM: EXIT_SIGTERM,
    HaltReason.STARTUP_FAILURE: EXIT_STARTUP,
    HaltReason.UNEXPECTED_HALT: EXIT_UNEXPECTED,
}


def exit_code(reason: HaltReason) -> int:
    """Return the process exit code of a session that ended for `reason` (4 unless said otherwise)."""
    return _EXIT.get(reason, EXIT_HALTED)


class Halt(msgspec.Struct, frozen=True, kw_only=True):
    """A typed reason with its free text, e.g. the numbers that crossed a limit."""

    reason: HaltReason
    detail: str
