"""Signs transactions: xrpl-py's codec and keys, a native signature where the optional packages are there.

Theory (rippled STTx.cpp, HashPrefix.h; RFC 6979, RFC 8032). What is signed is the transaction without its
signature under the prefix STX; the hash is taken over all of it under TXN. Both kinds of signature are
functions of key and message alone, so a native library must give the very bytes that xrpl-py gives, and
its first signature is compared before any other is made.

1. The seed's own prefix tells the algorithm (sEd...: ed25519, s...: secp256k1), never a default.
2. A key signs for its own account only, unless the configuration says that it is a regular key.
3. No text, exception or traceback of this module holds seed or private key: an error of a foreign library
   is dropped, not chained, since its frames hold the key.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
from xrpl.constants import CryptoAlgorithm, XRPLException
from xrpl.core import addresscodec, binarycodec, keypairs
from xrpl.models.transactions.transaction import Transaction

from neo_engine.domain.errors import NeoError, StartupFailure
from neo_engine.event_log import say

Json = Mapping[str, Any]
Sign = Callable[[bytes], bytes]
SECP256K1, ED25519 = "secp256k1", "ed25519"
NATIVE_PACKAGES = {SECP256K1: "coincurve", ED25519: "cryptography"}
_TX_PREFIX = b"TXN\0"  # rippled HashPrefix.h, transactionID
_HASH_BYTES = 32  # half of SHA-512
_SIGN_PREFIX = b"STX\0".hex().upper()  # before what is signed (HashPrefix.h, txSign), not part of the blob
_SIGNING_PUB_KEY, _TXN_SIGNATURE = "73", "74"  # field codes: type 7 (bytes), fields 3 and 4
_SHORT_FIELD_MAX = 192  # bytes whose length takes one byte
#: Every function of xrpl-py that the engine calls and whose result it uses at once.
USED: Mapping[str, object] = {
    "addresscodec.decode_seed": addresscodec.decode_seed,
    "binarycodec.decode": binarycodec.decode,
    "binarycodec.encode": binarycodec.encode,
    "binarycodec.encode_for_signing": binarycodec.encode_for_signing,
    "keypairs.derive_classic_address": keypairs.derive_classic_address,
    "keypairs.derive_keypair": keypairs.derive_keypair,
    "keypairs.sign": keypairs.sign,
    "Transaction.from_xrpl": Transaction.from_xrpl,
    "Transaction.get_hash": Transaction.get_hash,
}
#: What a codec or key library raises for data it cannot make sense of.
_LIBRARY_ERRORS = (XRPLException, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)


class CannotSign(NeoError):
    """A transaction that has no wire form, or is another account's."""


class Seed(Protocol):
    """Whatever holds a seed and gives it away when asked."""

    def reveal(self) -> str:
        """Return the seed in base58."""


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction ready to be sent. blob and tx_hash: upper-case hex."""

    blob: str
    tx_hash: str


class _Keys(msgspec.Struct, frozen=True, kw_only=True):
    """A pair of keys in xrpl-py's form, hex with a leading byte that tells the algorithm."""

    algorithm: str
    public: str
    private: str
    address: str

    def __repr__(self) -> str:
        return f"_Keys({self.address})"


def require_synchronous(functions: Mapping[str, object] = USED) -> None:
    """Raise StartupFailure, and log ERROR, if a function became a coroutine: its result would be unused."""
    changed = sorted(name for name, function in functions.items() if inspect.iscoroutinefunction(function))
    if changed:
        text = (
            f"xrpl-py: {', '.join(changed)} must be awaited in the installed version, the engine calls it "
            "plainly; install the version that requirements.lock names"
        )
        say.error("library_changed", "{}", text)
        raise StartupFailure(text)


def blob_hash(blob: str) -> str:
    """Return the hash of a transaction's blob (hex): the first half of SHA-512 under its prefix."""
    return hashlib.sha512(_TX_PREFIX + bytes.fromhex(blob)).digest()[:_HASH_BYTES].hex().upper()


def unsigned(blob: str) -> dict[str, Any]:
    """Return a signed transaction (hex) without what its signature added, as `simulate` takes it."""
    decoded: dict[str, Any] = binarycodec.decode(blob)
    return {name: value for name, value in decoded.items() if name not in ("TxnSignature", "SigningPubKey")}


