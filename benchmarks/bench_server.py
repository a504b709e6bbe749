"""The local server with listeners on every stream and a steady flow of signed transactions.

Run: python -m benchmarks.bench_server [--seconds 30]. The server is a process of its own that closes a ledger
each second; this process is all its clients: 20 that listen to every stream and a book, and one that submits
50 signed offers a ledger. A client is late when a ledger's messages come after the next close was due.

Lags are counted from an even clock: one second a ledger from the close that came earliest against it, so a
late close, a slow send and a slow reader all show.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from xrpl.core import binarycodec, keypairs

from benchmarks.measure import centile, figure, title
from neo_engine.simulator.model.genesis import GENESIS_ACCOUNT
from neo_engine.simulator.server.genesis import GENESIS_SEED, ISSUER_ACCOUNT, ISSUER_SEED, RLUSD

ROOT = Path(__file__).resolve().parents[1]
LISTENERS = 20
ACCOUNTS = 10
TRANSACTIONS_A_LEDGER = 50
CLOSE_SECONDS = 1.0
SETTLE_LEDGERS = 2  # left out at the start: the listeners have just connected
BASE_FEE = "10"
STREAMS = ["ledger", "transactions", "transactions_proposed", "server", "book_changes"]
Json = dict[str, Any]


class Listener:
    """One client. heard: ledger -> when its first and its last message came, seconds. messages: in all."""

    def __init__(self) -> None:
        self.heard: dict[int, list[float]] = {}
        self.messages = 0

    async def listen(self, url: str, ready: asyncio.Event) -> None:
        """Read every message until cancelled."""
        async with connect(url, max_size=None, compression=None) as socket:
            book = {"taker_pays": token(), "taker_gets": {"currency": "XRP"}, "both": True}
            await socket.send(json.dumps({"command": "subscribe", "streams": STREAMS, "books": [book]}))
            await socket.recv()
            ready.set()
            async for frame in socket:
                self.note(json.loads(frame))

    def note(self, message: Json) -> None:
        """Remember when a message of a closed ledger came."""
        self.messages += 1
        if message["type"] == "ledgerClosed" or message.get("validated"):
            now = time.perf_counter()
            self.heard.setdefault(message["ledger_index"], [now, now])[1] = now


def token(value: str | None = None) -> Json:
    """The network's token, as an asset or an amount."""
    asset = {"currency": RLUSD, "issuer": ISSUER_ACCOUNT}
    return asset if value is None else {**asset, "value": value}


def worth(price: Decimal, drops: int) -> Json:
    """Return so many drops in tokens, at tokens for one XRP."""
    return token(f"{price * drops / 1_000_000:f}")


def signed(tx_json: Json, keys: tuple[str, str]) -> str:
    """Return the blob of a transaction."""
    fields = {"Fee": BASE_FEE, **tx_json, "SigningPubKey": keys[0]}
    message = bytes.fromhex(binarycodec.encode_for_signing(fields))
    return str(binarycodec.encode({**fields, "TxnSignature": keypairs.sign(message, keys[1])}))


class Trader:
    """An account with its key and its next sequence."""

    def __init__(self, number: int) -> None:
        self.keys = keypairs.derive_keypair(keypairs.generate_seed(f"{number:032x}"))
        self.address = keypairs.derive_classic_address(self.keys[0])
        self.sequence = 0

    def blob(self, **fields: Any) -> str:
        """Return the account's next transaction, signed."""
        tx_json = {"Account": self.address, "Sequence": self.sequence, **fields}
        self.sequence += 1
        return signed(tx_json, self.keys)

    def offer(self, number: int) -> str:
        """Return one of its offers: asks and bids around 2.2, every fifth one crosses."""
        drops = 1_000_000 + number % 7 * 100_000
        away = Decimal(number % 40) / 100
        if number % 2:
            price = Decimal("2.1") if number % 5 == 0 else Decimal("2.21") + away
            paid = {"TakerGets": str(drops), "TakerPays": worth(price, drops)}
        else:
            price = Decimal("2.3") if number % 5 == 0 else Decimal("2.19") - away
            paid = {"TakerPays": str(drops), "TakerGets": worth(price, drops)}
        return self.blob(TransactionType="OfferCreate", **paid)


