"""The model ledger: entries, transactions and their effects, pure.

Reading order: amounts, fields, keys, state, tx, results, transactor, transactions, ledger.
"""
