"""The local server as a process: real sockets, the websockets client, xrpl-py's client, plain HTTP.

Each server listens on a free port that it prints, every wait has a limit, and every server is ended by its
own process id and waited for.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from xrpl.asyncio.clients import AsyncWebsocketClient
from xrpl.asyncio.transaction import submit_and_wait
from xrpl.asyncio.wallet import generate_faucet_wallet
from xrpl.models.amounts import IssuedCurrencyAmount
from xrpl.models.currencies import XRP, IssuedCurrency
from xrpl.models.requests import AccountLines, AccountTx, BookOffers
from xrpl.models.transactions import OfferCancel, OfferCreate, TrustSet
from xrpl.wallet import Wallet

from neo_engine.simulator.server.genesis import ISSUER_ACCOUNT, RLUSD
from tests.e2e.helpers import ROOT

Json = dict[str, Any]

WAIT_SECONDS = 30
CLOSE = "0.5s"


class Running(NamedTuple):
    """A server: its process and where it listens."""

    process: subprocess.Popen[str]
    websocket: str
    http: str


def command(*options: str) -> list[str]:
    """Return the command line of a server."""
    return [sys.executable, "-m", "neo_engine", "simulate", "--quiet", *options]


@contextmanager
def server(*options: str) -> Iterator[Running]:
    """Run a server on free ports for the time of the block, and wait for its end."""
    process = subprocess.Popen(
        command("--listen", "127.0.0.1:0", *options),
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.match(r"ready: (ws://127\.0\.0\.1:\d+) (http://127\.0\.0\.1:\d+|no HTTP) ", line)
        assert found, (line, process.poll())
        yield Running(process, found[1], found[2])
    finally:
        process.terminate()
        try:
            process.communicate(timeout=WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def refused(*options: str) -> subprocess.CompletedProcess[str]:
    """Return how a server ended that could not start."""
    return subprocess.run(
        command(*options), check=False, cwd=ROOT, text=True, capture_output=True, timeout=WAIT_SECONDS
    )


async def ask(websocket: ClientConnection, **request: Any) -> Json:
    """Send a request and return the next message."""
    await websocket.send(json.dumps(request))
    return await hear(websocket)


async def hear(websocket: ClientConnection) -> Json:
    """Return the next message."""
    message: Json = json.loads(await asyncio.wait_for(websocket.recv(), WAIT_SECONDS))
    return message


def token(value: str) -> IssuedCurrencyAmount:
    """Return an amount of the network's token."""
    return IssuedCurrencyAmount(currency=RLUSD, issuer=ISSUER_ACCOUNT, value=value)


async def fund_with_tokens(client: AsyncWebsocketClient, running: Running) -> Wallet:
    """Return a new account with XRP of the faucet and 500 tokens."""
    wallet = await generate_faucet_wallet(client, faucet_host=running.http)
    trust = TrustSet(account=wallet.address, limit_amount=token("100000"))
    assert (await submit_and_wait(trust, client, wallet)).result["meta"]["TransactionResult"] == "tesSUCCESS"
    async with connect(running.websocket) as websocket:
        told = await ask(websocket, id=1, command="faucet", destination=wallet.address, xrp="0", tokens="500")
        assert [one["engine_result"] for one in told["result"]["payments"]] == ["tesSUCCESS"]
    return wallet


async def _a_life(running: Running) -> None:
    async with AsyncWebsocketClient(running.websocket) as client:
        maker = await fund_with_tokens(client, running)
        taker = await fund_with_tokens(client, running)
        order = OfferCreate(account=maker.address, taker_gets="10000000", taker_pays=token("22"))
        placed = await submit_and_wait(order, client, maker)
        sequence = placed.result["tx_json"]["Sequence"]
        book = BookOffers(taker_gets=XRP(), taker_pays=IssuedCurrency(currency=RLUSD, issuer=ISSUER_ACCOUNT))
        offers = (await client.request(book)).result["offers"]
        assert [(one["Account"], one["Sequence"]) for one in offers] == [(maker.address, sequence)]
        # A little above 2.2: the issuer's tick size would round a bid at 2.2 away from an ask at 2.2.
        buy = OfferCreate(account=taker.address, taker_gets=token("11.1"), taker_pays="5000000")
        taken = await submit_and_wait(buy, client, taker)
        assert taken.result["meta"]["TransactionResult"] == "tesSUCCESS"
        cancel = OfferCancel(account=maker.address, offer_sequence=sequence)
        assert (await submit_and_wait(cancel, client, maker)).result["validated"] is True
        lines = (await client.request(AccountLines(account=maker.address))).result["lines"]
        assert [line["balance"] for line in lines] == ["511"]  # 500 and the 11 of half the order at 2.2
        history = (await client.request(AccountTx(account=maker.address))).result["transactions"]
        kinds = [one["tx_json"]["TransactionType"] for one in history]
        assert kinds == ["OfferCancel", "OfferCreate", "OfferCreate", "Payment", "TrustSet", "Payment"]


