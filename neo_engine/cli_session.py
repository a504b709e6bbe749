"""The commands that run a session: paper and replay."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from decimal import Decimal
from pathlib import Path

import msgspec

from neo_engine.bootstrap import EMBEDDED_SECONDS, RECORDED, SIMULATED, XRPL, SessionOptions, run_session
from neo_engine.config import Config, load_config
from neo_engine.domain.clock import ledger_seconds
from neo_engine.domain.errors import StateError, UsageError
from neo_engine.domain.halt import exit_code
from neo_engine.domain.number import plain, xrp_from_drops
from neo_engine.ops.clock import SystemClock
from neo_engine.ops.logs import setup_logging
from neo_engine.report.live import make_viewer
from neo_engine.scripted import Script, read_orders
from neo_engine.session import Decide, SessionResult, TickView
from neo_engine.simulator.agents.settings import DEFAULT_MARKET
from neo_engine.state import queries
from neo_engine.tick import decide
from neo_engine.watch import watched

DEFAULT_CONFIG = Path(__file__).resolve().parent.parent / "config" / "paper.yaml"
PAPER = "paper"
FILL_COLUMNS = (
    "order",
    "offset",
    "ledger_index",
    "close_time",
    "tx_hash",
    "side",
    "sequence",
    "xrp",
    "rlusd",
    "price",
    "role",
)
BOOK_SIDE = {"buy": "bid", "sell": "ask"}


def paper(options: argparse.Namespace) -> int:
    """Run a timed paper session."""
    feed = chosen_feed(options)
    config = load_config(options.config)
    result = _run(options, config, mode=PAPER, feed=feed, duration=options.duration, decision=decide)
    return finish(options, result)


def chosen_feed(options: argparse.Namespace) -> str:
    """Return the feed of a paper session: as asked for, or the one that fits what else was asked for.

    Raises UsageError for two choices that exclude each other.
    """
    feed: str | None = options.feed
    if options.endpoint and feed != XRPL:
        raise UsageError("--endpoint: only the xrpl feed has servers; add --feed xrpl or leave it out")
    if options.recording is not None and feed == XRPL:
        raise UsageError("--recording: the xrpl feed reads no file; leave it or --feed xrpl out")
    if options.recording is not None and SIMULATED in (feed, options.market and SIMULATED):
        raise UsageError("--recording: a simulated market reads no file; leave it or --market out")
    if options.market is not None and feed not in (None, SIMULATED):
        raise UsageError(f"--market: only the simulated feed has markets, not --feed {feed}; leave one out")
    if feed is not None:
        return feed
    if options.recording is not None:
        return RECORDED
    long = options.market is not None or options.duration > EMBEDDED_SECONDS
    return SIMULATED if long else RECORDED


def replay(options: argparse.Namespace) -> int:
    """Run the engine or a list of orders against a recording, or a live session's journal again."""
    if options.journal is not None:
        return _play(options)
    config = load_config(options.config or DEFAULT_CONFIG)
    if options.fills_csv is not None:
        _check_target(options.fills_csv)
    decision: Decide = decide
    if options.orders is not None:
        config = limits_off(config)
        decision = Script(read_orders(options.orders)).decide
    result = _run(options, config, mode="replay", feed="recorded", duration=None, decision=decision)
    if options.fills_csv is not None:
        _write_fills(options.db, result, options.fills_csv)
    return finish(options, result)


def _play(options: argparse.Namespace) -> int:
    """Play a journal: it has configuration, seed and orders of its own."""
    for name in ("config", "orders", "fills_csv"):
        if getattr(options, name) is not None:
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag}: a journal has its own configuration and orders; leave it out")
    # The live parts bring keys and codec, which take half a second to import.
    from neo_engine.live_replay import play_journal

    clock, quiet = SystemClock(), options.quiet or options.json
    setup_logging("INFO", quiet=quiet)
    with ExitStack() as stack:

        def viewer(config: Config) -> Callable[[TickView], None]:
            made = make_viewer(config, clock, quiet=quiet, speed="max")
            stack.callback(made.close)
            return made.update

        result = play_journal(options.journal, options.db, clock, viewer)
    return finish(options, result)


