"""Scenarios: what happens on a model network, and what the engine must do then (docs/scenarios.md)."""
