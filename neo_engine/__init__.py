"""NEO: a market-making engine for the XRP Ledger's own exchange."""

__version__ = "0.1.0"
