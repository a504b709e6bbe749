"""The one place that picks the parts of a session: which feed, which exchange, which store.

Below it nothing asks whether a session is paper, replay or live.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from neo_engine.config import Config
from neo_engine.config_sections import ISSUER_FROM_FEED, is_endpoint
from neo_engine.domain.assets import Pair, currency_code
from neo_engine.domain.book import BookTracker
from neo_engine.domain.errors import StartupFailure, StateError, UsageError
from neo_engine.domain.ledger import FeedStart
from neo_engine.domain.number import drops_from_xrp
from neo_engine.event_log import say
from neo_engine.execution.paper import PaperExchange
from neo_engine.execution.paper_account import PaperAccount
from neo_engine.feed.pace import parse_speed
from neo_engine.feed.recorded import RecordedFeed
from neo_engine.feed.reference import open_reference
from neo_engine.feed.simulated import SimulatedFeed
from neo_engine.main_loop import MainLoop
from neo_engine.ops.clock import Countdown, SilenceTimer
from neo_engine.ops.control import FileControl
from neo_engine.ops.signals import SignalFlags
from neo_engine.ports import Clock, Feed
from neo_engine.session import Decide, Opening, Session, SessionResult, TickView, failed_start_stored
from neo_engine.simulator.agents.settings import DEFAULT_MARKET, market_settings
from neo_engine.state.manager import StateManager
from neo_engine.state.options import options_of
from neo_engine.tick import decide
from neo_engine.watch import NO_WATCH, Watch

EMBEDDED_RECORDING = Path(__file__).parent / "feed" / "data" / "calm.jsonl.gz"
EMBEDDED_SECONDS = 2_100  # of feed time in it
RECORDED, SIMULATED, XRPL = "recorded", "simulated", "xrpl"
PAPER_AGENT = "neo"  # the recordings' name for the account a paper session trades as
PAPER_ADDRESS = "paper-account"  # of a recording that names none
SPEED_REAL, SPEED_MAX = "real", "max"
MAX_ENDPOINTS = 10
COLLECT_AFTER_OBJECTS = 20_000  # some 3 MB of values: about fifty ticks
REPLAY = "replay"  # its decisions hang on recording, configuration and seed alone: it takes no new money


class SessionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line chose. recording None: the embedded one. speed: real, a number or max.

    market: of the simulated feed. endpoints: of the xrpl feed, the preferred one first. hypothesis: what the
    session is to find out.
    """

    config: Config
    db: Path
    mode: str
    feed: str
    recording: Path | None
    speed: str
    seed: int
    duration_seconds: int | None
    on_tick: Callable[[TickView], None]
    decide: Decide = decide
    market: str = DEFAULT_MARKET
    endpoints: tuple[str, ...] = ()
    watch: Watch = NO_WATCH
    hypothesis: str | None = None


class _Source(msgspec.Struct, frozen=True, kw_only=True):
    """A feed that is not open yet, what the session's row calls it, and what the operator is told of it."""

    feed: Feed
    name: str
    told: str


def run_session(options: SessionOptions, clock: Clock) -> SessionResult:
    """Run one paper or replay session to its end.

    Raises UsageError for a choice that cannot be, StartupFailure or StateError when the session
    cannot begin; a start that failed after the database was open leaves a session row with
    `startup_failure`.
    """
    source = _source(options, clock)
    # The signals come first and go last: one that comes while the database is opened or closed must not
    # cut that short.
    group = options.config.state.group_commit_ticks if options.speed == SPEED_MAX else 1
    with (
        SignalFlags() as signals,
        open_state(options.db, options.config, clock, group_commit_ticks=group) as store,
        failed_start_stored(
            store, clock, mode=options.mode, feed=options.feed, seed=options.seed, config=options.config
        ),
    ):
        return _run(options, clock, source, store, signals)


