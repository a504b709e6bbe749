-- What anybody took of book and pool in the ledger. NULL: stored before this was noted.
ALTER TABLE market_snapshots ADD COLUMN trades INTEGER;
ALTER TABLE market_snapshots ADD COLUMN traded_xrp_drops INTEGER;
