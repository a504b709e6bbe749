"""What must be true before a live session, one function a subject: answers of a server in, findings out.

Nothing here asks, reads or waits. An answer is the `result` of rippled's API, version 2; amounts are texts,
`server_info` alone gives XRP as JSON numbers, which are read by their decimal text.

Sources: xrpl.org "server_info", "account_info", "account_lines"; rippled LedgerFormats.h for the flags;
reserve = base + owner count x increment (rippled Fees.h).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum

import msgspec

from neo_engine.config import Config
from neo_engine.config_sections import UNSET, LiveConfig
from neo_engine.domain.assets import currency_code
from neo_engine.domain.number import drops_from_xrp, plain, xrp_from_drops
from neo_engine.strategy.chain import MULTIPLIER
from neo_engine.strategy.signals import KEYS, startup_factors
from neo_engine.xrpl.server import Json

CLIO = "clio_version"  # in the server_info of a Clio server alone
SYNCED = ("full", "validating", "proposing")
GLOBAL_FREEZE, REQUIRE_AUTH, CAN_CLAW_BACK = 0x0040_0000, 0x0004_0000, 0x8000_0000
DISABLE_MASTER = 0x0010_0000
NO_TRANSFER_FEE = 1_000_000_000  # rippled: parityRate, TransferRate 1
HISTORY_LEDGERS = 256  # an hour's restart is looked up in it with room to spare
CLOCK_WARN_SECONDS, CLOCK_FAIL_SECONDS = 5, 20
LOAD_WARN = 2
START_MULTIPLIER_BELOW = 2  # from here on a start would be as wide as a market in trouble
SHOWN_MAX = 10  # offers named one by one
POOL_FEE_UNITS_PER_PERCENT = 1_000  # TradingFee counts in 1/100,000 (xrpl.org, "AMM")
PROBE_DROPS = 1_000_000
PROBE_PRICE = 1_000_000  # token per XRP of the simulated ask: nobody takes it
IMPLICIT_NETWORKS = 1024  # NetworkID stands in a transaction only above it (xrpl.org, "Common Fields")
_SELL = 0x0008_0000  # tfSell


class Status(StrEnum):
    """Of a finding; only a failed one keeps a session from starting."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "FAIL"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line. fix: what to do, empty where there is nothing to do."""

    check: str
    status: Status
    found: str
    fix: str = ""


def good(check: str, found: str) -> Finding:
    """Return a finding that is as it must be."""
    return Finding(check=check, status=Status.PASS, found=found)


def doubtful(check: str, found: str, fix: str) -> Finding:
    """Return a finding that a session can live with."""
    return Finding(check=check, status=Status.WARN, found=found, fix=fix)


def bad(check: str, found: str, fix: str) -> Finding:
    """Return a finding that must be put right first."""
    return Finding(check=check, status=Status.FAIL, found=found, fix=fix)


def config(settings: Config) -> Finding:
    """Check that the file is for a live session and says whose."""
    live = settings.live
    if live is None:
        return bad("config", f"mode: {settings.mode}", "start from config/live_testnet.yaml")
    if live.account == UNSET:
        return bad("config", "live.account is unset", "write your account's address there")
    return good("config", f"live, account {live.account}, {settings.pair.quote_currency}")


def start_spread(settings: Config) -> Finding:
    """Check that a session which knows nothing yet quotes near enough to trade, and so to learn."""
    factors = startup_factors(settings)
    multiplier = factors.pop(MULTIPLIER)
    told = f"starts at {plain(multiplier)} x its base"
    if multiplier < START_MULTIPLIER_BELOW:
        return good("start spread", told)
    widest = max(KEYS, key=lambda name: factors[name])
    key = KEYS[widest]
    named = f"{told}, not below {START_MULTIPLIER_BELOW}: {widest} {plain(factors[widest])} ({key})"
    return bad("start spread", named, f"lower {key}")


