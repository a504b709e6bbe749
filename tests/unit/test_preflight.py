"""Preflight on the model network: one healthy account and node, and every way of being unhealthy.

The network is the local server's own, in process; issuers and holders do their deeds as transactions.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.state_workload import session_start
from neo_engine.config import Config, load_config, parse_config
from neo_engine.domain.clock import LEDGER_EPOCH
from neo_engine.ops import preflight as module
from neo_engine.ops import preflight_checks as checks
from neo_engine.ops.control import request_kill
from neo_engine.ops.preflight import Node, failed, known_offers, preflight
from neo_engine.ops.preflight_checks import Finding, Status
from neo_engine.simulator.model import keys
from neo_engine.simulator.server.dispatch import answer
from neo_engine.simulator.server.fault_deeds import do
from neo_engine.simulator.server.fault_view import past
from neo_engine.simulator.server.faults import FaultyNetwork
from neo_engine.simulator.server.genesis import ISSUER_ACCOUNT, ISSUER_SEED, RLUSD, fresh_chain
from neo_engine.simulator.server.signing import encode, sign
from neo_engine.state.lock import InstanceLock, account_lock_path, database_lock_path, lock_folder
from neo_engine.state.manager import StateManager
from neo_engine.xrpl.server import Json, RequestLost, RequestRefused
from tests.conftest import ROOT
from tests.unit.network_fixture import FIRST_CLOSE, address_of, ask, seed_of, send, sequence_of
from tests.unit.state_fixture import OPTIONS, fixed_now

NEO, OTHER = "neo", "other"
SET_FREEZE, SET_DEEP_FREEZE, NO_RIPPLE = 0x0010_0000, 0x0040_0000, 0x0002_0000
ENVIRONMENT = {"NEO_SEED": seed_of(NEO)}


class FixedClock:
    """A clock that stands at the network's time, or off it by some seconds."""

    def __init__(self, network: FaultyNetwork, off: int = 0) -> None:
        self._network, self._off = network, off

    def utc_now(self) -> datetime:
        return LEDGER_EPOCH + timedelta(seconds=self._network.now + self._off)

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nobody waits {seconds} s here")


