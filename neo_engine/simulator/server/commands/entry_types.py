"""The kinds of ledger entries and their names in requests (rippled ledger_entries.macro)."""

from __future__ import annotations

from neo_engine.simulator.server.call import Call
from neo_engine.simulator.server.errors import expected_field, invalid_field

#: Name in requests -> LedgerEntryType.
ENTRY_TYPES = {
    "account": "AccountRoot",
    "amendments": "Amendments",
    "amm": "AMM",
    "bridge": "Bridge",
    "check": "Check",
    "credential": "Credential",
    "delegate": "Delegate",
    "deposit_preauth": "DepositPreauth",
    "did": "DID",
    "directory": "DirectoryNode",
    "escrow": "Escrow",
    "fee": "FeeSettings",
    "hashes": "LedgerHashes",
    "mpt_issuance": "MPTokenIssuance",
    "mptoken": "MPToken",
    "nft_offer": "NFTokenOffer",
    "nft_page": "NFTokenPage",
    "nunl": "NegativeUNL",
    "offer": "Offer",
    "oracle": "Oracle",
    "payment_channel": "PayChannel",
    "permissioned_domain": "PermissionedDomain",
    "signer_list": "SignerList",
    "state": "RippleState",
    "ticket": "Ticket",
    "vault": "Vault",
    "xchain_owned_claim_id": "XChainOwnedClaimID",
    "xchain_owned_create_account_claim_id": "XChainOwnedCreateAccountClaimID",
}
#: What stands in the way of deleting an account; by its name in requests.
DELETION_BLOCKERS = {
    name: ENTRY_TYPES[name]
    for name in (
        *("bridge", "check", "escrow", "nft_page", "payment_channel", "state"),
        *("xchain_owned_claim_id", "xchain_owned_create_account_claim_id"),
    )
}
#: What no account owns, so that account_objects refuses it.
NOT_OWNED = frozenset({"Amendments", "DirectoryNode", "FeeSettings", "LedgerHashes", "NegativeUNL"})
_BY_LOWER_NAME = {name.lower(): name for name in ENTRY_TYPES.values()}


def entry_type(call: Call) -> str | None:
    """Return the LedgerEntryType that `type` names, None without one. Raises RpcError for an unknown one."""
    if "type" not in call.params:
        return None
    value = call.params["type"]
    if not isinstance(value, str):
        raise expected_field("type", "string")
    name = ENTRY_TYPES.get(value) or _BY_LOWER_NAME.get(value.lower())
    if name is None:
        raise invalid_field("type")
    return name