def node_state(info: Json) -> Finding:
    """Check that the server follows the network and is not overtaken by an amendment.

    A Clio server has no state of its own: all it shows is validated, and how old that is is asked of any
    server. The rippled behind it is named only where it answers now (Clio ServerInfo.hpp).
    """
    load = Decimal(str(info.get("load_factor", 1)))
    if info.get("amendment_blocked"):
        return bad("node", "amendment blocked", "this server must be updated; use another endpoint")
    if CLIO in info:
        if not info.get("rippled_version"):
            told = f"Clio {info[CLIO]} has no server to hand transactions to"
            return bad("node", told, "wait, or use another endpoint")
        told = f"Clio {info[CLIO]} before rippled {info['rippled_version']}"
    else:
        state = info.get("server_state")
        if state not in SYNCED:
            return bad("node", f"server_state {state}", "it has no network; wait, or use another endpoint")
        told = f"{info.get('build_version', '?')}, {state}"
    told = f"{told}, load factor {plain(load)}"
    if load > LOAD_WARN:
        return doubtful("node", told, "it is under load and asks higher fees; another endpoint may not")
    return good("node", told)


def node_ledger(info: Json, settings: Config) -> Finding:
    """Check that the server's last validated ledger is fresh and that it keeps those before it.

    The server counts from the close time, which the network rounds to 10 s: a sound one may say 13 s.
    """
    last = info.get("validated_ledger")
    if last is None:
        return bad("ledger", "no validated ledger", "the server is not in sync; use another endpoint")
    age, limit = int(last.get("age", 0)), settings.risk.stale_data_seconds
    if age > limit:
        return bad(
            "ledger",
            f"{last['seq']} is {age} s old, risk.stale_data_seconds is {limit}",
            "the server is behind; use another endpoint",
        )
    kept = _history(str(info.get("complete_ledgers", "")), int(last["seq"]))
    told = f"{last['seq']}, {age} s old, {kept} ledgers without a gap"
    if kept < HISTORY_LEDGERS:
        return doubtful(
            "ledger", told, f"fewer than {HISTORY_LEDGERS}: a long absence could not be looked up"
        )
    return good("ledger", told)


def _history(ranges: str, last: int) -> int:
    """Return how many ledgers up to `last` the server has: "" and "empty" are none."""
    for part in ranges.split(","):
        first, _, end = part.strip().partition("-")
        if first.isdigit() and int(first) <= last <= int(end or first):
            return last - int(first) + 1
    return 0


def network(info: Json, live: LiveConfig) -> Finding:
    """Check that the server is on the network that the file means; one that tells none is on network 0."""
    found = int(info.get("network_id", 0))
    if found != live.network_id:
        return bad(
            "network",
            f"the server is on network {found}, live.network_id is {live.network_id}",
            "use an endpoint of the wanted network, or correct the key",
        )
    return good("network", f"{found}")


def clock(info: Json, close_time: int, now: int) -> Finding:
    """Check this machine's clock; all times in seconds since 2000-01-01.

    close_time: of the validated ledger whose age the server tells, so their sum is the server's now.
    """
    off = now - (close_time + int(info.get("validated_ledger", {}).get("age", 0)))
    told = f"{abs(off)} s {'ahead of' if off > 0 else 'behind'} the server"
    fix = "set this machine's time (NTP): offers expire by the ledger's clock"
    if abs(off) > CLOCK_FAIL_SECONDS:
        return bad("clock", told, fix)
    if abs(off) > CLOCK_WARN_SECONDS:
        return doubtful("clock", told, fix)
    return good("clock", f"within {abs(off)} s of the server")


def authority(root: Json, address: str, live: LiveConfig) -> Finding:
    """Check that the key `address` may speak for the account whose entry is `root`."""
    if not live.regular_key:
        if int(root.get("Flags", 0)) & DISABLE_MASTER:
            return bad("authority", "the account's master key is disabled", "use its regular key's seed")
        return good("authority", "master key, enabled")
    if root.get("RegularKey") != address:
        return bad(
            "authority",
            f"the key is {address}, the account's regular key is {root.get('RegularKey', 'not set')}",
            "set it (SetRegularKey with the master key), or give the seed of the one that is set",
        )
    return good("authority", f"regular key {address}")


