"""A maker's and a taker's whole life with an unmodified xrpl-py.

    python -m tests.e2e.life_xrplpy WEBSOCKET_URL HTTP_URL ISSUER_SEED

The maker talks over a WebSocket, the taker by JSON-RPC. Prints one JSON object: what each step came to, and
what was seen.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from xrpl import CryptoAlgorithm
from xrpl.asyncio.clients import AsyncWebsocketClient
from xrpl.asyncio.transaction import (
    XRPLReliableSubmissionException,
    autofill,
    sign,
    submit_and_wait,
)
from xrpl.asyncio.wallet import generate_faucet_wallet
from xrpl.clients import JsonRpcClient
from xrpl.models import (
    XRP,
    AccountInfo,
    AccountLines,
    AccountOffers,
    AccountTx,
    BookOffers,
    IssuedCurrency,
    IssuedCurrencyAmount,
    OfferCancel,
    OfferCreate,
    OfferCreateFlag,
    Payment,
    StreamParameter,
    Subscribe,
    TicketCreate,
    Transaction,
    TrustSet,
)
from xrpl.transaction import submit_and_wait as submit_and_wait_now
from xrpl.utils import xrp_to_drops
from xrpl.wallet import Wallet
from xrpl.wallet import generate_faucet_wallet as faucet_now

RLUSD = "524C555344000000000000000000000000000000"
MAKER_SEED = "ssNyWshQuv3NciBojCrnKL23Fo1wT"
TAKER_SEED = "ssFkzaa3GeGGB7qWve6g1VdfZdDAP"
STEPS_BEFORE = 4  # trust lines and tokens come before the subscription
KILLED = 1  # the taker's killed order touches nothing of the maker's
SECP = CryptoAlgorithm.SECP256K1


class Life:
    """Two traders and an issuer. steps: name -> result code."""

    def __init__(self, ws: str, http: str, issuer_seed: str) -> None:
        self.ws, self.http = ws, http
        self.issuer = Wallet.from_seed(issuer_seed, algorithm=SECP)
        self.maker = Wallet.from_seed(MAKER_SEED, algorithm=SECP)
        self.taker = Wallet.from_seed(TAKER_SEED, algorithm=SECP)
        self.rpc = JsonRpcClient(http)
        self.steps: dict[str, str] = {}

    def token(self, value: str) -> IssuedCurrencyAmount:
        """An amount of the issuer's token."""
        return IssuedCurrencyAmount(currency=RLUSD, issuer=self.issuer.address, value=value)

    async def send(
        self, client: AsyncWebsocketClient, name: str, wallet: Wallet, tx: Transaction
    ) -> dict[str, Any]:
        """Fill in, sign, submit and wait, each by its own call."""
        signed = sign(await autofill(tx, client), wallet)
        reply = await submit_and_wait(signed, client)
        self.steps[name] = str(reply.result["meta"]["TransactionResult"])
        return dict(reply.result)

    def send_now(self, name: str, wallet: Wallet, tx: Transaction) -> dict[str, Any]:
        """Do the same by JSON-RPC, all in one call, which raises for a tec."""
        try:
            reply = submit_and_wait_now(tx, self.rpc, wallet)
        except XRPLReliableSubmissionException as error:
            self.steps[name] = str(error).removeprefix("Transaction failed: ")
            return {}
        self.steps[name] = str(reply.result["meta"]["TransactionResult"])
        return dict(reply.result)

    async def fund(self, client: AsyncWebsocketClient) -> None:
        """Faucet, trust lines, tokens."""
        await generate_faucet_wallet(client, self.maker, faucet_host=self.http)
        await asyncio.to_thread(faucet_now, self.rpc, self.taker, faucet_host=self.http)
        limit = self.token("1000000")
        maker, taker, issuer = self.maker.address, self.taker.address, self.issuer.address
        await self.send(client, "trust maker", self.maker, TrustSet(account=maker, limit_amount=limit))
        trust = TrustSet(account=taker, limit_amount=limit)
        await asyncio.to_thread(self.send_now, "trust taker", self.taker, trust)
        for name, address in (("issue maker", maker), ("issue taker", taker)):
            paid = Payment(account=issuer, destination=address, amount=self.token("5000"))
            await self.send(client, name, self.issuer, paid)

    async def quote(self, client: AsyncWebsocketClient) -> int:
        """Place both sides, replace one; return the sequence of the replacing offer."""
        maker, sell = self.maker.address, OfferCreateFlag.TF_SELL
        xrp = xrp_to_drops(20)
        ask = OfferCreate(account=maker, taker_gets=xrp, taker_pays=self.token("50"), flags=sell)
        placed = await self.send(client, "ask", self.maker, ask)
        bid = OfferCreate(account=maker, taker_gets=self.token("40"), taker_pays=xrp)
        await self.send(client, "bid", self.maker, bid)
        again = OfferCreate(
            account=maker,
            taker_gets=xrp,
            taker_pays=self.token("48"),
            flags=sell,
            offer_sequence=placed["tx_json"]["Sequence"],
        )
        return int((await self.send(client, "replace", self.maker, again))["tx_json"]["Sequence"])

    def take(self) -> None:
        """Fill a part, be killed, hit the bid."""
        taker, now = self.taker.address, OfferCreateFlag.TF_IMMEDIATE_OR_CANCEL
        five = xrp_to_drops(5)
        part = OfferCreate(account=taker, taker_pays=five, taker_gets=self.token("12.5"), flags=now)
        self.send_now("partial fill", self.taker, part)
        kill = OfferCreate(account=taker, taker_pays=five, taker_gets=self.token("1"), flags=now)
        self.send_now("kill", self.taker, kill)
        sell = OfferCreate(account=taker, taker_gets=xrp_to_drops(2), taker_pays=self.token("3.9"), flags=now)
        self.send_now("hit the bid", self.taker, sell)

    async def tickets(self, client: AsyncWebsocketClient) -> None:
        """Make two tickets, quote with one, cancel that quote with the other."""
        maker = self.maker.address
        made = await self.send(client, "tickets", self.maker, TicketCreate(account=maker, ticket_count=2))
        first = int(made["tx_json"]["Sequence"]) + 1
        placed = OfferCreate(
            account=maker,
            taker_gets=xrp_to_drops(3),
            taker_pays=self.token("9"),
            sequence=0,
            ticket_sequence=first,
        )
        await self.send(client, "offer by ticket", self.maker, placed)
        gone = OfferCancel(account=maker, offer_sequence=first, sequence=0, ticket_sequence=first + 1)
        await self.send(client, "cancel by ticket", self.maker, gone)

    async def offers(self, client: AsyncWebsocketClient) -> list[int]:
        """Return the sequences of what rests."""
        reply = await client.request(AccountOffers(account=self.maker.address, ledger_index="validated"))
        return sorted(offer["seq"] for offer in reply.result["offers"])

    async def history(self, client: AsyncWebsocketClient) -> list[str]:
        """Return the maker's transactions, newest first, page by page."""
        found: list[str] = []
        marker: Any = None
        while True:
            asked = AccountTx(
                account=self.maker.address, ledger_index_min=-1, ledger_index_max=-1, limit=4, marker=marker
            )
            result = (await client.request(asked)).result
            found += [one["hash"] for one in result["transactions"]]
            marker = result.get("marker")
            if marker is None:
                return found

    async def live(self) -> dict[str, Any]:
        """Live it all; return what is to be told."""
        async with AsyncWebsocketClient(self.ws) as client:
            await self.fund(client)
            streams = [StreamParameter.LEDGER]
            await client.request(Subscribe(streams=streams, accounts=[self.maker.address]))
            replaced = await self.quote(client)
            token = IssuedCurrency(currency=RLUSD, issuer=self.issuer.address)
            book = await client.request(BookOffers(taker_gets=XRP(), taker_pays=token, limit=10))
            await asyncio.to_thread(self.take)
            await self.tickets(client)
            resting = await self.offers(client)
            for number, sequence in enumerate(resting, start=1):
                cancel = OfferCancel(account=self.maker.address, offer_sequence=sequence)
                await self.send(client, f"cancel {number}", self.maker, cancel)
            hashes = await self.history(client)
            lines = await client.request(AccountLines(account=self.maker.address, ledger_index="validated"))
            seen = await asyncio.wait_for(self.drain(client), 10)
            return {
                "steps": self.steps,
                "seen": seen,
                "book": [offer["Sequence"] == replaced for offer in book.result["offers"]],
                "resting": len(resting),
                "left": len(await self.offers(client)),
                "makerTokens": lines.result["lines"][0]["balance"],
                "takerSequence": await self.rpc_info(),
                "history": len(hashes),
                "historyOnce": len(set(hashes)),
            }

    async def rpc_info(self) -> int:
        """Return the taker's sequence by JSON-RPC."""
        asked = AccountInfo(account=self.taker.address, ledger_index="validated")
        reply = await asyncio.to_thread(self.rpc.request, asked)
        return int(reply.result["account_data"]["Sequence"])

    async def drain(self, client: AsyncWebsocketClient) -> dict[str, int]:
        """Count the stream messages up to the last transaction of the maker's."""
        seen = {"ledgerClosed": 0, "transaction": 0}
        async for message in client:
            if message.get("type") not in seen:
                continue
            seen[message["type"]] += 1
            if seen["transaction"] == len(self.steps) - STEPS_BEFORE - KILLED:
                break
        return seen


if __name__ == "__main__":
    print(json.dumps(asyncio.run(Life(*sys.argv[1:4]).live())))