class Signer:
    """Signs for one account. address: of the key; native: whether the fast library is in use."""

    # Until they are known: a crash dump shows a half-made signer too.
    account = address = algorithm = ""
    native = False

    def __init__(self, seed: Seed, *, account: str, regular_key: bool, native: bool = True) -> None:
        """Derive the keys and prove both libraries against each other.

        native: False leaves the optional package alone. Raises StartupFailure for a seed that is none or
        another account's, and for libraries that disagree.
        """
        require_synchronous()
        self._keys = _derive(seed)
        self.account = account
        self.address = self._keys.address
        self.algorithm = self._keys.algorithm
        if not regular_key and self.address != account:
            raise StartupFailure(
                f"the key is that of {self.address}, live.account is {account}; give this account's seed, or "
                "set live.regular_key to true if that is its regular key"
            )
        plain = _plain(self._keys)
        fast = _native(self._keys) if native else None
        self.native = fast is not None
        self._sign: Sign = fast or plain
        self._check(plain)

    def __repr__(self) -> str:
        return f"Signer({self.address} for {self.account}, {self.algorithm}, native={self.native})"

    def sign(self, tx_json: Json) -> Signed:
        """Return the transaction with key and signature, in wire form, and its hash.

        tx_json: complete but for SigningPubKey and TxnSignature. Raises CannotSign.
        """
        if tx_json.get("Account") != self.account:
            raise CannotSign(
                f"transaction of {tx_json.get('Account')}: this key signs for {self.account} only"
            )
        fields = {**tx_json, "SigningPubKey": self._keys.public}
        fault = ""
        blob = ""
        try:
            unsigned_hex = binarycodec.encode_for_signing(fields)
            signature = self._sign(bytes.fromhex(unsigned_hex))
            blob = _with_signature(unsigned_hex, self._keys.public, signature)
        except _LIBRARY_ERRORS as error:
            fault = f"{type(error).__name__}: {error}"
        if fault:  # outside of the handler, so that nothing is chained
            raise CannotSign(
                f"{tx_json.get('TransactionType')}: no wire form ({fault}); a field is malformed"
            )
        return Signed(blob=blob, tx_hash=blob_hash(blob))

    def _check(self, plain: Sign) -> None:
        """Sign a transaction that no ledger takes (its LastLedgerSequence is 1) and compare both ways."""
        probe = {
            "TransactionType": "AccountSet",
            "Account": self.account,
            "Fee": "10",
            "Sequence": 1,
            "LastLedgerSequence": 1,
            "Flags": 0,
        }
        signed = self.sign(probe)
        fields = {**probe, "SigningPubKey": self._keys.public}
        message = bytes.fromhex(binarycodec.encode_for_signing(fields))
        fields["TxnSignature"] = plain(message).hex().upper()
        if not hmac.compare_digest(signed.blob, str(binarycodec.encode(fields))):
            raise StartupFailure(
                f"{NATIVE_PACKAGES[self.algorithm]} signs other bytes than xrpl-py; install the version that "
                "the extra fast-sign names, or remove it"
            )
        if Transaction.from_xrpl(fields).get_hash() != signed.tx_hash:
            raise StartupFailure("xrpl-py hashes a transaction differently; install the locked version")


def _with_signature(message: str, public: str, signature: bytes) -> str:
    """Return the blob of what was signed (hex): the same fields, and the signature behind the key.

    Fields stand in the order of their codes, and no field's code lies between these two. Encoding all of
    them a second time would take as long as everything else together.
    """
    key = f"{_SIGNING_PUB_KEY}{len(public) // 2:02X}{public}"
    before, found, behind = message.removeprefix(_SIGN_PREFIX).partition(key)
    if not found or len(signature) > _SHORT_FIELD_MAX:
        raise ValueError("the signature has no place in the transaction")
    return f"{before}{key}{_TXN_SIGNATURE}{len(signature):02X}{signature.hex().upper()}{behind}"


def _derive(seed: Seed) -> _Keys:
    keys = None
    try:
        _, algorithm = addresscodec.decode_seed(seed.reveal())
        public, private = keypairs.derive_keypair(seed.reveal(), algorithm=algorithm)
        keys = _Keys(
            algorithm=ED25519 if algorithm is CryptoAlgorithm.ED25519 else SECP256K1,
            public=public,
            private=private,
            address=str(keypairs.derive_classic_address(public)),
        )
    except _LIBRARY_ERRORS as error:
        say.debug("key_not_derived", "the key cannot be derived: {}", type(error).__name__)
    if keys is None:
        raise StartupFailure(
            "the key is no seed (s... or sEd..., base58 with its checksum); copy it anew to live.key_source"
        )
    return keys


def _plain(keys: _Keys) -> Sign:
    return lambda message: bytes.fromhex(keypairs.sign(message, keys.private))


def _native(keys: _Keys) -> Sign | None:
    """Return the native signature of these keys, None where its package is not installed."""
    try:
        if keys.algorithm == SECP256K1:
            return _coincurve(keys)
        return _cryptography(keys)
    except ImportError as error:
        say.info(
            "native_signing_off",
            "native signing is off: {}; docs/live.md tells what to install for it",
            error,
        )
        return None


def _coincurve(keys: _Keys) -> Sign:
    coincurve = importlib.import_module("coincurve")
    key = coincurve.PrivateKey(bytes.fromhex(keys.private)[-32:])

    def sign(message: bytes) -> bytes:
        half = hashlib.sha512(message).digest()[:_HASH_BYTES]
        signature: bytes = key.sign(half, hasher=None)
        return signature

    return sign


def _cryptography(keys: _Keys) -> Sign:
    ed25519 = importlib.import_module("cryptography.hazmat.primitives.asymmetric.ed25519")
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(keys.private)[-32:])

    def sign(message: bytes) -> bytes:
        signature: bytes = key.sign(message)
        return signature

    return sign
