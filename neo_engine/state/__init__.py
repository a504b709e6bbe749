"""The state manager: what the engine knows, in one SQLite file, whole ticks only."""
