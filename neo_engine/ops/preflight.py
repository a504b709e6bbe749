"""Everything that can be wrong before a live session, asked at once: key, servers, account, files.

The judging is `preflight_checks`; here is who is asked. Every question is put even where another one has
already failed, so one run shows all there is to put right. Nothing is signed for the ledger and nothing is
sent but questions (`simulate` runs an unsigned order that no server keeps).
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from neo_engine.config import Config
from neo_engine.config_sections import UNSET, LiveConfig
from neo_engine.domain.assets import currency_code
from neo_engine.domain.clock import LEDGER_EPOCH
from neo_engine.domain.errors import StartupFailure, StateError
from neo_engine.domain.orders import TERMINAL
from neo_engine.ops import preflight_checks as checks
from neo_engine.ops.clock import iso
from neo_engine.ops.control import kill_path
from neo_engine.ops.latch import check_latch
from neo_engine.ops.preflight_checks import Finding, Status, bad, doubtful, good
from neo_engine.ops.secrets import load_secret
from neo_engine.ports import Clock
from neo_engine.state.connection import check_folder, connect_reader
from neo_engine.state.lock import InstanceLock, account_lock_path, database_lock_path, lock_folder
from neo_engine.state.schema import current_version, load_migrations, migrations_folder
from neo_engine.xrpl.server import API_VERSION, UNKNOWN_COMMAND, Json, RequestLost, RequestRefused, Server
from neo_engine.xrpl.signer import Signer
from neo_engine.xrpl.snapshot import NO_POOL

REQUEST_SECONDS = 10.0
MAX_PAGES = 50  # of a list of the account's; 200 entries each
DISK_FAIL_BYTES, DISK_WARN_BYTES = 100_000_000, 1_000_000_000  # a year of ledgers takes some 8 GB
LIVE = "live"
#: What reading an answer raises that does not have the API's form.
_MALFORMED = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError)
#: SQLite's versions without the defect that `state/connection.py` tells of: from .. to, to excluded.
_SOUND_SQLITE = (((3, 44, 6), (3, 45, 0)), ((3, 50, 7), (3, 51, 0)), ((3, 51, 3), (99, 0, 0)))

Findings = Finding | list[Finding]


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint. server: None where it cannot be reached, `fault` says why then."""

    name: str
    server: Server | None
    fault: str = ""


def preflight(
    settings: Config,
    *,
    nodes: Sequence[Node],
    environment: Mapping[str, str],
    clock: Clock,
    database: Path | None,
) -> list[Finding]:
    """Return every finding, in the order in which a session would run into them.

    environment: where `live.key_source` may find the seed.
    """
    live = settings.live
    found = [checks.config(settings)]
    if live is None:
        return found
    signer, about_key = _key(live, environment)
    found += about_key
    found.append(checks.start_spread(settings))
    asked, best = _nodes(nodes, settings, live, clock)
    found += asked
    if best is not None:
        found += _ledger_findings(best, settings, live, signer, database)
    if database is None:
        found.append(doubtful("database", "not looked at", "give the session's database with --db"))
    else:
        found += _files(database, clock)
    if live.account != UNSET:
        found += _judged("engine", lambda: _other_engine(live.account, clock))
    found.append(_sqlite(sqlite3.sqlite_version_info[:3]))
    return found


def _judged(check: str, judge: Callable[[], Findings]) -> list[Finding]:
    """Return what a check finds; a question without a usable answer is a failed check."""
    try:
        found = judge()
    except RequestRefused as error:
        return [bad(check, str(error), "see this error at xrpl.org, or use another endpoint")]
    except RequestLost as error:
        return [bad(check, str(error), "use another endpoint")]
    except (StartupFailure, StateError) as error:
        return [bad(check, *_what_and_fix(str(error)))]
    except _MALFORMED as error:
        text = f"the answer is not of the API's form ({type(error).__name__}: {error})"
        return [bad(check, text, "use another endpoint")]
    return [found] if isinstance(found, Finding) else found


def _what_and_fix(text: str) -> tuple[str, str]:
    """Return the two halves of an error's text: what is wrong, and after the last semicolon what to do."""
    what, _, fix = text.rpartition("; ")
    return (what, fix) if what else (text, "use another endpoint, key or file")


