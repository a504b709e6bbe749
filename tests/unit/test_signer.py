"""The signer: known vectors, both libraries, whose key it is, and xrpl-py's nature."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xrpl.constants import CryptoAlgorithm
from xrpl.core import binarycodec, keypairs
from xrpl.core.addresscodec import encode_seed
from xrpl.models.transactions import OfferCreate
from xrpl.transaction import sign as xrplpy_sign
from xrpl.wallet import Wallet

from neo_engine.domain.errors import StartupFailure
from neo_engine.ops.secrets import Secret
from neo_engine.xrpl import signer as module
from neo_engine.xrpl.signer import CannotSign, Signer, blob_hash, require_synchronous
from tests.conftest import ROOT

#: Pass phrase "masterpassphrase" (xrpl.org, "Cryptographic Keys", and rippled's own unit tests).
SECP_SEED, SECP_ACCOUNT = "snoPBrXtMeMyMHUVTgbuqAfg1SUTb", "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh"
SECP_PUBLIC = "0330E7FC9D56BB25D6893BA3F317AE5BCF33B3291BD63DB32654A313222F7FD020"
#: xrpl.org, "Cryptographic Keys": the example of wallet_propose with ed25519.
ED_SEED, ED_ACCOUNT = "sEdTM1uX8pu2do5XvTnutH6HsouMaM2", "rG31cLyErnqeVj2eomEjBZtq7PYaupGYzL"
KEYS = {"secp256k1": (SECP_SEED, SECP_ACCOUNT), "ed25519": (ED_SEED, ED_ACCOUNT)}
RLUSD = {
    "currency": "524C555344000000000000000000000000000000",
    "issuer": "rMxCKbEDwqr76QuheSUMdEGf4B9xJ8m5De",
}


def offer(account: str, **fields: Any) -> dict[str, Any]:
    usual = {
        "TransactionType": "OfferCreate",
        "Account": account,
        "TakerGets": "12500000",
        "TakerPays": {**RLUSD, "value": "27.1234567"},
        "Fee": "10",
        "Flags": 0x0008_0000,
        "Sequence": 4_711,
        "LastLedgerSequence": 99_000_004,
        "SourceTag": 20_261_121,
    }
    return {**usual, **fields}


def made(algorithm: str, *, native: bool) -> Signer:
    seed, account = KEYS[algorithm]
    return Signer(Secret(seed), account=account, regular_key=False, native=native)


@pytest.mark.parametrize("algorithm", KEYS)
def test_the_seeds_prefix_tells_the_algorithm(algorithm: str) -> None:
    assert made(algorithm, native=False).algorithm == algorithm
    assert made(algorithm, native=False).address == KEYS[algorithm][1]


def test_the_well_known_seed_has_its_well_known_public_key() -> None:
    blob = made("secp256k1", native=False).sign(offer(SECP_ACCOUNT)).blob
    assert binarycodec.decode(blob)["SigningPubKey"] == SECP_PUBLIC


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("algorithm", KEYS)
def test_blob_and_hash_are_those_of_the_client_library(algorithm: str, native: bool) -> None:
    seed, account = KEYS[algorithm]
    signed = made(algorithm, native=native).sign(offer(account))
    reference = xrplpy_sign(OfferCreate.from_xrpl(offer(account)), Wallet.from_seed(seed))
    assert signed.blob == reference.blob()
    assert signed.tx_hash == reference.get_hash()


@pytest.mark.parametrize("algorithm", KEYS)
@settings(max_examples=15)
@given(drops=st.integers(1, 10**17), sequence=st.integers(0, 2**32 - 1), memo=st.binary(max_size=40))
def test_any_order_is_signed_alike_and_validly_by_both(
    algorithm: str, drops: int, sequence: int, memo: bytes
) -> None:
    _, account = KEYS[algorithm]
    memos = [{"Memo": {"MemoData": memo.hex().upper()}}] if memo else []
    tx_json = offer(account, TakerGets=str(drops), Sequence=sequence, **({"Memos": memos} if memos else {}))
    native, plain = (SIGNERS[algorithm, fast].sign(tx_json) for fast in (True, False))
    assert native == plain
    fields = binarycodec.decode(native.blob)
    message = bytes.fromhex(binarycodec.encode_for_signing(fields))
    assert keypairs.is_valid_message(message, bytes.fromhex(fields["TxnSignature"]), fields["SigningPubKey"])


SIGNERS = {(name, fast): made(name, native=fast) for name in KEYS for fast in (True, False)}


def test_the_hash_is_the_one_that_a_real_server_gave() -> None:
    path = ROOT / "tests" / "data" / "model_submits.jsonl"
    told = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    wire = [one for one in told if "DeliverMax" not in one["tx_json"]]  # that one is a name of the API's
    assert len(wire) > 10
    for one in wire:
        assert blob_hash(binarycodec.encode(one["tx_json"])) == one["hash"]


# whose key


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_key_of_another_account_is_refused_unless_it_is_a_regular_key(algorithm: str) -> None:
    seed, account = KEYS[algorithm]
    other = next(address for _, address in KEYS.values() if address != account)
    with pytest.raises(StartupFailure, match=f"{account}, live.account is {other}.*live.regular_key"):
        Signer(Secret(seed), account=other, regular_key=False)
    signer = Signer(Secret(seed), account=other, regular_key=True)
    assert (signer.address, signer.account) == (account, other)
    fields = binarycodec.decode(signer.sign(offer(other)).blob)
    assert fields["Account"] == other
    assert keypairs.derive_classic_address(fields["SigningPubKey"]) == account


def test_one_seed_in_both_encodings_gives_two_accounts_and_is_never_guessed() -> None:
    entropy = bytes(range(16))
    addresses = set()
    for algorithm in CryptoAlgorithm:
        seed = str(encode_seed(entropy, algorithm))
        addresses.add(Signer(Secret(seed), account=SECP_ACCOUNT, regular_key=True).address)
    assert len(addresses) == 2


@pytest.mark.parametrize("seed", ["", "s", SECP_SEED[:-1], SECP_SEED[:-1] + "c", SECP_ACCOUNT, "säed"])
def test_what_is_no_seed_is_refused_without_being_repeated(seed: str) -> None:
    with pytest.raises(StartupFailure, match="no seed") as caught:
        Signer(Secret(seed), account=SECP_ACCOUNT, regular_key=False)
    assert len(seed) < 2 or seed not in str(caught.value)


# what is signed


def test_nothing_of_another_account_is_signed() -> None:
    with pytest.raises(CannotSign, match=ED_ACCOUNT):
        made("secp256k1", native=True).sign(offer(ED_ACCOUNT))


@pytest.mark.parametrize(
    "fields", [{"TakerPays": "many"}, {"Fee": "-1"}, {"TakerGets": 1.5}, {"TransactionType": "Nothing"}]
)
def test_a_transaction_without_a_wire_form_is_an_error_that_names_it(fields: dict[str, Any]) -> None:
    with pytest.raises(CannotSign, match="no wire form"):
        made("secp256k1", native=True).sign(offer(SECP_ACCOUNT, **fields))


def test_the_transaction_given_is_left_as_it_was() -> None:
    tx_json = offer(SECP_ACCOUNT)
    made("secp256k1", native=True).sign(tx_json)
    assert tx_json == offer(SECP_ACCOUNT)


# libraries


@pytest.mark.parametrize("algorithm", KEYS)
def test_without_the_native_package_the_client_library_signs(
    algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = {
        "secp256k1": "coincurve",
        "ed25519": "cryptography.hazmat.primitives.asymmetric.ed25519",
    }[algorithm]
    monkeypatch.setitem(sys.modules, package, None)
    without = made(algorithm, native=True)
    account = KEYS[algorithm][1]
    assert not without.native
    assert SIGNERS[algorithm, True].native
    assert without.sign(offer(account)) == SIGNERS[algorithm, True].sign(offer(account))


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_native_package_that_signs_other_bytes_keeps_the_engine_from_starting(
    algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_native", lambda _keys: lambda _message: b"\x30" * 64)
    with pytest.raises(StartupFailure, match=rf"{module.NATIVE_PACKAGES[algorithm]} signs other bytes"):
        made(algorithm, native=True)


def test_every_function_used_of_the_client_library_is_a_plain_one_today() -> None:
    require_synchronous()


@pytest.mark.parametrize("name", sorted(module.USED))
def test_a_function_that_became_a_coroutine_is_an_error_and_a_refused_start(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def changed() -> None:
        await asyncio.sleep(0)

    with (
        caplog.at_level(logging.ERROR, logger="neo_engine"),
        pytest.raises(StartupFailure, match=name.replace(".", r"\.")),
    ):
        require_synchronous({**module.USED, name: changed})
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert name in caplog.text


def test_a_signer_asks_for_the_nature_of_the_library_before_it_touches_a_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> None:
        raise StartupFailure("asked")

    monkeypatch.setattr(module, "require_synchronous", refuse)
    with pytest.raises(StartupFailure, match="asked"):
        made("secp256k1", native=True)


def test_a_signer_shows_whose_it_is_and_no_key() -> None:
    signer = made("secp256k1", native=True)
    private = keypairs.derive_keypair(SECP_SEED)[1]
    for shown in (repr(signer), str(signer), repr(signer._keys)):
        assert SECP_ACCOUNT in shown
        assert private[2:] not in shown
