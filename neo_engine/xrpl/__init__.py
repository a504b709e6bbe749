"""The edge to the XRP Ledger: its message shapes, and what they mean in the domain's words."""
