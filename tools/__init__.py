"""Small programs that check recordings and the engine against the ledger's own words."""
