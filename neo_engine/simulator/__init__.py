"""A model XRPL ledger, agents that trade on it, and a local server that speaks the real API."""
