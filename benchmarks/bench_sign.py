"""How long a signed order takes, from fields to blob and hash. Run: python -m benchmarks.bench_sign

Both algorithms, with the native package and with xrpl-py's own signature, and the share of the codec.
Measured on a shared 2-core machine with CPython 3.11, median of an order: native 0.33 ms with either
algorithm, xrpl-py 3.1 ms (secp256k1) and 4.1 ms (ed25519); the codec is 0.32 ms of each, since a transaction
is encoded once: the signature is put into what was signed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

from xrpl.constants import CryptoAlgorithm
from xrpl.core import binarycodec
from xrpl.core.addresscodec import encode_seed

from benchmarks.measure import centile, figure, machine, title
from neo_engine.ops.secrets import Secret
from neo_engine.xrpl.signer import NATIVE_PACKAGES, Signer, blob_hash

ACCOUNT = "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh"
ORDERS, PLAIN_ORDERS, WARM_UP = 400, 120, 20
BUDGET_MS = 1.5  # of the native way; six orders have to fit a tick's 15 ms beside the rest


def order(sequence: int) -> dict[str, object]:
    """Return the fields of an ask with all that the engine writes into one."""
    token = {
        "currency": "524C555344000000000000000000000000000000",
        "issuer": "rMxCKbEDwqr76QuheSUMdEGf4B9xJ8m5De",
        "value": "27.1234567",
    }
    return {
        "TransactionType": "OfferCreate",
        "Account": ACCOUNT,
        "TakerGets": str(12_500_000 + sequence),
        "TakerPays": token,
        "Fee": "10",
        "Flags": 0x0008_0000,
        "Sequence": sequence,
        "OfferSequence": sequence,
        "Expiration": 848_600_000,
        "LastLedgerSequence": 99_000_004,
        "SourceTag": 20_261_121,
    }


def milliseconds(deed: Callable[[int], object], count: int) -> list[float]:
    """Return how long each of `count` calls took, after a warm-up."""
    for number in range(1, WARM_UP):
        deed(number)
    spent = []
    for number in range(1, count):
        begun = time.perf_counter()
        deed(number)
        spent.append((time.perf_counter() - begun) * 1000)
    return spent


def _sign(signer: Signer, number: int) -> None:
    signer.sign(order(number))


def main() -> None:
    """Print every figure; a native package that is not installed is left out."""
    print(machine())
    for algorithm in (CryptoAlgorithm.SECP256K1, CryptoAlgorithm.ED25519):
        title(f"signing with {algorithm.value}")
        seed = Secret(str(encode_seed(b"benchmarks' seed", algorithm)))
        for native in (True, False):
            begun = time.perf_counter()
            signer = Signer(seed, account=ACCOUNT, regular_key=True, native=native)
            started = (time.perf_counter() - begun) * 1000
            if native and not signer.native:
                print(f"  {NATIVE_PACKAGES[signer.algorithm]} is not installed: no native figures")
                continue
            how = "native" if native else "xrpl-py"
            spent = milliseconds(partial(_sign, signer), ORDERS if native else PLAIN_ORDERS)
            most = BUDGET_MS if native else None
            figure(f"{how}, an order, median", statistics.median(spent), "ms", most=most)
            figure(f"{how}, an order, p95", centile(spent, 95), "ms")
            figure(f"{how}, start with its self-check", started, "ms")
    title("of which, whatever the key")
    any_seed = Secret(str(encode_seed(b"benchmarks' seed", CryptoAlgorithm.ED25519)))
    signed = Signer(any_seed, account=ACCOUNT, regular_key=True, native=False).sign(order(1))
    fields = binarycodec.decode(signed.blob)
    spent = milliseconds(lambda _: binarycodec.encode_for_signing(fields), ORDERS)
    figure("codec, median", statistics.median(spent), "ms")
    spent = milliseconds(lambda _: blob_hash(signed.blob), ORDERS)
    figure("hash, median", statistics.median(spent), "ms")


if __name__ == "__main__":
    main()