def _key(live: LiveConfig, environment: Mapping[str, str]) -> tuple[Signer | None, list[Finding]]:
    signers: list[Signer] = []

    def load() -> Finding:
        secret = load_secret(live.key_source, environment)
        if live.account == UNSET:
            return doubtful("key", "loads", "it is compared with the account once live.account is set")
        signer = Signer(secret, account=live.account, regular_key=live.regular_key)
        signers.append(signer)
        how = "native" if signer.native else "xrpl-py's (docs/live.md: a faster one)"
        return good("key", f"{signer.algorithm} key of {signer.address}, signing is {how}")

    found = _judged("key", load)
    return (signers[0] if signers else None), found


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A server that answered, and what it said of itself."""

    server: Server
    info: Json


def _ask(server: Server, command: str, **parameters: object) -> Json:
    return server.request(
        command, timeout_seconds=REQUEST_SECONDS, **{"api_version": API_VERSION, **parameters}
    )


def _pages(server: Server, command: str, key: str, **parameters: object) -> Iterator[Json]:
    """Yield every entry of a list, over all its pages."""
    marker: dict[str, object] = {}
    for _ in range(MAX_PAGES):
        reply = _ask(server, command, **parameters, **marker)
        yield from reply[key]
        if "marker" not in reply:
            return
        marker = {"marker": reply["marker"]}
    raise RequestLost(command, f"more than {MAX_PAGES} pages", sent=True)


def _nodes(
    nodes: Sequence[Node], settings: Config, live: LiveConfig, clock: Clock
) -> tuple[list[Finding], _Asked | None]:
    """Return what is found of each node, and the first good one; one good node makes the others' ills mild.

    The wrong network is never mild: an order could end up there.
    """
    asked = [_node(node, settings, live, clock) for node in nodes]
    sound = [one for found, one in asked if one is not None and not failed(found)]
    reached = [one for _, one in asked if one is not None]
    told = []
    for node, (found, _) in zip(nodes, asked, strict=True):
        for one in found:
            mild = bool(sound) and one.status is Status.FAIL and one.check != "network"
            told.append(
                msgspec.structs.replace(
                    one,
                    status=Status.WARN if mild else one.status,
                    found=f"{node.name}: {one.found}",
                )
            )
    return told, next(iter(sound or reached), None)


def _node(
    node: Node, settings: Config, live: LiveConfig, clock: Clock
) -> tuple[list[Finding], _Asked | None]:
    server = node.server
    if server is None:
        return [bad("node", *_what_and_fix(node.fault))], None
    infos: list[Json] = []

    def info() -> Finding:
        told = _ask(server, "server_info")["info"]
        state = checks.node_state(told)
        infos.append(told)  # only what has the form of one is looked at further
        return state

    found = _judged("node", info)
    if not infos:
        return found, None
    now = int((clock.utc_now() - LEDGER_EPOCH).total_seconds())

    def time() -> Finding:
        index = infos[0]["validated_ledger"]["seq"]
        closed = _ask(server, "ledger", ledger_index=index)["ledger"]["close_time"]
        return checks.clock(infos[0], int(closed), now)

    found += _judged("ledger", lambda: checks.node_ledger(infos[0], settings))
    found += _judged("network", lambda: checks.network(infos[0], live))
    if "validated_ledger" in infos[0]:
        found += _judged("clock", time)
    return found, _Asked(server=server, info=infos[0])


def _ledger_findings(
    asked: _Asked, settings: Config, live: LiveConfig, signer: Signer | None, database: Path | None
) -> list[Finding]:
    server, found = asked.server, []
    issuers: list[Json] = []

    def issuer() -> list[Finding]:
        issuers.append(_root(server, settings.pair.quote_issuer))
        return [*checks.issuer(issuers[0]), checks.tick_size(issuers[0], settings)]

    found += _judged("issuer", issuer)
    found += _judged("pool", lambda: checks.pool(_pool(server, settings)))
    found += _judged("fees", lambda: checks.fees(_ask(server, "fee"), settings))
    if live.account == UNSET:
        return found
    roots: list[Json] = []

    def account() -> Finding:
        roots.append(_root(server, live.account))
        return good("account", f"exists, sequence {roots[0]['Sequence']}")

    found += _judged("account", account)
    if not roots:
        return found
    root = roots[0]
    if signer is not None:
        found += _judged("authority", lambda: checks.authority(root, signer.address, live))
    if issuers:
        found += _judged("trust line", lambda: _line(server, issuers[0], settings, live))
    found += _judged("reserve", lambda: checks.reserve(root, asked.info, settings, live))
    found += _judged("offers", lambda: _offers(server, live, database))
    found += _judged("tickets", lambda: checks.tickets(root, live))
    return found + _judged("trial order", lambda: _trial(server, settings, live))


def _root(server: Server, account: str) -> Json:
    """Return an account's entry in the last validated ledger. Raises StartupFailure if there is none."""
    try:
        reply: Json = _ask(server, "account_info", account=account, ledger_index="validated")["account_data"]
    except RequestRefused as error:
        if error.token == "actNotFound":
            raise StartupFailure(
                f"{account} is not on this network; fund it, or check address and network"
            ) from error
        raise
    return reply


