"""A local server that speaks rippled's API over the model ledger.

Reading order: errors, call, formats, dispatch, commands; then network, streams and app, which hold the
chain, the subscriptions and the sockets.
"""
