"""Accounts on the local server and their live sessions: what a test does to them and asks of them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from tests.e2e.helpers import TRACEBACK, Done, finish, rows, start, wait_for
from tests.e2e.live_process import NO_RIPPLE, address_of, live_config, seed_of
from tests.e2e.server_process import Running, Wire

Json = dict[str, Any]

ACCOUNTS = 15
TAKER = 999
XRP, TOKENS = "300", "500"
ROOM = {"max_xrp_exposure": 5000.0, "max_rlusd_exposure": 5000.0}
#: Offers so far from the price that they stand until somebody sells a great deal.
FAR = {"base_offset_bps": 26.0}  # hardly ever filled, and nearer than the fee of the pool (gate Viability)
LOOSE = {**ROOM, "max_loss_rlusd": 500.0, "max_daily_loss_rlusd": 500.0, "max_drawdown_pct": 90.0}
#: The market goes its own way in real time: whatever it does to the book, no test here is about these.
UNMOVED = {
    "cascade_pull": 1e6,
    "cascade_kill": 2e6,
    "price_pull_pct": 1e6,
    "price_kill_pct": 2e6,
    "velocity_pull_pct": 1e6,
    "velocity_kill_pct": 2e6,
}
IMMEDIATE_OR_CANCEL = 0x0002_0000
SETTLED = {"FILLED", "CANCELED", "EXPIRED", "REJECTED", "DENIED"}


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """The server, a socket to it, the token's issuer, and the folder of everything that sessions write."""

    running: Running
    wire: Wire
    issuer: str
    folder: Path
    said: list[str]

    def trader(self, number: int, **changed: Mapping[str, Any]) -> Trader:
        """An account and the configuration that trades it."""
        folder = self.folder / str(number)
        folder.mkdir()
        quick: dict[str, Mapping[str, Any]] = {
            "strategy": {"warmup_ticks": 2},
            "risk": LOOSE,
            "monitors": UNMOVED,
            "execution": {"last_ledger_offset": 8},
        }
        for section, values in changed.items():
            quick[section] = {**quick.get(section, {}), **values}
        config = live_config(folder, seed_of(number), self.issuer, self.running.ws, **quick)
        return Trader(stage=self, seed=seed_of(number), config=config)

    def next_ledgers(self, count: int) -> None:
        """Wait until so many more ledgers are validated."""
        last = self.validated() + count
        wait_for(f"ledger {last}", lambda: self.validated() >= last)

    def validated(self) -> int:
        """Return the last validated ledger."""
        return int(self.wire.result("ledger", ledger_index="validated")["ledger_index"])