def _run(
    options: SessionOptions, clock: Clock, source: _Source, store: StateManager, signals: SignalFlags
) -> SessionResult:
    config = options.config
    feed = source.feed
    with closing(feed), closing(open_reference(config.reference)) as reference:
        start = feed.start()
        say.info("feed_chosen", "feed: {}", source.told)
        check_pair(config, start.pair)
        book = BookTracker(start.state)
        _check_transfer_fee(book)
        account, opening = _paper_account(config, start, book)
        exchange = PaperExchange(
            book=book,
            account=account,
            seed=options.seed,
            arrival_delay_ledgers=config.paper.arrival_delay_ledgers,
            last_ledger_offset=config.execution.last_ledger_offset,
            depth_levels=config.engine.depth_levels,
        )
        session = Session(
            config=config,
            feed=feed,
            feed_start=start,
            exchange=exchange,
            store=store,
            control=FileControl(options.db, clock, takes_capital=options.mode != REPLAY),
            clock=clock,
            signals=signals,
            mode=options.mode,
            feed_name=options.feed,
            pair=start.pair.symbol,
            account=account.address,
            opening=opening,
            recording=source.name,
            speed=options.speed,
            seed=options.seed,
            duration_seconds=options.duration_seconds,
            on_tick=options.on_tick,
            decide=options.decide,
            timer=silence_timer(config, clock, start),
            reference=reference,
            parts=store.parts,
            patience=Countdown(clock, config.state.outage_halt_seconds),
            # A recording has its own end, and at a low speed its ledgers may take long.
            ending=Countdown(clock, config.engine.shutdown_seconds) if start.live else None,
            watch=options.watch,
            hypothesis=options.hypothesis,
        )
        with closing(exchange), rare_collections():
            return MainLoop(session).run()


def silence_timer(config: Config, clock: Clock, start: FeedStart) -> SilenceTimer | None:
    """Return the timer of a live feed, None for one that tells its silences itself."""
    if not start.live:
        return None
    return SilenceTimer(
        clock,
        config.engine.tick_interval_seconds,
        start.close_time,
        pull_seconds=config.risk.stale_pull_seconds,
    )


