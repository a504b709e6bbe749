"""RISK GATE: approval of quotes, monitors that warn, pull or halt, their memory, and their aggregate."""

from neo_engine.risk.aggregate import RISK_GATE, STALE_GATE, assess, initial_state
from neo_engine.risk.gate import ApprovalContext, Approved, Refused, approve, approve_all
from neo_engine.risk.monitors.value import (
    MINIMUM_PEAK,
    MINIMUM_PEAK_SHARE,
    drawdown_of,
    least_peak,
    minimum_peak,
)
from neo_engine.risk.state import RiskAssessment, RiskObservation, RiskState

__all__ = [
    "MINIMUM_PEAK",
    "MINIMUM_PEAK_SHARE",
    "RISK_GATE",
    "STALE_GATE",
    "ApprovalContext",
    "Approved",
    "Refused",
    "RiskAssessment",
    "RiskObservation",
    "RiskState",
    "approve",
    "approve_all",
    "assess",
    "drawdown_of",
    "initial_state",
    "least_peak",
    "minimum_peak",
]