def test_an_unmodified_xrpl_py_client_lives_a_makers_and_a_takers_life() -> None:
    with server("--close-every", CLOSE) as running:
        asyncio.run(asyncio.wait_for(_a_life(running), 2 * WAIT_SECONDS))


def test_a_subscriber_hears_each_ledger_in_order_and_a_transaction_in_its_ledger() -> None:
    async def listen(running: Running) -> None:
        async with connect(running.websocket) as websocket:
            await ask(websocket, id=1, command="subscribe", api_version=2, streams=["ledger", "transactions"])
            async with connect(running.websocket) as other:
                told = await ask(other, command="faucet", destination=Wallet.create().address)
            sent = told["result"]["payments"][0]["hash"]
            ledgers, found = [], None
            while len(ledgers) < 4:
                message = await hear(websocket)
                if message["type"] == "ledgerClosed":
                    ledgers.append(message["ledger_index"])
                else:
                    found = (message["hash"], message["ledger_index"])
            assert ledgers == list(range(ledgers[0], ledgers[0] + 4))
            assert found is not None and found[0] == sent and found[1] in ledgers

    with server("--close-every", "0.1s") as running:
        asyncio.run(asyncio.wait_for(listen(running), WAIT_SECONDS))


def test_the_same_seed_and_start_make_the_same_ledgers_on_request_only() -> None:
    async def close_three(running: Running) -> list[Json]:
        async with connect(running.websocket) as websocket:
            await ask(websocket, command="faucet", destination="rrrrrrrrrrrrrrrrrrrrBZbvji")
            for _ in range(3):
                assert (await ask(websocket, command="ledger_accept"))["status"] == "success"
            return [(await ask(websocket, command="ledger", ledger_index=5))["result"]]

    runs = []
    for _ in range(2):
        with server("--close-every", "manual", "--start-time", "2026-01-01T00:00:00Z") as running:
            runs.append(asyncio.run(asyncio.wait_for(close_three(running), WAIT_SECONDS)))
    assert runs[0] == runs[1]


def test_http_answers_requests_the_faucet_and_nonsense() -> None:
    with server("--close-every", CLOSE) as running, httpx.Client(base_url=running.http) as http:
        told = http.post("/", json={"method": "server_info", "params": [{}]})
        assert told.json()["result"]["info"]["server_state"] == "full"
        new = http.post("/accounts", json={}).json()
        assert new["account"]["classicAddress"].startswith("r") and new["seed"].startswith("sEd")
        assert http.post("/accounts", json={"destination": "nobody"}).status_code == 400
        assert http.post("/", content=b"{").status_code == 400
        assert http.post("/", content=b"x" * 1_000_001).status_code == 413
        assert http.get("/").status_code == 405
        assert http.get("/health").status_code == 200
        assert http.post("/", json={"method": "ledger_current", "params": []}).status_code == 200


def test_bad_frames_are_answered_and_the_server_stays() -> None:
    async def talk(running: Running) -> None:
        async with connect(running.websocket) as websocket:
            for frame in (
                "{",
                "[]",
                "null",
                '"x"',
                "\x00",
                '{"command":["a"]}',
                '{"id":1,"command":"nothing"}',
            ):
                await websocket.send(frame)
                assert "error" in await hear(websocket)
            await websocket.send(b"\xff\xfe")
            assert (await hear(websocket))["error"] == "jsonInvalid"
        async with connect(running.websocket) as websocket:
            with pytest.raises(ConnectionClosed) as closed:
                await websocket.send("x" * 1_000_001)
                await hear(websocket)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009  # message too big
        async with connect(running.websocket) as websocket:
            assert (await ask(websocket, command="ping"))["status"] == "success"

    with server("--close-every", CLOSE) as running:
        asyncio.run(asyncio.wait_for(talk(running), WAIT_SECONDS))


