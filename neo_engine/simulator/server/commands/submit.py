"""submit and simulate (rippled Submit.cpp, Simulate.cpp, TransactionSign.cpp).

A signed blob is decoded, checked to be what its own fields encode to, and handed to the network, which
looks at the signature and runs it. Without a blob the server signs for the caller if he gives a secret;
every reply to that says that it is deprecated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xrpl.constants import CryptoAlgorithm
from xrpl.core.addresscodec import encode_seed
from xrpl.core.keypairs import derive_classic_address, derive_keypair

from neo_engine.domain.errors import BadNumber
from neo_engine.simulator.model import keys
from neo_engine.simulator.model.registry import HANDLERS
from neo_engine.simulator.model.results import SUCCESS
from neo_engine.simulator.server.call import Call
from neo_engine.simulator.server.commands.arguments import is_address, text_of
from neo_engine.simulator.server.commands.selection import account_root, open_ledger, rules_of
from neo_engine.simulator.server.errors import (
    RpcError,
    expected_field,
    invalid_field,
    invalid_params,
    missing_field,
)
from neo_engine.simulator.server.formats import (
    CODEC_FAULTS,
    Json,
    meta_blob,
    tx_blob,
    tx_fields,
    tx_json,
    tx_of_blob,
)
from neo_engine.simulator.server.signing import BadTransaction, blob_hash, make_tx, sign

TX_BYTES_MIN, TX_BYTES_MAX = 32, 1_048_576  # rippled Protocol.h
DEPRECATED = (
    "Signing support in the 'submit' command has been deprecated and will be removed in a future version "
    "of the server. Please migrate to a standalone signing tool."
)
WOULD_APPLY = "The simulated transaction would have been applied."
_SECRETS = ("passphrase", "secret", "seed", "seed_hex")
_SEED_BYTES = 16
#: What a transaction must have (rippled transactions.macro); of every type, and of those the model has.
_COMMON = ("Account", "Fee", "Sequence", "SigningPubKey")
_REQUIRED: dict[str, tuple[str, ...]] = {
    "AMMCreate": ("Amount", "Amount2", "TradingFee"),
    "AMMDeposit": ("Asset", "Asset2"),
    "AMMVote": ("Asset", "Asset2", "TradingFee"),
    "AMMWithdraw": ("Asset", "Asset2"),
    "Clawback": ("Amount",),
    "OfferCancel": ("OfferSequence",),
    "OfferCreate": ("TakerGets", "TakerPays"),
    "Payment": ("Amount", "Destination"),
    "TicketCreate": ("TicketCount",),
    "TrustSet": ("LimitAmount",),
}


def _invalid(reason: str) -> RpcError:
    return RpcError("invalidTransaction", fields={"error_exception": reason})


def _unhexed(text: str) -> bytes:
    """Return the bytes of a blob's hex, none for what is no hex."""
    try:
        return bytes.fromhex(text) if text.isascii() and " " not in text else b""
    except ValueError:
        return b""


def _check_shape(json: Mapping[str, Any], blob: str) -> None:
    """Raise RpcError unless the model can run the transaction: its fields are there and mean something."""
    kind = json.get("TransactionType")
    if not isinstance(kind, str):
        raise _invalid("Invalid transaction type")
    for name in (*_COMMON, *_REQUIRED.get(kind, ())):
        if name not in json:
            raise _invalid(f"Field '{name}' is required but missing.")
    try:
        make_tx(json, blob_hash(blob))
    except (BadNumber, KeyError) as error:
        raise _invalid(f"Invalid transaction: {error}") from error


def submit(call: Call) -> Json:
    """Take in a signed transaction, or sign one and take it in. Raises RpcError."""
    if "tx_blob" not in call.params:
        return _sign_and_submit(call)
    raw = _unhexed(text_of(call.params["tx_blob"]))
    if not raw:
        raise RpcError("invalidParams")
    if not TX_BYTES_MIN <= len(raw) <= TX_BYTES_MAX:
        raise _invalid("Transaction length invalid")
    blob = raw.hex().upper()
    try:
        json = tx_of_blob(blob)
        again = tx_blob(json)
    except CODEC_FAULTS as error:
        raise _invalid(f"Unknown field or malformed value: {error}") from error
    if again != blob:
        raise _invalid("Transaction is not in its canonical form")
    _check_shape(json, blob)
    result = _submitted(call, json, blob)
    result["tx_blob"] = blob
    result["tx_json"] = {**json, "hash": blob_hash(blob)}
    return result


