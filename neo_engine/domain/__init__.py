"""Pure values and functions: no I/O, clock, randomness, logging or ledger client.

Reading order: errors, number, assets, book, amm, matching, market, orders, fills, halt.
"""