def _pool(server: Server, settings: Config) -> Json | None:
    """Return what the server says of the pair's pool, None without one."""
    token = {"currency": currency_code(settings.pair.quote_currency), "issuer": settings.pair.quote_issuer}
    try:
        return _ask(server, "amm_info", asset={"currency": "XRP"}, asset2=token, ledger_index="validated")
    except RequestRefused as error:
        if error.token in NO_POOL:
            return None
        raise


def _line(server: Server, issuer_root: Json, settings: Config, live: LiveConfig) -> list[Finding]:
    issuer = settings.pair.quote_issuer
    lines = _pages(
        server, "account_lines", "lines", account=live.account, peer=issuer, ledger_index="validated"
    )
    return checks.trust_line(list(lines), issuer_root, settings)


def _offers(server: Server, live: LiveConfig, database: Path | None) -> Finding:
    found = _pages(server, "account_offers", "offers", account=live.account, ledger_index="validated")
    return checks.offers(list(found), known_offers(database, live.account))


def known_offers(database: Path | None, account: str) -> frozenset[int]:
    """Return the sequences of the offers that the database holds for working, none without a database.

    Raises StateError for a file that is no database of ours.
    """
    if database is None or not database.exists():
        return frozenset()
    ended = sorted(status.value for status in TERMINAL)
    with closing(connect_reader(database)) as connection:
        if not current_version(connection, load_migrations(migrations_folder()), database):
            return frozenset()
        rows = connection.execute(
            "SELECT o.offer_sequence FROM orders o JOIN sessions s USING (session_id) "
            "WHERE s.mode = ? AND s.account = ? AND o.offer_sequence IS NOT NULL "
            f"AND o.status NOT IN ({', '.join('?' * len(ended))})",
            (LIVE, account, *ended),
        )
        return frozenset(int(row[0]) for row in rows)


def _trial(server: Server, settings: Config, live: LiveConfig) -> Finding:
    try:
        return checks.simulated(_ask(server, "simulate", tx_json=checks.probe(settings, live)))
    except RequestRefused as error:
        if error.token == UNKNOWN_COMMAND:
            told = "this server has no simulate, so no order was tried"
            return doubtful("trial order", told, "a session needs none; for `--dry-run` use another endpoint")
        raise


def _files(database: Path, clock: Clock) -> list[Finding]:
    found = _judged("database", lambda: _database(database, clock))
    found += _judged("kill switch", lambda: _kill_switch(database, clock))
    if not failed(found[:1]):
        found += _judged("disk", lambda: _disk(shutil.disk_usage(database.resolve().parent).free))
    return found


def _database(database: Path, clock: Clock) -> Finding:
    check_folder(database)
    if not database.exists():
        return good("database", f"{database} will be made")
    InstanceLock.acquire(database_lock_path(database), str(database), iso(clock.utc_now())).release()
    known = load_migrations(migrations_folder())
    with closing(connect_reader(database)) as connection:
        version = current_version(connection, known, database)
    if version < len(known):
        told = f"{database}: schema {version} of {len(known)}"
        return doubtful("database", told, "back it up; the next session upgrades it")
    return good("database", f"{database}: schema {version}")


def _kill_switch(database: Path, clock: Clock) -> Finding:
    """Check for a kill file, and for a latch that an earlier session left in force."""
    kill = kill_path(database)
    if kill.exists():
        return bad("kill switch", f"{kill} is there", "remove it: the next session would halt at once")
    state: dict[str, str] = {}
    if database.exists():
        known = load_migrations(migrations_folder())
        with closing(connect_reader(database)) as connection:
            if current_version(connection, known, database):
                state = dict(connection.execute("SELECT key, value FROM engine_state"))
    check_latch(state, clock.utc_now(), database)
    return good("kill switch", "not set")


def _disk(free: int) -> Finding:
    told = f"{free // 1_000_000} MB free"
    if free < DISK_FAIL_BYTES:
        return bad("disk", told, "free space on the database's disk")
    if free < DISK_WARN_BYTES:
        return doubtful("disk", told, "enough for weeks, not for a year")
    return good("disk", told)


def _other_engine(account: str, clock: Clock) -> Finding:
    path = account_lock_path(lock_folder(), account, LIVE)
    if path.exists():
        InstanceLock.acquire(path, account, iso(clock.utc_now())).release()
    return good("engine", "no other one trades this account on this machine")


def _sqlite(version: tuple[int, ...]) -> Finding:
    told = f"SQLite {'.'.join(map(str, version))}"
    if any(first <= version < end for first, end in _SOUND_SQLITE):
        return good("sqlite", told)
    note = "has the WAL-reset bug, which one writing connection avoids; open the database with mode=ro only"
    return good("sqlite", f"{told}: {note}")


def failed(found: Sequence[Finding]) -> bool:
    """True if anything must be put right before a session."""
    return any(one.status is Status.FAIL for one in found)
