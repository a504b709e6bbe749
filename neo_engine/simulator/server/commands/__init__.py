"""The commands of the API, by name."""

from __future__ import annotations

from collections.abc import Callable

from neo_engine.simulator.server.call import Call
from neo_engine.simulator.server.commands import (
    account_lists,
    account_tx,
    accounts,
    books,
    fault,
    features,
    ledger_entry,
    ledgers,
    pools,
    server,
    submit,
    subscribe,
    tx,
)
from neo_engine.simulator.server.formats import Json

Command = Callable[[Call], Json]

COMMANDS: dict[str, Command] = {
    "account_currencies": accounts.account_currencies,
    "account_info": accounts.account_info,
    "account_lines": account_lists.account_lines,
    "account_objects": account_lists.account_objects,
    "account_offers": account_lists.account_offers,
    "account_tx": account_tx.account_tx,
    "amm_info": pools.amm_info,
    "book_changes": books.book_changes,
    "book_offers": books.book_offers,
    "faucet": server.faucet,
    "fault": fault.fault,
    "feature": features.feature,
    "fee": server.fee,
    "gateway_balances": accounts.gateway_balances,
    "ledger": ledgers.ledger,
    "ledger_accept": server.ledger_accept,
    "ledger_closed": ledgers.ledger_closed,
    "ledger_current": ledgers.ledger_current,
    "ledger_data": ledgers.ledger_data,
    "ledger_entry": ledger_entry.ledger_entry,
    "manifest": server.manifest,
    "ping": server.ping,
    "random": server.random,
    "ripple_path_find": server.ripple_path_find,
    "server_info": server.server_info,
    "server_state": server.server_state,
    "simulate": submit.simulate,
    "submit": submit.submit,
    "subscribe": subscribe.subscribe,
    "tx": tx.tx,
    "unsubscribe": subscribe.unsubscribe,
}

#: Commands only an admin may use.
ADMIN_ONLY = frozenset({"fault", "ledger_accept"})

#: What rippled has and the model has not: answered notSupported, so that nobody takes it for a typing error.
NOT_SUPPORTED = frozenset(
    {
        *("account_channels", "account_nfts", "channel_authorize", "channel_verify", "consensus_info"),
        *("deposit_authorized", "fetch_info", "get_aggregate_price", "get_counts", "ledger_request"),
        *("nft_buy_offers", "nft_sell_offers", "noripple_check", "path_find", "peers", "server_definitions"),
        *("sign", "sign_for", "submit_multisigned", "transaction_entry", "validator_info", "validators"),
        *("vault_info", "version"),
    }
)
