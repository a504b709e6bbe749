"""`preflight` as a program against the local server: ready, and not, for a node's or a file's reasons."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from neo_engine.simulator.server.genesis import ISSUER_ACCOUNT
from tests.e2e.helpers import ROOT, Done, engine
from tests.e2e.server_process import Running, Wire, holder, server, token

ACCOUNT, SEED = "rHS5VBeJ8XZVAJyhiagPTayLnGvnXofWRR", "saEKZabaq3sPqvshPm73uvaNZ2xVZ"
NO_RIPPLE = 0x0002_0000


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with server("--close-every", "1s", "--admin") as one:
        with Wire(one.ws) as wire:
            holder(one, wire, ACCOUNT, SEED, "1000")
            line: dict[str, Any] = {"TransactionType": "TrustSet", "LimitAmount": token("1000000")}
            wire.sign_and_submit(SEED, Account=ACCOUNT, Flags=NO_RIPPLE, **line)
            wire.result("ledger_accept")
        yield one


@pytest.fixture
def wire(running: Running) -> Iterator[Wire]:
    with Wire(running.ws) as one:
        yield one
    with Wire(running.ws) as after:
        after.result("fault", name="clear")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "key").write_text(SEED + "\n")
    (tmp_path / "key").chmod(0o600)
    text = (ROOT / "config" / "live_testnet.yaml").read_text(encoding="utf-8")
    for before, after in (
        ("account: unset", f"account: {ACCOUNT}"),
        ("quote_issuer: rQhWct2fv4Vc4KRjRgMrxa8xPN9Zx9iLKV", f"quote_issuer: {ISSUER_ACCOUNT}"),
        ("network_id: 1 ", "network_id: 0 "),
        ("key_source: env:NEO_SEED", f"key_source: file:{tmp_path / 'key'}"),
    ):
        assert before in text
        text = text.replace(before, after)
    path = tmp_path / "live.yaml"
    path.write_text(text)
    return path


def preflight(config: Path, *more: str | Path) -> Done:
    done = engine("preflight", "--config", config, "--db", config.with_name("neo.db"), *more)
    assert SEED not in done.out + done.err
    assert "Traceback" not in done.err, done.err
    return done


def failing(done: Done) -> dict[str, str]:
    assert done.code == 3, (done.out, done.err)
    document = done.json
    assert document["ready"] is False
    assert document["exit_code"] == 3
    return {one["check"]: one["found"] for one in document["findings"] if one["status"] == "FAIL"}


def test_a_healthy_account_is_ready_and_the_object_stands_alone_on_stdout(
    running: Running, config: Path
) -> None:
    done = preflight(config, "--endpoint", running.ws, "--json")
    assert done.code == 0, done.out
    document = done.json
    assert document["ready"] is True
    assert document["fail"] == 0
    statuses = {one["check"]: one["status"] for one in document["findings"]}
    assert {statuses[name] for name in ("key", "authority", "issuer", "trust line", "trial order")} == {
        "pass"
    }
    assert done.err == ""


def test_each_line_says_pass_warn_or_fail_and_what_to_do(running: Running, config: Path) -> None:
    done = preflight(config, "--endpoint", running.ws)
    assert done.code == 0
    lines = done.out.splitlines()
    assert all(line.split()[0] in ("pass", "warn", "->") for line in lines[:-1])
    warned = [number for number, line in enumerate(lines) if line.startswith("warn")]
    assert warned
    assert all(lines[number + 1].lstrip().startswith("-> ") for number in warned)
    assert lines[-1].startswith("ready: ")


def test_a_frozen_line_is_not_ready(running: Running, wire: Wire, config: Path) -> None:
    wire.result("fault", name="freeze", parameters={"account": ACCOUNT})
    wire.result("ledger_accept")
    found = failing(preflight(config, "--endpoint", running.ws, "--json"))
    assert found["trust line"] == "frozen by the issuer"
    wire.result("fault", name="unfreeze", parameters={"account": ACCOUNT})
    wire.result("ledger_accept")
    assert preflight(config, "--endpoint", running.ws).code == 0


def test_an_amendment_blocked_node_is_not_ready(running: Running, wire: Wire, config: Path) -> None:
    wire.result("fault", name="amendment_blocked")
    assert "node" in failing(preflight(config, "--endpoint", running.ws, "--json"))


def test_an_endpoint_without_a_server_is_not_ready_unless_another_one_answers(
    running: Running, config: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"ws://127.0.0.1:{taken.getsockname()[1]}"
    found = failing(preflight(config, "--endpoint", nobody, "--json"))
    assert nobody in found["node"]
    assert set(found) == {"node"}
    both = preflight(config, "--endpoint", nobody, "--endpoint", running.ws, "--json")
    assert both.code == 0
    assert any(nobody in one["found"] and one["status"] == "warn" for one in both.json["findings"])


def test_a_key_file_that_others_can_read_is_not_ready(running: Running, config: Path) -> None:
    config.with_name("key").chmod(0o604)
    assert "mode 604" in failing(preflight(config, "--endpoint", running.ws, "--json"))["key"]


def test_a_wrong_network_is_not_ready(running: Running, config: Path) -> None:
    config.write_text(config.read_text().replace("network_id: 0 ", "network_id: 1 "))
    found = failing(preflight(config, "--endpoint", running.ws, "--json"))
    assert "the server is on network 0, live.network_id is 1" in found["network"]


@pytest.mark.parametrize("url", ["localhost:6006", "http://localhost:6006", "wss://", ""])
def test_an_endpoint_that_is_no_address_is_a_usage_error(config: Path, url: str) -> None:
    assert "no WebSocket address" in preflight(config, "--endpoint", url).error(2)


def test_a_paper_configuration_is_not_ready() -> None:
    done = engine("preflight", "--config", ROOT / "config" / "paper.yaml")
    assert done.code == 3
    assert done.out.startswith("FAIL  config        mode: paper\n")


def test_a_paper_session_refuses_a_live_configuration(config: Path, tmp_path: Path) -> None:
    done = engine("paper", "--config", config, "--duration", "1m", "--db", tmp_path / "a.db")
    assert "needs mode: paper" in done.error(2)
