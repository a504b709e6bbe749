"""One module a transaction type: what is checked, and what it changes."""
