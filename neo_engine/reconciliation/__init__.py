"""RECONCILER: local orders and balances against the ledger's word."""

from neo_engine.reconciliation.reconciler import Reconciliation, VenueTruth, halt_of, reconcile

__all__ = ["Reconciliation", "VenueTruth", "halt_of", "reconcile"]