def limits_off(config: Config) -> Config:
    """Return `config` for a list of orders: the recording's own account, no expiry, no monitor in the way."""
    huge = Decimal(10) ** 12
    never = 1_000_000
    risk = config.risk.model_copy(
        update={
            "max_xrp_exposure": huge,
            "max_rlusd_exposure": huge,
            "max_loss_rlusd": huge,
            "max_daily_loss_rlusd": huge,
            "max_drawdown_pct": Decimal(100),
            "max_feed_failures": never,
            "max_unhealthy_ticks": never,
            "stale_halt_seconds": never,
            "stale_data_seconds": never,
        }
    )
    monitors = config.monitors.model_copy(
        update={
            "velocity_pull_pct": huge,
            "velocity_kill_pct": huge,
            "cascade_pull": huge,
            "cascade_kill": huge,
            "price_pull_pct": huge,
            "price_kill_pct": huge,
            "balance_jump_pct": huge,
            "submit_errors_pull": never,
            "reject_pull_share": Decimal(1),
            "reject_window": never,
            "reserve_reduce_xrp": Decimal(0),
            "fee_pull_drops": 10**12,
            "depeg_kill_pct": huge,
        }
    )
    paper_account = config.paper.model_copy(update={"start_from": "recording"})
    return config.model_copy(update={"risk": risk, "monitors": monitors, "paper": paper_account})


def _run(
    options: argparse.Namespace,
    config: Config,
    *,
    mode: str,
    feed: str,
    duration: int | None,
    decision: Decide,
) -> SessionResult:
    clock = SystemClock()
    quiet = options.quiet or options.json
    market = getattr(options, "market", None) or DEFAULT_MARKET  # a replay knows no markets
    with (
        watched(config, options.db, quiet=quiet, alerts=mode == PAPER) as watch,
        closing(make_viewer(config, clock, quiet=quiet, speed=options.speed)) as viewer,
    ):
        on_tick: Callable[[TickView], None] = viewer.update
        return run_session(
            SessionOptions(
                config=config,
                db=options.db,
                mode=mode,
                feed=feed,
                recording=options.recording,
                market=market,
                endpoints=tuple(getattr(options, "endpoint", ())),
                hypothesis=getattr(options, "hypothesis", None),
                speed=options.speed,
                seed=options.seed,
                duration_seconds=duration,
                on_tick=on_tick,
                decide=decision,
                watch=watch,
            ),
            clock,
        )


def result_document(options: argparse.Namespace, result: SessionResult, code: int) -> dict[str, object]:
    """Return what `--json` prints of a session."""
    return {
        "session_id": result.session_id,
        "db": str(options.db),
        "halt_reason": result.halt.reason.value,
        "halt_detail": result.halt.detail,
        "exit_code": code,
        "ticks": result.ticks,
        "ledgers": result.ledgers,
        "fingerprint": result.fingerprint,
        **result.summary,
    }


def finish(options: argparse.Namespace, result: SessionResult) -> int:
    """Tell how a session ended, on stdout with --json, and return the exit code."""
    code = exit_code(result.halt.reason)
    if options.json:
        document = result_document(options, result, code)
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    else:
        print(
            f"session {result.session_id}: {result.halt.reason.value} ({result.halt.detail}), "
            f"{result.ledgers} ledgers, fingerprint {result.fingerprint[:16]}; "
            f"report: python summarize_paper_run.py --db {options.db} --session {result.session_id}",
            file=sys.stderr,
        )
    return code


def _check_target(target: Path) -> None:
    """Raise UsageError unless the file can be written: better before a session than after it."""
    try:
        with target.open("a", encoding="utf-8"):
            return
    except OSError as error:
        raise UsageError(
            f"--fills-csv {target}: cannot be written ({error.strerror}); name another file"
        ) from error


def _write_fills(db: Path, result: SessionResult, target: Path) -> None:
    with closing(queries.open_readonly(db)) as connection:
        first = connection.execute(
            "SELECT first_ledger FROM sessions WHERE session_id = ?", (result.session_id,)
        ).fetchone()[0]
        rows = connection.execute(
            "SELECT o.order_no, f.ledger_index - ?, f.ledger_index, f.close_time, f.tx_hash, f.side, "
            "f.offer_sequence, f.xrp_drops, f.rlusd, f.price, f.liquidity "
            "FROM fills f JOIN orders o ON o.id = f.order_id WHERE f.session_id = ? ORDER BY f.id",
            (first, result.session_id),
        ).fetchall()
    try:
        with target.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(FILL_COLUMNS)
            writer.writerows(_fill_row(row) for row in rows)
    except OSError as error:
        raise StateError(
            f"--fills-csv {target}: cannot be written ({error.strerror}); name another file"
        ) from error


def _fill_row(row: tuple[object, ...]) -> tuple[object, ...]:
    number, offset, ledger_index, close_time, tx_hash, side, sequence, drops, rlusd, price, role = row
    return (
        number,
        offset,
        ledger_index,
        ledger_seconds(str(close_time)),
        tx_hash,
        BOOK_SIDE[str(side)],
        sequence,
        plain(xrp_from_drops(int(str(drops)))),
        rlusd,
        price,
        role,
    )