def issuer(root: Json) -> list[Finding]:
    """Check what the token's issuer has frozen, what he takes and what he may do."""
    flags, fee = int(root.get("Flags", 0)), int(root.get("TransferRate", 0))
    found = []
    if flags & GLOBAL_FREEZE:
        found.append(bad("issuer", "froze the token for everybody", "nothing can trade until he lifts it"))
    else:
        back = "he can claw back what you hold" if flags & CAN_CLAW_BACK else "no clawback"
        found.append(good("issuer", f"no global freeze; {back}"))
    if fee not in (0, NO_TRANSFER_FEE):
        percent = plain(Decimal(fee - NO_TRANSFER_FEE) / 10_000_000)
        found.append(bad("transfer fee", f"{percent} %", "the engine trades tokens without one only"))
    else:
        found.append(good("transfer fee", "none"))
    return found


def tick_size(root: Json, settings: Config) -> Finding:
    """Check that prices can be told apart finely enough: N digits step by at most 10^(5-N) bps."""
    digits = int(root.get("TickSize", 16))
    step = Decimal(10) ** (5 - digits)
    told = f"{digits} digits" if digits < 16 else "not set (16 digits)"
    if step > settings.strategy.half_spread_min_bps:
        return doubtful(
            "tick size",
            f"{told}: a step is up to {plain(step)} bps",
            "raise strategy.half_spread_min_bps above it",
        )
    return good("tick size", told)


def trust_line(lines: Sequence[Json], issuer_root: Json, settings: Config) -> list[Finding]:
    """Check our line to the issuer. lines: those of account_lines with him as the peer."""
    symbol, code = settings.pair.quote_currency, currency_code(settings.pair.quote_currency)
    line = next((one for one in lines if currency_code(str(one["currency"])) == code), None)
    if line is None:
        return [bad("trust line", f"none for {symbol}", "make one (TrustSet to pair.quote_issuer)")]
    balance, limit = Decimal(str(line["balance"])), Decimal(str(line["limit"]))
    told = f"{plain(balance)} {symbol}, limit {plain(limit)}"
    found = []
    if line.get("freeze_peer") or line.get("deep_freeze_peer"):
        found.append(bad("trust line", "frozen by the issuer", "only he can lift it"))
    if line.get("freeze") or line.get("deep_freeze"):
        found.append(bad("trust line", "frozen by yourself", "lift it (TrustSet with tfClearFreeze)"))
    if int(issuer_root.get("Flags", 0)) & REQUIRE_AUTH and not line.get("peer_authorized"):
        found.append(bad("trust line", "not authorised by the issuer", "ask him to authorise your account"))
    if not line.get("no_ripple"):
        fix = "set it (TrustSet with tfSetNoRipple), so that nobody's payment moves your balance"
        found.append(doubtful("trust line", "no_ripple is not set", fix))
    if limit < settings.risk.max_rlusd_exposure:
        fix = "raise the line's limit, or lower risk.max_rlusd_exposure"
        found.append(doubtful("trust line", f"{told}, below risk.max_rlusd_exposure", fix))
    if balance < settings.order_size.min_notional_rlusd:
        fix = f"bring in {symbol} if bids shall be quoted from the start"
        found.append(doubtful("trust line", f"{told}: too little for a bid", fix))
    return found or [good("trust line", told)]


