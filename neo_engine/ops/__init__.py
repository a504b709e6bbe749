"""The machine around the engine: clock, signals, log lines, requests of the operator."""
