"""The native check of signatures and the other one agree on what is good."""

from __future__ import annotations

import pytest
from xrpl.constants import CryptoAlgorithm
from xrpl.core.addresscodec import encode_seed

from neo_engine.simulator.server import signing

SEEDS = {algorithm.value: str(encode_seed(b"a test's own key", algorithm)) for algorithm in CryptoAlgorithm}


def signed(algorithm: str) -> dict[str, object]:
    seed = SEEDS[algorithm]
    payment = {
        "TransactionType": "Payment",
        "Account": signing.address_of(seed),
        "Destination": "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh",
        "Amount": "1000000",
        "Fee": "10",
        "Sequence": 5,
    }
    return signing.sign(payment, seed)


@pytest.mark.parametrize("algorithm", SEEDS)
def test_a_good_signature_is_taken(algorithm: str) -> None:
    signing.check_signature(signed(algorithm))


@pytest.mark.parametrize("algorithm", SEEDS)
@pytest.mark.parametrize("field", ["Sequence", "TxnSignature", "SigningPubKey"])
def test_what_was_not_signed_so_is_refused(algorithm: str, field: str) -> None:
    tx = signed(algorithm)
    text = str(tx[field])
    other = {"0": "1"}.get(text[-1], "0")
    tx[field] = 6 if field == "Sequence" else text[:-1] + other
    with pytest.raises(signing.BadTransaction, match="Invalid signature"):
        signing.check_signature(tx)


def test_a_text_that_is_no_seed_has_no_address() -> None:
    with pytest.raises(signing.BadTransaction, match="is no seed"):
        signing.address_of("nonsense")
