"""Where ledgers come from: a recording, a simulation, or a live server."""
