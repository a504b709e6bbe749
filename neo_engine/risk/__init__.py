"""RISK GATE: approval of quotes, monitors that pull or halt, and their memory."""

from neo_engine.risk.gate import ApprovalContext, Approved, Refused, approve, approve_all
from neo_engine.risk.monitors import assess, drawdown_of, minimum_peak
from neo_engine.risk.state import RiskAssessment, RiskObservation, RiskState, initial_state

__all__ = [
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
    "minimum_peak",
]