def test_overload_is_warned_at_reply_400_then_silence_then_closed_with_1008() -> None:
    async def hammer(running: Running) -> None:
        request = {
            "command": "book_offers",
            "taker_gets": {"currency": "XRP"},
            "taker_pays": {"currency": RLUSD, "issuer": ISSUER_ACCOUNT},
        }
        async with connect(running.websocket) as websocket:
            warned, count = [], 0
            with pytest.raises(TimeoutError):  # no reply ever comes to the request after the last
                while True:
                    await websocket.send(json.dumps({**request, "id": count}))
                    reply = json.loads(await asyncio.wait_for(websocket.recv(), 3))
                    count += 1
                    if reply.get("warning") == "load":
                        warned.append(count)
            with pytest.raises(ConnectionClosed) as closed:
                await hear(websocket)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "threshold exceeded")
        # The recorded run, done in under a second, saw 400 and 1990; a slow machine forgives and warns more.
        assert 400 <= warned[0] < 500
        assert 1900 <= count < 2400

    with server("--close-every", CLOSE) as running:
        asyncio.run(asyncio.wait_for(hammer(running), 2 * WAIT_SECONDS))


def test_an_unlimited_client_is_never_warned() -> None:
    async def hammer(running: Running) -> None:
        async with connect(running.websocket) as websocket:
            for number in range(450):
                reply = await ask(websocket, id=number, command="account_lines", account=ISSUER_ACCOUNT)
                assert "warning" not in reply

    with server("--close-every", CLOSE, "--admin") as running:
        asyncio.run(asyncio.wait_for(hammer(running), WAIT_SECONDS))


def test_a_client_that_does_not_read_is_cut_while_others_are_served() -> None:
    async def flood(running: Running) -> None:
        request = json.dumps({"command": "server_info"})
        async with connect(running.websocket) as slow, connect(running.websocket) as other:
            for _ in range(20_000):  # replies of some 1.5 kB: far more than sockets buffer
                await slow.send(request)
            for _ in range(5):
                assert (await ask(other, command="ping"))["status"] == "success"
                await asyncio.sleep(0.5)
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    await hear(slow)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
                1008,
                "Policy error: client is too slow.",
            )

    with server("--close-every", CLOSE, "--admin") as running:
        asyncio.run(asyncio.wait_for(flood(running), WAIT_SECONDS))


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind exist on POSIX only")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_its_code_and_tells_clients_so(number: signal.Signals, code: int) -> None:
    async def stay(running: Running) -> int | None:
        async with connect(running.websocket) as websocket:
            await ask(websocket, command="ping")
            running.process.send_signal(number)
            with pytest.raises(ConnectionClosed) as closed:
                await hear(websocket)
            return closed.value.rcvd and closed.value.rcvd.code

    with server("--close-every", CLOSE) as running:
        assert asyncio.run(asyncio.wait_for(stay(running), WAIT_SECONDS)) == 1001
        assert running.process.wait(WAIT_SECONDS) == code


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--listen", "0.0.0.0:0"), 2, "--public"),
        (("--listen", "127.0.0.1:0", "--http-listen", "0.0.0.0:0"), 2, "--public"),
        (("--listen", "6006"), 2, "HOST:PORT"),
        (("--listen", "127.0.0.1:0", "--close-every", "4"), 2, "4s"),
        (("--listen", "127.0.0.1:0", "--market", "nowhere"), 2, "nowhere"),
    ],
)
def test_options_that_do_not_fit_are_refused_with_the_way_out(
    options: tuple[str, ...], code: int, words: str
) -> None:
    done = refused(*options)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr


def test_a_port_that_is_taken_is_a_failed_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        done = refused("--listen", place)
    assert done.returncode == 3
    assert f"error: listen: cannot use {place}" in done.stderr
