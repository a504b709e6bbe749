"""Signatures, hashes and the wire form of transactions, by xrpl-py's own codec and keys.

Theory (rippled STTx.cpp, `checkSign`; Transactor.cpp, `checkSingleSign`). A transaction's hash covers its
whole blob, the signature everything but itself. A good signature says only that the key's owner signed;
whether that key may speak for the account is told by the account's entry: the master key unless it is
disabled, or the regular key.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from typing import Any

from xrpl.constants import XRPLException
from xrpl.core import binarycodec, keypairs

from neo_engine.domain.errors import NeoError
from neo_engine.simulator.model import keys
from neo_engine.simulator.model.lines import DISABLE_MASTER
from neo_engine.simulator.model.results import SUCCESS
from neo_engine.simulator.model.state import State
from neo_engine.simulator.model.tx import Tx

BAD_SIGNATURE = "fails local checks: Invalid signature."
_ED25519 = "ED"  # the first byte of such a public key, in hex
_TX_PREFIX = b"TXN\0"  # rippled HashPrefix.h, transactionID
#: What a foreign codec or key library raises for data it cannot make sense of.
CODEC_ERRORS = (
    XRPLException,
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    AttributeError,
    OverflowError,
    AssertionError,  # a key that is no point of its curve
)


class BadTransaction(NeoError):
    """A transaction that no server takes on. The text is the reply's `error_exception`."""


def blob_hash(blob: str) -> str:
    """Return the hash of a transaction's blob (hex)."""
    return keys.half(_TX_PREFIX + bytes.fromhex(blob)).hex().upper()


def encode(tx_json: Mapping[str, Any]) -> str:
    """Return the blob of a transaction in either API version's form. Raises BadTransaction."""
    fields = {name: value for name, value in tx_json.items() if name != "hash"}
    if "DeliverMax" in fields:
        fields["Amount"] = fields.pop("DeliverMax")
    try:
        return str(binarycodec.encode(fields))
    except CODEC_ERRORS as error:
        raise BadTransaction(f"transaction: cannot be encoded: {error}") from error


def hash_of(tx_json: Mapping[str, Any]) -> str:
    """Return the hash that a server gives a transaction. Raises BadTransaction."""
    return blob_hash(encode(tx_json))


def make_tx(tx_json: Mapping[str, Any], tx_hash: str) -> Tx:
    """Return the model's transaction; its JSON gets API version 2's names.

    Raises BadNumber for an impossible amount or account, KeyError without a required field.
    """
    fields = {name: value for name, value in tx_json.items() if name != "hash"}
    if fields.get("TransactionType") == "Payment" and "Amount" in fields:
        fields["DeliverMax"] = fields.pop("Amount")
    return Tx(fields, tx_hash)


def check_signature(tx_json: Mapping[str, Any]) -> None:
    """Raise BadTransaction unless the signature is the given key's over this transaction."""
    fields = dict(tx_json)
    if "DeliverMax" in fields:
        fields["Amount"] = fields.pop("DeliverMax")
    try:
        signed = bytes.fromhex(binarycodec.encode_for_signing(fields))
        signature = bytes.fromhex(fields["TxnSignature"])
        good = _good(signed, signature, fields["SigningPubKey"])
    except CODEC_ERRORS as error:
        raise BadTransaction(BAD_SIGNATURE) from error
    if not good:
        raise BadTransaction(BAD_SIGNATURE)


def _good(signed: bytes, signature: bytes, public: str) -> bool:
    """Return whether a signature is the key's; what the quick library does not take, the other one judges."""
    library = _quick()
    if library is not None and not public.upper().startswith(_ED25519):
        try:
            if library.PublicKey(bytes.fromhex(public)).verify(signature, keys.half(signed), hasher=None):
                return True
        except ValueError:
            return bool(keypairs.is_valid_message(signed, signature, public))
    return bool(keypairs.is_valid_message(signed, signature, public))


@cache
def _quick() -> Any:
    """Return the native library for secp256k1 (extra `fast-sign`), None where it is not installed."""
    try:
        return importlib.import_module("coincurve")
    except ImportError:
        return None


def authority(state: State, tx_json: Mapping[str, Any]) -> str:
    """Return tesSUCCESS if the signing key may speak for the account in `state`, else the result."""
    account = tx_json["Account"]
    root = state.entries.get(keys.account_root(account))
    if root is None:
        return "terNO_ACCOUNT"
    try:
        signer = keypairs.derive_classic_address(tx_json["SigningPubKey"])
    except CODEC_ERRORS:
        return "tefBAD_AUTH"
    if signer == root.get("RegularKey"):
        return SUCCESS
    if signer != account:
        return "tefBAD_AUTH"
    return "tefMASTER_DISABLED" if root.get("Flags", 0) & DISABLE_MASTER else SUCCESS


def sign(tx_json: Mapping[str, Any], seed: str) -> dict[str, Any]:
    """Return the transaction with key and signature, for `submit` with a secret.

    Raises BadTransaction for a seed that is none or a transaction that has no wire form.
    """
    fields = {name: value for name, value in tx_json.items() if name != "hash"}
    if "DeliverMax" in fields:
        fields["Amount"] = fields.pop("DeliverMax")
    try:
        public, private = keypairs.derive_keypair(seed)
        fields["SigningPubKey"] = public
        message = bytes.fromhex(binarycodec.encode_for_signing(fields))
        fields["TxnSignature"] = keypairs.sign(message, private)
    except CODEC_ERRORS as error:
        raise BadTransaction(f"secret: cannot sign with it: {error}") from error
    return fields


def address_of(seed: str) -> str:
    """Return the address of a seed's key. Raises BadTransaction for a seed that is none."""
    try:
        public, _private = keypairs.derive_keypair(seed)
        return str(keypairs.derive_classic_address(public))
    except CODEC_ERRORS as error:
        raise BadTransaction(f"secret: is no seed: {error}") from error
