"""The live engine on a model network in one thread, on a simulated clock: see `world`."""