@contextmanager
def rare_collections() -> Iterator[None]:
    """Let the collector of cycles look seldom: the engine's values form none, and a tick makes hundreds."""
    before = gc.get_threshold()
    gc.freeze()  # what start-up left stays to the end, so it need not be looked through again
    gc.set_threshold(COLLECT_AFTER_OBJECTS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextmanager
def open_state(
    db: Path, config: Config, clock: Clock, *, group_commit_ticks: int = 1, account_lock: Path | None = None
) -> Iterator[StateManager]:
    """Hold the database open. Raises StateError when it cannot be opened."""
    options = options_of(config, group_commit_ticks=group_commit_ticks, account_lock=account_lock)
    store = StateManager.open(db, options, now=clock.utc_now)
    try:
        yield store
    finally:
        try:
            store.close()
        except StateError as error:  # every tick is stored or given up by now: only the WAL stays
            say.error("database_close_failed", "closing the database: {}", error)


def _source(options: SessionOptions, clock: Clock) -> _Source:
    config, speed = options.config, parse_speed(options.speed)
    if config.mode != "paper":
        raise UsageError(f"mode: {config.mode} in the configuration; a paper session needs mode: paper")
    if options.feed == SIMULATED:
        market_settings(options.market)  # an unknown one is refused before the database is touched
        simulated = SimulatedFeed(options.market, seed=options.seed, speed=speed, clock=clock)
        told = f"simulated, market {options.market}, seed {options.seed} (else: --market, --recording)"
        return _Source(feed=simulated, name=simulated.source, told=told)
    if options.feed == XRPL:
        return _live_source(options, clock)
    path = options.recording or EMBEDDED_RECORDING
    if not path.is_file():
        raise UsageError(f"--recording {path}: no such file; give a recording (.jsonl or .jsonl.gz)")
    recorded = RecordedFeed(
        path, speed=speed, clock=clock, silence_after_seconds=config.risk.stale_pull_seconds
    )
    told = f"recorded, {'the embedded recording' if options.recording is None else path}"
    return _Source(feed=recorded, name=path.name, told=told)


def _has_port_or_none(endpoint: str) -> bool:
    """True unless what stands in the place of the port is no port."""
    try:
        return urlsplit(endpoint).port != 0
    except ValueError:
        return False


def checked_endpoints(endpoints: Sequence[str]) -> tuple[str, ...]:
    """Return the endpoints of the command line. Raises UsageError for one that no server can have."""
    for one in endpoints:
        if not is_endpoint(one) or not _has_port_or_none(one):
            raise UsageError(f"--endpoint {one}: write a WebSocket address, e.g. wss://xrplcluster.com")
    if len(set(endpoints)) < len(endpoints) or len(endpoints) > MAX_ENDPOINTS:
        raise UsageError(f"--endpoint: give each server once, and at most {MAX_ENDPOINTS}")
    return tuple(endpoints)


def _live_source(options: SessionOptions, clock: Clock) -> _Source:
    """Return the feed of a running network. Raises UsageError."""
    endpoints = checked_endpoints(options.endpoints)
    if not endpoints:
        raise UsageError(
            "--feed xrpl: needs a server, e.g. --endpoint wss://xrplcluster.com; without one use "
            "--feed recorded or --feed simulated"
        )
    if options.speed != SPEED_REAL:
        raise UsageError(
            f"--speed {options.speed}: the network sets the pace of the xrpl feed; leave --speed out"
        )
    # The sockets' library takes half a second to load, which no other feed should pay.
    from neo_engine.feed.live import LiveFeed, shown_endpoint
    from neo_engine.xrpl.gateway import Gateway, GatewayOptions

    pair, names = options.config.pair, tuple(shown_endpoint(one) for one in endpoints)
    stale = options.config.risk.stale_pull_seconds
    feed = LiveFeed(
        Gateway(GatewayOptions(endpoints=endpoints, stale_seconds=stale, seed=options.seed), clock),
        currency=currency_code(pair.quote_currency),
        issuer=None if pair.quote_issuer == ISSUER_FROM_FEED else pair.quote_issuer,
        clock=clock,
        names=names,
    )
    return _Source(feed=feed, name=names[0], told=f"xrpl, {', '.join(names)}")


def check_pair(config: Config, pair: Pair) -> None:
    """Raise StartupFailure if the feed trades another pair than the configuration means."""
    wanted, issuer = config.pair.quote_currency, config.pair.quote_issuer
    if currency_code(wanted) != pair.quote.currency:
        raise StartupFailure(
            f"pair.quote_currency is {wanted}, but the feed trades {pair.symbol}; "
            "set the key to the feed's token"
        )
    if issuer not in (ISSUER_FROM_FEED, pair.quote.issuer):
        raise StartupFailure(
            f"pair.quote_issuer is {issuer}, but the feed's token is issued by {pair.quote.issuer}; "
            f"set the key to that address or to {ISSUER_FROM_FEED}"
        )


def _check_transfer_fee(book: BookTracker) -> None:
    """Refuse a token whose issuer takes a fee on transfers: `domain.matching` knows none."""
    if book.transfer_rate != 1:
        raise StartupFailure(
            f"{book.pair.symbol}: the issuer takes a transfer fee (rate {book.transfer_rate}), which paper "
            "fills do not model; trade a token without one"
        )


def _paper_account(config: Config, start: FeedStart, book: BookTracker) -> tuple[PaperAccount, Opening]:
    address = start.accounts.get(PAPER_AGENT, PAPER_ADDRESS)
    if config.paper.start_from == "recording":
        root, line = book.account(address), book.line(address)
        if root is None or line is None:
            raise StartupFailure(
                f"paper.start_from is recording, but the recording holds no account `{PAPER_AGENT}` with "
                "a trust line; set it to config"
            )
        drops, quote, owner_count, sequence = (
            root.balance_drops,
            line.balance,
            root.owner_count,
            root.sequence,
        )
    else:
        drops = drops_from_xrp(config.paper.start_xrp, "ROUND_DOWN")
        quote, owner_count, sequence = Decimal(config.paper.start_rlusd), config.paper.start_owner_count, 1
    reserve = book.reserve_drops(owner_count)
    if drops <= reserve:
        raise StartupFailure(
            f"the paper account starts with {drops} drops, but {reserve} are its reserve; "
            "raise paper.start_xrp"
        )
    account = PaperAccount(
        address=address,
        balance_drops=drops,
        quote_balance=quote,
        owner_count=owner_count,
        sequence=sequence,
    )
    return account, Opening(base_drops=drops, quote=quote)