def _submitted(call: Call, json: Json, blob: str) -> Json:
    return dict(call.network.submit(json, blob, fail_hard=bool(call.params.get("fail_hard"))))


def _sign_and_submit(call: Call) -> Json:
    try:
        return {**_signed(call), "deprecated": DEPRECATED}
    except RpcError as error:
        error.fields["deprecated"] = DEPRECATED
        raise


def _signed(call: Call) -> Json:
    if not call.admin:
        raise RpcError("notSupported", "Signing is not supported by this server.")
    seed = _seed(call.params)
    json = _tx_param(call, "tx_json")
    account = json["Account"]
    root = account_root(open_ledger(call.network), account)
    if root is None:
        raise RpcError("srcActNotFound")
    _autofill(call, json)
    try:
        public, _ = derive_keypair(seed)
        if derive_classic_address(public) not in (account, root.get("RegularKey")):
            raise RpcError("badSecret")
        signed = sign(json, seed)
        blob = tx_blob(signed)
        signed = tx_of_blob(blob)
    except BadTransaction as error:
        raise invalid_params(str(error)) from error
    except CODEC_FAULTS as error:
        raise invalid_params(f"Field 'tx_json' has invalid data: {error}") from error
    _check_shape(signed, blob)
    result = _submitted(call, signed, blob)
    told: Json = {name: value for name, value in result.items() if name.startswith("engine_result")}
    tx_hash = blob_hash(blob)
    told["tx_blob"] = blob
    told["tx_json"] = tx_json(signed, call.api_version)
    if call.api_version > 1:
        return {**told, "hash": tx_hash}
    told["tx_json"]["hash"] = tx_hash
    return told


def _seed(params: Mapping[str, Any]) -> str:
    """Return the seed in a request's secret. Raises RpcError for none, several or a bad one."""
    given = [name for name in _SECRETS if name in params]
    if not given:
        raise missing_field("secret")
    if len(given) > 1:
        raise invalid_params(
            "Exactly one of the following must be specified: passphrase, secret, seed or seed_hex"
        )
    name = given[0]
    value = params[name]
    kind = params.get("key_type", "secp256k1")
    if not isinstance(kind, str):
        raise expected_field("key_type", "string")
    if kind not in ("secp256k1", "ed25519"):
        raise RpcError("badKeyType")
    if "key_type" in params and name == "secret":
        raise invalid_params("The secret field is not allowed if key_type is used.")
    if not isinstance(value, str) or not value:
        raise expected_field(name, "string") if not isinstance(value, str) else RpcError("badSeed")
    algorithm = CryptoAlgorithm.ED25519 if kind == "ed25519" else CryptoAlgorithm.SECP256K1
    try:
        if name == "seed_hex":
            return str(encode_seed(bytes.fromhex(value), algorithm))
        if name != "passphrase":
            derive_keypair(value)
            return value
    except CODEC_FAULTS as error:
        if name != "secret":
            raise RpcError("badSeed", f"Invalid field '{name}'.") from error
    return str(encode_seed(keys.half(value.encode("utf-8"))[:_SEED_BYTES], algorithm))


def _tx_param(call: Call, prefix: str) -> Json:
    """Return a copy of tx_json with a type and an account that is an address. Raises RpcError."""
    if "tx_json" not in call.params:
        raise missing_field("tx_json")
    given = call.params["tx_json"]
    if not isinstance(given, dict):
        raise expected_field("tx_json", "object")
    return _checked_tx(given, prefix)


def _checked_tx(given: Json, prefix: str) -> Json:
    for name in ("TransactionType", "Account"):
        if name not in given:
            raise missing_field(f"{prefix}.{name}")
    if not isinstance(given["TransactionType"], str):
        raise invalid_field(f"{prefix}.TransactionType")
    if not isinstance(given["Account"], str):
        raise invalid_field(f"{prefix}.Account")
    if not is_address(given["Account"]):
        raise RpcError("srcActMalformed", f"Invalid field '{prefix}.Account'.")
    return tx_fields(given)