class Trader(msgspec.Struct, frozen=True, kw_only=True):
    """One account: its sessions, and what the server says of it."""

    stage: Stage
    seed: str
    config: Path

    @property
    def account(self) -> str:
        """Its address."""
        return address_of(self.seed)

    @property
    def db(self) -> Path:
        """The database of its sessions."""
        return self.config.with_name("neo.db")

    def command(self, verb: str, *more: str | Path) -> list[str | Path]:
        """The arguments of a verb that speaks for the account."""
        agreed = ("--config", self.config, "--db", self.db, "--consent", self.account)
        return ["-m", "neo_engine", verb, *agreed, "--json", *more]

    def begin(self, *more: str | Path, duration: str = "60s") -> subprocess.Popen[str]:
        """Start a session."""
        return start(self.command("live", "--duration", duration, *more))

    def quoting(self, *more: str | Path) -> subprocess.Popen[str]:
        """Start a long session and return once the ledger has offers of it."""
        process = self.begin(*more, duration="1h")
        self.wait_for_offer(process)
        return process

    def wait_for_offer(self, process: subprocess.Popen[str]) -> None:
        """Wait until the ledger has an offer of the running session."""
        wait_for("an offer", lambda: process.poll() is not None or bool(self.offers()))
        assert process.poll() is None, process.communicate()

    def ended(self, process: subprocess.Popen[str]) -> Done:
        """Wait for the end of a session, and keep what it said."""
        done = finish(process)
        self.stage.said.append(done.out + done.err)
        assert TRACEBACK not in done.err, done.err[-3000:]
        return done

    def run(self, verb: str, *more: str | Path) -> Done:
        """Run a verb to its end."""
        return self.ended(start(self.command(verb, *more)))

    def offers(self) -> list[Json]:
        """The account's offers in the last validated ledger."""
        told = self.stage.wire.result("account_offers", account=self.account, ledger_index="validated")
        return list(told["offers"])

    def history(self, first: int) -> list[Json]:
        """Every validated transaction that touched the account from ledger `first` on, oldest first."""
        found: list[Json] = []
        page: Json = {"ledger_index_min": first, "forward": True, "limit": 400}
        while True:
            told = self.stage.wire.result("account_tx", account=self.account, **page)
            found += told["transactions"]
            if "marker" not in told:
                return found
            page["marker"] = told["marker"]

    def sent(self, first: int) -> dict[str, tuple[str, int]]:
        """What the account itself sent: hash to result and ledger."""
        return {
            one["hash"]: (one["meta"]["TransactionResult"], one["ledger_index"])
            for one in self.history(first)
            if one["tx_json"]["Account"] == self.account
        }

    def stored(self) -> dict[str, tuple[str, int]]:
        """The same, as the database has it."""
        query = "SELECT tx_hash, result, ledger_index FROM {} WHERE ledger_index IS NOT NULL"
        found = rows(self.db, query.format("v_submissions")) + rows(self.db, query.format("v_upkeep"))
        return {tx_hash: (result, ledger) for tx_hash, result, ledger in found}

    def maker_fills(self, first: int) -> list[tuple[str, int]]:
        """Hash and offer sequence of each trade with a resting offer of the account, from metadata."""
        found = []
        for one in self.history(first):
            if one["tx_json"]["Account"] == self.account:
                continue
            for outer in one["meta"]["AffectedNodes"]:
                node = next(iter(outer.values()))
                mine = node.get("FinalFields", {}).get("Account") == self.account
                if (
                    node["LedgerEntryType"] == "Offer"
                    and mine
                    and "TakerGets" in node.get("PreviousFields", {})
                ):
                    found.append((one["hash"], node["FinalFields"]["Sequence"]))
        return sorted(found)

    def stored_fills(self) -> list[tuple[str, int]]:
        """The same from the database."""
        query = "SELECT tx_hash, offer_sequence FROM fills WHERE liquidity = 'maker'"
        return sorted(rows(self.db, query))

    def balances(self, ledger: int | str = "validated") -> tuple[int, Decimal]:
        """Drops and tokens that the server says the account has."""
        wire = self.stage.wire
        told = wire.result("account_info", account=self.account, ledger_index=ledger)
        lines = wire.result("account_lines", account=self.account, ledger_index=ledger)["lines"]
        return int(told["account_data"]["Balance"]), Decimal(lines[0]["balance"])

    def pay(self, **fields: Any) -> None:
        """Submit a transaction of the account past any engine."""
        told = self.stage.wire.sign_and_submit(self.seed, Account=self.account, **fields)
        assert told["engine_result"] == "tesSUCCESS", told

    def order_states(self) -> set[str]:
        """The statuses of all its orders."""
        return {status for (status,) in rows(self.db, "SELECT status FROM orders")}

    def halt_reason(self) -> str:
        """Why its newest session ended."""
        query = "SELECT halt_reason FROM sessions ORDER BY session_id DESC LIMIT 1"
        return str(rows(self.db, query)[0][0])

    def first_ledger(self) -> int:
        """The first ledger that a session of it saw."""
        return int(rows(self.db, "SELECT min(ledger_index) FROM ticks")[0][0])


def held(document: Json) -> tuple[int, Decimal]:
    """Inventory (fills and overlay) less fees, as a session's JSON has it."""
    drops = document["overlay_base_drops"] + document["fills_base_drops"] - document["fees_drops"]
    return drops, Decimal(document["overlay_rlusd"]) + Decimal(document["fills_rlusd"])


def furnished(wire: Wire) -> str:
    """Fund all accounts in a few ledgers; return the token's issuer."""
    seeds = [seed_of(number) for number in (*range(1, ACCOUNTS + 1), TAKER)]
    issuer = ""
    for seed in seeds:
        xrp = XRP if seed != seed_of(TAKER) else "50000"
        issuer = str(wire.result("faucet", destination=address_of(seed), xrp=xrp)["issuer"])
    closed(wire)
    line = {"currency": b"RLUSD".hex().upper().ljust(40, "0"), "issuer": issuer, "value": "1000000"}
    for seed in seeds:
        trust = {"TransactionType": "TrustSet", "Flags": NO_RIPPLE, "LimitAmount": line}
        wire.sign_and_submit(seed, Account=address_of(seed), **trust)
    closed(wire)
    for seed in seeds:
        tokens = TOKENS if seed != seed_of(TAKER) else "50000"
        wire.result("faucet", destination=address_of(seed), xrp="0", tokens=tokens)
    closed(wire)
    return issuer


def closed(wire: Wire) -> None:
    """Close two ledgers: what the first may have kept for later is in the second."""
    wire.result("ledger_accept")
    wire.result("ledger_accept")


def tokens(stage: Stage, value: str) -> Json:
    """An amount of the market's token."""
    return {"currency": b"RLUSD".hex().upper().ljust(40, "0"), "issuer": stage.issuer, "value": value}
