"""Agents that trade on the model ledger: makers, takers, an arbitrageur, a liquidity provider, a bank.

Reading order: settings, prices, hands, makers, takers, pool, careless, bank, market.
"""

from __future__ import annotations

from neo_engine.simulator.agents.market import Market, open_market
from neo_engine.simulator.agents.settings import settings_digest

__all__ = ["Market", "open_market", "settings_digest"]