def _autofill(call: Call, json: Json) -> None:
    """Fill in Fee, Sequence and NetworkID where they are missing. Raises RpcError without an account."""
    network = call.network
    ledger = open_ledger(network)
    if "Fee" not in json:
        rules = rules_of(ledger, network)
        handler = HANDLERS.get(json["TransactionType"])
        units = 1 if handler is None else handler.fee_units
        least = rules.owner_reserve if units is None else units * rules.base_fee
        asked = int(network.fee_report()["drops"]["open_ledger_fee"])
        json["Fee"] = str(max(least, asked))
    if "Sequence" not in json:
        root = account_root(ledger, json["Account"])
        if "TicketSequence" in json:
            json["Sequence"] = 0
        elif root is None:
            raise RpcError("srcActNotFound")
        else:
            queued = [one["seq"] for one in network.queue_of(json["Account"]) if "seq" in one]
            json["Sequence"] = max([root["Sequence"], *(number + 1 for number in queued)])
    if "NetworkID" not in json and network.network_id > 1024:
        json["NetworkID"] = network.network_id


def simulate(call: Call) -> Json:
    """Return what a transaction would do to the open ledger. Raises RpcError."""
    params = call.params
    for name in _SECRETS:
        if name in params:
            raise invalid_field(name)
    if not isinstance(params.get("binary", False), bool):
        raise invalid_field("binary")
    json = _simulated_tx(params)
    _check_unsigned(json)
    json["SigningPubKey"] = json.get("SigningPubKey", "")
    _autofill(call, json)
    json["TxnSignature"] = ""
    if json["TransactionType"] == "Batch":
        raise RpcError("notImpl")
    try:
        blob = tx_blob(json)
        json = tx_of_blob(blob)
    except CODEC_FAULTS as error:
        raise invalid_params("Field 'tx_json' has invalid data.") from error
    _check_shape(json, blob)
    result: Json = {"applied": False, "ledger_index": call.network.open_ledger.index}
    result |= call.network.simulate(json)
    if result.get("engine_result") == SUCCESS:
        result["engine_result_message"] = WOULD_APPLY
    if params.get("binary"):
        return _binary(result, blob, result.pop("meta", None))
    result["tx_json"] = {**json, "hash": blob_hash(blob)}
    return result


def _simulated_tx(params: Mapping[str, Any]) -> Json:
    if "tx_blob" in params and "tx_json" in params:
        raise invalid_params("Can only include one of `tx_blob` and `tx_json`.")
    if "tx_json" in params:
        if not isinstance(params["tx_json"], dict):
            raise expected_field("tx_json", "object")
        return _checked_tx(params["tx_json"], "tx")
    if "tx_blob" not in params:
        raise invalid_params("Neither `tx_blob` nor `tx_json` included.")
    value = params["tx_blob"]
    raw = _unhexed(value) if isinstance(value, str) else b""
    if not raw:
        raise invalid_field("tx_blob")
    try:
        json = tx_of_blob(raw.hex().upper())
    except CODEC_FAULTS as error:
        raise invalid_field("tx_blob") from error
    return _checked_tx(json, "tx")


def _check_unsigned(json: Json) -> None:
    if json.get("TxnSignature"):
        raise RpcError("transactionSigned")
    if "Signers" not in json:
        return
    if not isinstance(json["Signers"], list):
        raise invalid_field("tx.Signers")
    for place, signer in enumerate(json["Signers"]):
        body = signer.get("Signer") if isinstance(signer, dict) else None
        if not isinstance(body, dict):
            raise invalid_field(f"tx.Signers[{place}]")
        if body.get("TxnSignature"):
            raise RpcError("transactionSigned")


def _binary(result: Json, blob: str, meta: Mapping[str, Any] | None) -> Json:
    told = {name: value for name, value in result.items() if name != "tx_json"}
    if meta is not None:
        told["meta_blob"] = meta_blob(meta)
    return {**told, "tx_blob": blob}