class Teller:
    """The client that submits."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def ask(self, **request: Any) -> Json:
        """Return the result of a request. Raises RuntimeError for an error."""
        await self.socket.send(json.dumps({"api_version": 2, **request}))
        reply = json.loads(await self.socket.recv())
        if reply["status"] != "success":
            raise RuntimeError(f"{request}: {reply}")
        return dict(reply["result"])

    async def send(self, blob: str) -> str:
        """Submit a blob and return its preliminary result."""
        return str((await self.ask(command="submit", tx_blob=blob))["engine_result"])

    async def sequence(self, address: str) -> int:
        """Return an account's next sequence."""
        told = await self.ask(command="account_info", account=address, ledger_index="current")
        return int(told["account_data"]["Sequence"])

    async def set_up(self, traders: list[Trader]) -> None:
        """Fund every trader with XRP and tokens."""
        payments = [
            (GENESIS_ACCOUNT, GENESIS_SEED, "1000000000"),
            (ISSUER_ACCOUNT, ISSUER_SEED, token("100000")),
        ]
        for sender, seed, amount in payments:
            keys = keypairs.derive_keypair(seed)
            sequence = await self.sequence(sender)
            for at, trader in enumerate(traders):
                paid = {"TransactionType": "Payment", "Account": sender, "Destination": trader.address}
                await self.send(signed({**paid, "Amount": amount, "Sequence": sequence + at}, keys))
            await self.ask(command="ledger_accept")
            if amount == payments[0][2]:
                for trader in traders:
                    trader.sequence = await self.sequence(trader.address)
                    await self.send(trader.blob(TransactionType="TrustSet", LimitAmount=token("1000000000")))
                await self.ask(command="ledger_accept")

    async def flow(self, ledgers: list[list[str]]) -> int:
        """Submit one list a second, evenly; return how many were taken into the open ledger."""
        taken = 0
        began = time.perf_counter()
        for at, blobs in enumerate(ledgers):
            for number, blob in enumerate(blobs):
                due = began + CLOSE_SECONDS * (at + number / len(blobs))
                await asyncio.sleep(max(due - time.perf_counter(), 0))
                taken += await self.send(blob) == "tesSUCCESS"
        return taken


async def measure(url: str, seconds: int) -> None:
    """Run the flow with everyone listening, and print the figures."""
    async with connect(url, max_size=None, compression=None) as socket:
        teller = Teller(socket)
        traders = [Trader(number) for number in range(ACCOUNTS)]
        await teller.set_up(traders)
        count = range(TRANSACTIONS_A_LEDGER)
        ledgers = [
            [traders[number % ACCOUNTS].offer(at * len(count) + number) for number in count]
            for at in range(seconds)
        ]
        listeners = [Listener() for _ in range(LISTENERS)]
        ready = [asyncio.Event() for _ in listeners]
        tasks = [
            asyncio.create_task(one.listen(url, event)) for one, event in zip(listeners, ready, strict=True)
        ]
        await asyncio.gather(*(event.wait() for event in ready))
        taken = await teller.flow(ledgers)
        await asyncio.sleep(2 * CLOSE_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    report(listeners, taken, seconds)


def report(listeners: list[Listener], taken: int, seconds: int) -> None:
    """Print what the listeners heard."""
    indexes = sorted(listeners[0].heard)[SETTLE_LEDGERS : SETTLE_LEDGERS + seconds - 1]
    first = indexes[0]
    # An even clock that no close is ahead of: what is left of each arrival is its lag.
    zero = min(
        one.heard[index][0] - (index - first) * CLOSE_SECONDS for one in listeners for index in indexes
    )
    told: list[list[float]] = [[], []]
    for one in listeners:
        for index in indexes:
            for lags, when in zip(told, one.heard[index], strict=True):
                lags.append((when - zero - (index - first) * CLOSE_SECONDS) * 1000)
    missed = sum(index not in one.heard for one in listeners for index in indexes)
    late = len({at // len(indexes) for at, lag in enumerate(told[1]) if lag >= CLOSE_SECONDS * 1000})
    figure("transactions submitted a ledger", taken / seconds, "", least=TRANSACTIONS_A_LEDGER * 0.98)
    figure("messages to one client a ledger", listeners[0].messages / seconds, "")
    for name, lags in (("ledgerClosed", told[0]), ("last message of a ledger", told[1])):
        figure(f"lag of {name}, median", centile(lags, 50), "ms")
        figure(f"lag of {name}, 99 of 100", centile(lags, 99), "ms")
        figure(f"lag of {name}, most", max(lags), "ms", most=CLOSE_SECONDS * 1000)
    figure("ledgers missed by a client", missed, "", most=0)
    figure("clients late", late, "", most=0)


def main() -> int:
    """Start a server and measure it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=30)
    options = parser.parse_args()
    title(
        f"server: {LISTENERS} clients, {TRANSACTIONS_A_LEDGER} transactions a ledger, "
        f"{options.seconds} ledgers"
    )
    command = ["simulate", "--listen", "127.0.0.1:0", "--close-every", "1s", "--admin", "--quiet"]
    with subprocess.Popen(
        [sys.executable, "-m", "neo_engine", *command], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            line = server.stdout.readline() if server.stdout else ""
            if not line.startswith("ready: "):
                raise RuntimeError(f"the server did not start: {line!r}")
            asyncio.run(measure(line.split()[1], options.seconds))
        finally:
            server.terminate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
