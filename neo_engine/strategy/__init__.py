"""STRATEGY ENGINE: a market and an inventory in, the quotes we want out, and why. Pure.

Reading order: anchor, volatility, intensity, spread, glft, gates, rounding, ladder, engine.
"""