def reserve(root: Json, info: Json, settings: Config, live: LiveConfig) -> Finding:
    """Check that reserves, the buffer and one order fit into the balance, with all orders and tickets."""
    ledger = info.get("validated_ledger", {})
    base, each = (
        drops_from_xrp(Decimal(str(ledger[name])), "ROUND_UP")
        for name in ("reserve_base_xrp", "reserve_inc_xrp")
    )
    owned, more = int(root.get("OwnerCount", 0)), settings.risk.max_open_orders + live.tickets
    needed = base + (owned + more) * each + drops_from_xrp(settings.inventory.xrp_buffer, "ROUND_UP")
    balance = int(root["Balance"])
    told = (
        f"{plain(xrp_from_drops(balance))} XRP; {plain(xrp_from_drops(needed))} are reserve and buffer with "
        f"{owned} objects, {settings.risk.max_open_orders} orders and {live.tickets} tickets"
    )
    if balance < needed:
        short = plain(xrp_from_drops(needed - balance))
        return bad("reserve", told, f"bring in {short} XRP, or lower risk.max_open_orders or live.tickets")
    return good("reserve", told)


def offers(found: Sequence[Json], known: frozenset[int]) -> Finding:
    """Check for open offers. known: sequences of those that the database tells of."""
    strange = sorted(int(one["seq"]) for one in found if int(one["seq"]) not in known)
    if not strange:
        return good("offers", f"{len(found)} open, all known" if found else "none open")
    named = ", ".join(str(one) for one in strange[:SHOWN_MAX])
    more = f" and {len(strange) - SHOWN_MAX} more" if len(strange) > SHOWN_MAX else ""
    return bad(
        "offers",
        f"{len(strange)} of {len(found)} open offers unknown to the database: OfferSequence {named}{more}",
        "cancel them with `flatten`, or take them over with `live --adopt-offers`, or `live` refuses",
    )


def pool(reply: Json | None) -> Finding:
    """Say what the pair's pool asks; reply: of `amm_info`, None without a pool."""
    if reply is None:
        return good("pool", "none: the book alone is quoted on, and no pool's fee bounds the spread")
    fee = Decimal(int(reply["amm"]["trading_fee"])) / POOL_FEE_UNITS_PER_PERCENT
    return good("pool", f"there, its fee is {plain(fee)} %")


def tickets(root: Json, live: LiveConfig) -> Finding:
    """Check how many tickets the account holds."""
    held = int(root.get("TicketCount", 0))
    told = f"{held} on the account, live.tickets is {live.tickets}"
    if held > live.tickets:
        return doubtful("tickets", told, "each holds the owner reserve; use them up if they are not wanted")
    return good("tickets", told)


def fees(reply: Json, settings: Config) -> Finding:
    """Check what a transaction costs now against risk.max_fee_drops. reply: of `fee`."""
    now, cap = int(reply["drops"]["open_ledger_fee"]), settings.risk.max_fee_drops
    told = f"{now} drops now, risk.max_fee_drops is {cap}"
    if now > cap:
        return bad("fees", told, "wait until the network is calmer, or raise the cap")
    if now * 2 > cap:
        return doubtful("fees", told, "a little more load and nothing can be sent; raise the cap")
    return good("fees", told)


def probe(settings: Config, live: LiveConfig) -> Json:
    """Return an unsigned ask that nobody would take, for `simulate`: 1 XRP at a price out of reach."""
    token = {
        "currency": currency_code(settings.pair.quote_currency),
        "issuer": settings.pair.quote_issuer,
        "value": str(PROBE_PRICE * PROBE_DROPS // 1_000_000),
    }
    tx_json: Json = {
        "TransactionType": "OfferCreate",
        "Account": live.account,
        "TakerGets": str(PROBE_DROPS),
        "TakerPays": token,
        "Flags": _SELL,
        "SourceTag": live.source_tag,
    }
    if live.network_id > IMPLICIT_NETWORKS:
        tx_json["NetworkID"] = live.network_id
    return tx_json


def simulated(reply: Json) -> Finding:
    """Check what the server would have made of the probe."""
    result = str(reply.get("engine_result"))
    if result == "tesSUCCESS":
        return good("trial order", "would be placed (simulated, nothing was sent)")
    fix = "see the other lines, and xrpl.org, Transaction Results"
    return bad("trial order", f"{result}: {reply.get('engine_result_message', '')}", fix)
