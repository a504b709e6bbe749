"""Session report and live view: what a session did, read from its database, and what it is doing now."""