class InProcess:
    """The local server's answers without a socket. bend: changes the result of a command."""

    def __init__(self, network: Any, **bend: Callable[[Json], Json]) -> None:
        self.network = network
        self.bend = bend
        self.asked: list[str] = []

    def request(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Json:
        assert timeout_seconds > 0
        self.asked.append(command)
        reply = answer(json.dumps({"command": command, **parameters}), self.network, None)
        if reply["status"] != "success":
            raise RequestRefused(command, reply["error"], str(reply.get("error_message")), reply)
        result: Json = json.loads(json.dumps(reply["result"]))
        bend = self.bend.get(command)
        return result if bend is None else bend(result)


def trust(network: FaultyNetwork, limit: str = "1000000", flags: int = NO_RIPPLE) -> None:
    line = {"currency": RLUSD, "issuer": ISSUER_ACCOUNT, "value": limit}
    told = send(network, NEO, TransactionType="TrustSet", LimitAmount=line, Flags=flags)
    assert told["engine_result"] == "tesSUCCESS", told


def as_issuer(network: FaultyNetwork, **fields: Any) -> None:
    sequence = network.open_ledger.account(ISSUER_ACCOUNT)[0]
    tx_json = {"Account": ISSUER_ACCOUNT, "Fee": "10", "Sequence": sequence, **fields}
    signed = sign(tx_json, ISSUER_SEED)
    told = network.submit(signed, encode(signed), fail_hard=False)
    assert told["engine_result"] == "tesSUCCESS", told
    network.close()


def healthy(xrp: str = "1000") -> FaultyNetwork:
    """A network a few ledgers old, on which `neo` is funded, trusts the issuer and holds 500."""
    network = FaultyNetwork(fresh_chain(FIRST_CLOSE), seconds_per_ledger=4)
    network.faucet({"destination": address_of(NEO), "xrp": xrp})
    network.faucet({"destination": address_of(OTHER), "xrp": "1000"})
    network.close()
    trust(network)
    network.close()
    network.faucet({"destination": address_of(NEO), "xrp": "0", "tokens": "500"})
    network.close()
    for _ in range(260):  # a node that has been up for a while
        network.close()
    return network


def settings(*edits: tuple[str, str]) -> Config:
    text = (ROOT / "config" / "live_testnet.yaml").read_text(encoding="utf-8")
    usual = [
        ("account: unset", f"account: {address_of(NEO)}"),
        ("quote_issuer: rQhWct2fv4Vc4KRjRgMrxa8xPN9Zx9iLKV", f"quote_issuer: {ISSUER_ACCOUNT}"),
        ("network_id: 1 ", "network_id: 0 "),
    ]
    for before, after in (*usual, *edits):
        assert before in text, before
        text = text.replace(before, after, 1)
    return parse_config(text, "test")


def look(
    network: FaultyNetwork,
    *edits: tuple[str, str],
    server: Any = None,
    off: int = 0,
    database: Path | None = None,
    environment: dict[str, str] | None = None,
) -> dict[str, list[Finding]]:
    """Run the preflight and return its findings by check."""
    found = preflight(
        settings(*edits),
        nodes=(Node(name="ws://node", server=server or InProcess(network)),),
        environment=ENVIRONMENT if environment is None else environment,
        clock=FixedClock(network, off),
        database=database,
    )
    by_check: dict[str, list[Finding]] = {}
    for one in found:
        by_check.setdefault(one.check, []).append(one)
    return by_check


def ills(found: dict[str, list[Finding]], status: Status = Status.FAIL) -> dict[str, str]:
    """The findings of a status, with what was found; each must say what to do."""
    told = {one.check: one for ones in found.values() for one in ones if one.status is status}
    assert all(one.fix for one in told.values()), told
    return {check: one.found for check, one in told.items()}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Account locks lie in the home folder: never in the tester's own."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))


# healthy


def test_a_healthy_account_on_a_healthy_node_passes_every_check(tmp_path: Path) -> None:
    found = look(healthy(), database=tmp_path / "neo.db")
    assert ills(found) == {}
    assert ills(found, Status.WARN) == {}
    assert set(found) == {
        *(
            "config",
            "key",
            "start spread",
            "node",
            "ledger",
            "network",
            "clock",
            "issuer",
            "transfer fee",
            "tick size",
        ),
        *(
            "pool",
            "fees",
            "account",
            "authority",
            "trust line",
            "reserve",
            "offers",
            "tickets",
            "trial order",
        ),
        *("database", "kill switch", "disk", "engine", "sqlite"),
    }
    assert found["tick size"][0].found == "7 digits"
    assert "claw back" in found["issuer"][0].found
    assert found["trust line"][0].found == "500 RLUSD, limit 1000000"


def test_a_preflight_asks_and_changes_nothing() -> None:
    network = healthy()
    server = InProcess(network)
    sequence, before = sequence_of(network, NEO), network.chain.header.ledger_index
    look(network, server=server)
    assert sequence_of(network, NEO) == sequence
    assert network.chain.header.ledger_index == before
    assert not network.open_ledger.transactions
    assert {"submit", "sign", "ledger_accept"}.isdisjoint(server.asked)


# config and key


@pytest.mark.parametrize(
    ("factor", "ill"),
    [
        ("1.999999", {}),
        (
            "2.0",
            {"start spread": "starts at 2 x its base, not below 2: model 2 (strategy.model_gating_factor)"},
        ),
    ],
)
def test_a_start_at_twice_the_base_fails_and_names_factor_and_key(factor: str, ill: dict[str, str]) -> None:
    found = look(healthy(), ("model_gating_factor: 1.0 ", f"model_gating_factor: {factor} "))
    assert ills(found) == ill


def test_a_factor_that_its_cap_hides_does_not_fail() -> None:
    hidden = ("max_composed_spread_mult: 10.0 ", "max_composed_spread_mult: 1.5 ")
    found = look(healthy(), ("model_gating_factor: 1.0 ", "model_gating_factor: 2.0 "), hidden)
    assert found["start spread"][0].found == "starts at 1.5 x its base"


def test_a_paper_configuration_fails_at_once() -> None:
    config = load_config(ROOT / "config" / "paper.yaml")
    clock = FixedClock(healthy())
    (found,) = preflight(config, nodes=(), environment={}, clock=clock, database=None)
    assert (found.check, found.status) == ("config", Status.FAIL)


@pytest.mark.parametrize("name", ["live_testnet.yaml", "live_stage1.yaml"])
def test_a_delivered_live_configuration_waits_for_its_account(name: str) -> None:
    found = preflight(
        load_config(ROOT / "config" / name),
        nodes=(),
        environment=ENVIRONMENT,
        clock=FixedClock(healthy()),
        database=None,
    )
    assert (found[0].status, found[0].found) == (Status.FAIL, "live.account is unset")
    assert found[1].found == "loads"


def test_a_missing_key_fails_and_the_rest_is_still_looked_at() -> None:
    found = look(healthy(), environment={})
    assert "NEO_SEED is not set" in ills(found)["key"]
    assert "trust line" in found


def test_a_key_that_others_can_read_fails(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(seed_of(NEO))
    path.chmod(0o644)
    found = look(healthy(), ("key_source: env:NEO_SEED", f"key_source: file:{path}"))
    assert "mode 644" in ills(found)["key"]
    path.chmod(0o600)
    assert "key" not in ills(look(healthy(), ("key_source: env:NEO_SEED", f"key_source: file:{path}")))


def test_a_key_of_another_account_fails() -> None:
    found = look(healthy(), environment={"NEO_SEED": seed_of(OTHER)})
    assert address_of(OTHER) in ills(found)["key"]
    assert seed_of(OTHER) not in str(found)


def test_a_regular_key_fails_until_the_account_names_it() -> None:
    network = healthy()
    regular = partial(
        look,
        network,
        ("regular_key: false", "regular_key: true"),
        environment={"NEO_SEED": seed_of(OTHER)},
    )
    assert "not set" in ills(regular())["authority"]
    root = network.chain.state.entries[keys.account_root(address_of(NEO))]
    network.chain.state.put(keys.account_root(address_of(NEO)), {**root, "RegularKey": address_of(OTHER)})
    network.close()
    found = regular()
    assert ills(found) == {}
    assert found["authority"][0].found == f"regular key {address_of(OTHER)}"


def test_a_disabled_master_key_fails() -> None:
    found = look(healthy(), server=flagged(healthy(), address_of(NEO), checks.DISABLE_MASTER))
    assert "disabled" in ills(found)["authority"]


def flagged(network: FaultyNetwork, account: str, flag: int) -> InProcess:
    """The server, which tells of one more flag of an account."""

    def bend(result: Json) -> Json:
        if result["account_data"]["Account"] == account:
            result["account_data"]["Flags"] |= flag
        return result

    return InProcess(network, account_info=bend)


# the node


def told(**info: Any) -> Callable[[Json], Json]:
    return lambda result: {"info": {**result["info"], **info}}


@pytest.mark.parametrize("state", ["disconnected", "connected", "syncing", "tracking"])
def test_a_node_without_the_network_fails(state: str) -> None:
    network = healthy()
    found = look(network, server=InProcess(network, server_info=told(server_state=state)))
    assert state in ills(found)["node"]


def clio(**more: Any) -> Callable[[Json], Json]:
    """Change server_info to what a Clio server says of itself."""

    def bent(result: Json) -> Json:
        info = {"clio_version": "2.5.1", "rippled_version": "2.5.0", **result["info"], **more}
        for name in ("server_state", "build_version"):
            del info[name]
        return {"info": {name: value for name, value in info.items() if value is not None}}

    return bent


def test_a_clio_node_is_judged_by_what_it_says_of_itself() -> None:
    network = healthy()
    (node,) = look(network, server=InProcess(network, server_info=clio()))["node"]
    assert (node.status, node.found) == (
        Status.PASS,
        "ws://node: Clio 2.5.1 before rippled 2.5.0, load factor 1",
    )
    for more, status, word in (
        ({"rippled_version": None}, Status.FAIL, "no server to hand transactions to"),
        ({"amendment_blocked": True}, Status.FAIL, "amendment blocked"),
        ({"load_factor": 3}, Status.WARN, "load factor 3"),
    ):
        found = look(network, server=InProcess(network, server_info=clio(**more)))
        assert word in ills(found, status)["node"]


@pytest.mark.parametrize(("fee", "told"), [(0, "0 %"), (273, "0.273 %"), (1000, "1 %")])
def test_the_pool_is_told_with_its_fee_and_its_absence_with_what_follows(fee: int, told: str) -> None:
    assert checks.pool({"amm": {"trading_fee": fee}}).found == f"there, its fee is {told}"
    assert checks.pool(None).status is Status.PASS
    assert "the book alone is quoted on" in checks.pool(None).found


def test_an_amendment_blocked_node_fails() -> None:
    network = healthy()
    network.amendment_blocked = True
    assert ills(look(network))["node"] == "ws://node: amendment blocked"


def test_a_stale_node_fails_by_its_ledgers_age_and_not_by_our_clock() -> None:
    network = healthy()
    stood = network.history.ledger(network.history.last)
    for _ in range(5):
        network.close()
    found = look(network, server=InProcess(past(network, stood)))
    assert "s old, risk.stale_data_seconds is 15" in ills(found)["ledger"]
    assert "clock" not in ills(found)


def test_a_node_without_history_is_doubtful() -> None:
    network = healthy()
    last = network.chain.header.ledger_index
    for kept, count in (("empty", 0), (f"3-10,{last - 9}-{last}", 10), (f"3-{last - 1}", 0), (f"{last}", 1)):
        found = look(network, server=InProcess(network, server_info=told(complete_ledgers=kept)))
        assert f"{count} ledgers without a gap" in ills(found, Status.WARN)["ledger"]


def test_a_node_under_load_is_doubtful() -> None:
    network = healthy()
    found = look(network, server=InProcess(network, server_info=told(load_factor=3.5)))
    assert "load factor 3.5" in ills(found, Status.WARN)["node"]


@pytest.mark.parametrize(("wanted", "found"), [(1, None), (0, 1), (0, 21337), (21337, 0)])
def test_another_network_fails(wanted: int, found: int | None) -> None:
    network = healthy()
    told_id = {} if found is None else {"network_id": found}
    server = InProcess(network, server_info=told(**told_id))
    text = ills(look(network, ("network_id: 0 ", f"network_id: {wanted} "), server=server))["network"]
    assert f"network {found or 0}, live.network_id is {wanted}" in text


@pytest.mark.parametrize(
    ("off", "status"), [(0, "pass"), (5, "pass"), (6, "warn"), (-6, "warn"), (21, "FAIL"), (-3600, "FAIL")]
)
def test_the_clock_is_held_against_the_ledgers(off: int, status: str) -> None:
    (one,) = look(healthy(), off=off)["clock"]
    assert one.status.value == status
    assert f"{abs(off)} s" in one.found


def test_one_good_node_makes_anothers_ills_mild_but_not_a_wrong_network() -> None:
    network = healthy()
    blocked = InProcess(network, server_info=told(amendment_blocked=True))
    foreign = InProcess(network, server_info=told(network_id=1))
    nodes = (
        Node(name="a", server=None, fault="no such host; check the address"),
        Node(name="b", server=blocked),
        Node(name="c", server=InProcess(network)),
    )
    ask_all = partial(
        preflight, settings(), environment=ENVIRONMENT, clock=FixedClock(network), database=None
    )
    found = ask_all(nodes=nodes)
    assert not failed(found)
    mild = [one.found for one in found if one.check == "node" and one.status is Status.WARN]
    assert mild == ["a: no such host", "b: amendment blocked"]
    assert failed(ask_all(nodes=(*nodes, Node(name="d", server=foreign))))
    assert failed(ask_all(nodes=nodes[:2]))


def test_without_any_node_the_files_are_still_looked_at(tmp_path: Path) -> None:
    found = preflight(
        settings(),
        nodes=(Node(name="a", server=None, fault="refused"),),
        environment=ENVIRONMENT,
        clock=FixedClock(healthy()),
        database=tmp_path / "neo.db",
    )
    assert {one.check for one in found if one.status is Status.FAIL} == {"node"}
    assert "database" in {one.check for one in found}


# issuer, line, account


def test_a_global_freeze_fails() -> None:
    network = healthy()
    as_issuer(network, TransactionType="AccountSet", SetFlag=7)  # asfGlobalFreeze
    found = ills(look(network))
    assert "froze" in found["issuer"]
    assert "tecFROZEN" in found["trial order"]


def test_a_transfer_fee_fails_with_its_percentage() -> None:
    network = healthy()
    as_issuer(network, TransactionType="AccountSet", TransferRate=1_002_000_000)
    assert ills(look(network)) == {"transfer fee": "0.2 %"}


@pytest.mark.parametrize(("digits", "status"), [(3, "warn"), (4, "warn"), (5, "pass"), (15, "pass")])
def test_a_coarse_tick_size_is_doubtful(digits: int, status: str) -> None:
    # Of four digits the last is at most a thousandth of the price: 10 bps, the delivered minimum is 1.5.
    network = healthy()
    as_issuer(network, TransactionType="AccountSet", TickSize=digits)
    (one,) = look(network)["tick size"]
    assert one.status.value == status
    assert f"{digits} digits" in one.found


def test_an_issuer_that_does_not_exist_fails() -> None:
    nobody = address_of("nobody")
    found = look(healthy(), (f"quote_issuer: {ISSUER_ACCOUNT}", f"quote_issuer: {nobody}"))
    assert ills(found)["issuer"] == f"{nobody} is not on this network"


def test_an_account_that_does_not_exist_fails() -> None:
    nobody = address_of("nobody")
    found = look(
        healthy(),
        (f"account: {address_of(NEO)}", f"account: {nobody}"),
        environment={"NEO_SEED": seed_of("nobody")},
    )
    assert ills(found) == {"account": f"{nobody} is not on this network"}


def test_a_missing_trust_line_fails() -> None:
    other = (f"account: {address_of(NEO)}", f"account: {address_of(OTHER)}")
    found = look(healthy(), other, environment={"NEO_SEED": seed_of(OTHER)})
    assert ills(found) == {"trust line": "none for RLUSD"}


def test_a_line_frozen_by_the_issuer_fails() -> None:
    network = healthy()
    do(network, [], "freeze", {"account": address_of(NEO), "issuer": "", "currency": ""})
    network.close()
    assert "frozen by the issuer" in ills(look(network))["trust line"]


def test_a_line_frozen_by_ourselves_fails() -> None:
    network = healthy()
    trust(network, flags=NO_RIPPLE | SET_FREEZE)
    network.close()
    assert ills(look(network))["trust line"] == "frozen by yourself"


def test_a_line_that_the_issuer_must_authorise_fails() -> None:
    network = healthy()
    server = flagged(network, ISSUER_ACCOUNT, checks.REQUIRE_AUTH)
    assert "not authorised" in ills(look(network, server=server))["trust line"]


def test_a_line_that_lets_others_through_is_doubtful() -> None:
    network = healthy()
    trust(network, flags=0x0004_0000)  # tfClearNoRipple
    network.close()
    assert "no_ripple" in ills(look(network), Status.WARN)["trust line"]


def test_a_limit_below_the_exposure_is_doubtful() -> None:
    network = healthy()
    trust(network, limit="399")
    network.close()
    assert "limit 399, below risk.max_rlusd_exposure" in ills(look(network), Status.WARN)["trust line"]


def test_too_little_reserve_fails_with_what_is_missing() -> None:
    # Reserves of the model network: base 1 XRP, each object 0.2 XRP. One line, 10 orders and 2 tickets
    # make 3.6, and the buffer of 2 makes 5.6. Of 5 XRP the trust line cost 10 drops.
    found = ills(look(healthy(xrp="5")))
    assert "5.6 are reserve and buffer with 1 objects, 10 orders and 2 tickets" in found["reserve"]
    (one,) = look(healthy(xrp="5"))["reserve"]
    assert "bring in 0.60001 XRP" in one.fix
    assert "reserve" not in ills(look(healthy(xrp="5.60001")))


def test_a_reserve_that_was_raised_fails() -> None:
    # 15 of base, 13 objects of 0.2 and the buffer of 2 are 19.6; the account has 20 XRP less one fee.
    network = healthy(xrp="20")
    for base, short in (("15000000", False), ("15400000", True)):
        do(network, network.faults.pseudo, "reserve", {"base": base, "increment": "", "fee": ""})
        network.close()
        assert ("reserve" in ills(look(network))) is short


def test_unknown_offers_are_listed() -> None:
    network = healthy()
    sequences = [sequence_of(network, NEO) + number for number in range(12)]
    for _ in sequences:
        send(network, NEO, **ask())
    network.close()
    text = ills(look(network), Status.FAIL)["offers"]
    assert text.startswith("12 of 12 open offers unknown")
    assert ", ".join(str(one) for one in sequences[:10]) + " and 2 more" in text


def test_more_tickets_than_wanted_are_doubtful() -> None:
    network = healthy()
    send(network, NEO, TransactionType="TicketCreate", TicketCount=3)
    network.close()
    assert "3 on the account" in ills(look(network), Status.WARN)["tickets"]


@pytest.mark.parametrize(("cap", "status"), [("9", "FAIL"), ("10", "warn"), ("19", "warn"), ("20", "pass")])
def test_fees_are_held_against_the_cap(cap: str, status: str) -> None:
    (one,) = look(healthy(), ("max_fee_drops: 5000", f"max_fee_drops: {cap}"))["fees"]
    assert (one.status.value, one.found) == (status, f"10 drops now, risk.max_fee_drops is {cap}")


def test_a_server_without_simulate_is_doubtful() -> None:
    network = healthy()

    class Older(InProcess):
        def request(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Json:
            if command == "simulate":
                raise RequestRefused(command, "unknownCmd", "Unknown method.", {})
            return super().request(command, timeout_seconds=timeout_seconds, **parameters)

    assert "no simulate" in ills(look(network, server=Older(network)), Status.WARN)["trial order"]


def test_the_trial_order_carries_the_source_tag_and_the_network_only_where_needed() -> None:
    for network_id, named in ((0, False), (1024, False), (1025, True)):
        config = settings(("network_id: 0 ", f"network_id: {network_id} "))
        assert config.live is not None
        tx_json = checks.probe(config, config.live)
        assert tx_json["SourceTag"] == 20261121
        assert ("NetworkID" in tx_json) is named
        price = Decimal(tx_json["TakerPays"]["value"]) / (Decimal(tx_json["TakerGets"]) / 1_000_000)
        assert price == 1_000_000


# answers that are none


READ = ("server_info", "account_info", "account_lines", "fee", "ledger", "simulate")
OTHER_FORM: Json = {"info": None, "account_data": [], "lines": 3, "drops": {}, "ledger": "x"}


@pytest.mark.parametrize("command", READ)
@pytest.mark.parametrize("bent", [{}, OTHER_FORM])
def test_an_answer_of_another_form_is_a_failed_check_and_no_crash(command: str, bent: Json) -> None:
    network = healthy()
    server = InProcess(network, **{command: lambda _result: bent})
    assert ills(look(network, server=server))


def test_a_lost_answer_fails_its_check_alone() -> None:
    network = healthy()

    class Silent(InProcess):
        def request(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Json:
            if command == "fee":
                raise RequestLost(command, "no answer within 10 s", sent=True)
            return super().request(command, timeout_seconds=timeout_seconds, **parameters)

    assert ills(look(network, server=Silent(network))) == {"fees": "fee: no answer within 10 s"}


def test_lists_are_read_to_their_last_page() -> None:
    network = healthy()
    for _ in range(25):
        send(network, NEO, **ask())
        network.close()

    class Short(InProcess):
        def request(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Json:
            if command == "account_offers":
                parameters["limit"] = 10
            return super().request(command, timeout_seconds=timeout_seconds, **parameters)

    server = Short(network)
    assert "25 of 25" in ills(look(network, server=server), Status.FAIL)["offers"]
    assert server.asked.count("account_offers") == 3


# files


def test_a_set_kill_switch_fails(tmp_path: Path) -> None:
    request_kill(tmp_path / "neo.db", "stop")
    assert "neo.db.kill" in ills(look(healthy(), database=tmp_path / "neo.db"))["kill switch"]


def test_a_folder_that_is_not_there_and_a_file_that_is_no_database_fail(tmp_path: Path) -> None:
    assert "no such folder" in ills(look(healthy(), database=tmp_path / "no" / "neo.db"))["database"]
    (tmp_path / "text.db").write_text("no database at all")
    assert "is not a database" in ills(look(healthy(), database=tmp_path / "text.db"))["database"]


def test_an_older_schema_is_doubtful_and_a_newer_one_fails(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    StateManager.open(path, OPTIONS, now=fixed_now).close()
    assert look(healthy(), database=path)["database"][0].status is Status.PASS
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (99, 'later', 'x', 'y')")
    connection.close()
    assert "newer NEO" in ills(look(healthy(), database=path))["database"]
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM schema_migrations WHERE version > 0")
    connection.close()
    assert "schema 0 of" in ills(look(healthy(), database=path), Status.WARN)["database"]


def test_a_database_and_an_account_in_use_fail(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    StateManager.open(path, OPTIONS, now=fixed_now).close()
    now = datetime.now(UTC).isoformat()
    held = InstanceLock.acquire(database_lock_path(path), str(path), now)
    account_path = account_lock_path(lock_folder(), address_of(NEO), "live")
    account_path.parent.mkdir(parents=True)
    trading = InstanceLock.acquire(account_path, address_of(NEO), now)
    assert set(ills(look(healthy(), database=path))) == {"database", "engine"}
    held.release()
    trading.release()
    assert ills(look(healthy(), database=path)) == {}


@pytest.mark.parametrize(
    ("free", "status"), [(99_999_999, "FAIL"), (100_000_000, "warn"), (999_999_999, "warn"), (10**9, "pass")]
)
def test_a_full_disk_fails(free: int, status: str) -> None:
    assert module._disk(free).status.value == status


@pytest.mark.parametrize(
    ("version", "sound"),
    [
        *[((3, 44, 6), True), ((3, 50, 7), True), ((3, 51, 3), True), ((3, 53, 0), True)],
        *[((3, 40, 1), False), ((3, 44, 5), False), ((3, 45, 0), False), ((3, 50, 6), False)],
        *[((3, 51, 0), False), ((3, 51, 2), False)],
    ],
)
def test_a_sqlite_with_the_wal_reset_bug_is_told(version: tuple[int, ...], sound: bool) -> None:
    # Fixed in 3.51.3, and in the branches 3.44 and 3.50 with 3.44.6 and 3.50.7 (sqlite.org/wal.html).
    one = module._sqlite(version)
    assert one.status is Status.PASS
    assert ("bug" in one.found) is not sound


def test_offers_of_live_sessions_that_still_work_are_known(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    account = address_of(NEO)
    assert known_offers(path, account) == frozenset()
    sessions = []
    for mode, whose in (("live", account), ("paper", account), ("live", address_of(OTHER))):
        with closing(StateManager.open(path, OPTIONS, now=fixed_now)) as store:
            start = msgspec.structs.replace(session_start(mode), account=whose)
            sessions.append(store.begin_session(start))
    with sqlite3.connect(path) as connection:
        for number, (session, status, sequence) in enumerate(
            [
                (sessions[0], "OPEN", 5),
                (sessions[0], "PARTIALLY_FILLED", 6),
                (sessions[0], "UNKNOWN", 7),
                (sessions[0], "CANCELED", 8),
                (sessions[0], "FILLED", 9),
                (sessions[1], "OPEN", 10),
                (sessions[2], "OPEN", 11),
            ]
        ):
            connection.execute(
                "INSERT INTO orders (id, session_id, side, price, size_xrp, created_at, status, "
                "offer_sequence) VALUES (?, ?, 'buy', '2', '1', '2026-01-01T00:00:00Z', ?, ?)",
                (1_000_000 + number, session, status, sequence),
            )
    connection.close()
    assert known_offers(path, account) == {5, 6, 7}
