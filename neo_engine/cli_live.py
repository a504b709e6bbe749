"""The commands that speak for an account on a network: `live` and `flatten`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from neo_engine.cli_session import finish, result_document
from neo_engine.config import load_config
from neo_engine.domain.halt import EXIT_HALTED, EXIT_OK, exit_code
from neo_engine.domain.number import plain, xrp_from_drops
from neo_engine.ops.clock import SystemClock
from neo_engine.report.live import make_viewer
from neo_engine.watch import watched

if TYPE_CHECKING:
    from neo_engine.domain.account_snapshot import OpenOffer
    from neo_engine.live_session import LiveResult

AT_ONCE = 0  # duration of a session that only cancels (live_session.AT_ONCE)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="YAML file with mode: live")
    parser.add_argument("--db", type=Path, required=True, help="database file; made when missing")
    parser.add_argument(
        "--consent",
        required=True,
        metavar="ACCOUNT",
        help="the account you agree to trade with (live.account)",
    )
    parser.add_argument(
        "--endpoint", action="append", default=[], help="server URL in place of live.endpoints"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.add_argument("--quiet", action="store_true", help="no live view, warnings only")


def add_live(parser: argparse.ArgumentParser) -> None:
    """Add the options of `live`; its duration and seed are the caller's."""
    _common(parser)
    parser.add_argument("--dry-run", action="store_true", help="sign and simulate, send nothing")
    parser.add_argument(
        "--adopt-offers", action="store_true", help="take over, and cancel, offers that no order placed"
    )
    parser.add_argument("--journal", type=Path, help="write there all that a replay of the session needs")


def add_flatten(parser: argparse.ArgumentParser) -> None:
    """Add the options of `flatten`."""
    _common(parser)


def live(options: argparse.Namespace) -> int:
    """Run a live session."""
    result = _run(
        options,
        duration=options.duration,
        seed=options.seed,
        dry_run=options.dry_run,
        adopt_offers=options.adopt_offers,
        journal=options.journal,
    )
    code = exit_code(result.session.halt.reason)
    if code == EXIT_OK and result.left:
        code = EXIT_HALTED
    if options.json:
        document = result_document(options, result.session, code)
        document |= {"left": _rows(result.left)}
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    else:
        finish(options, result.session)
        if result.left:
            print(f"still on the ledger: {_told(result.left)}; cancel with `flatten`", file=sys.stderr)
    return code


def flatten(options: argparse.Namespace) -> int:
    """Cancel every offer of the account for the pair; 0 once the ledger shows that none is left."""
    result = _run(options, duration=AT_ONCE, seed=0, dry_run=False, adopt_offers=True)
    flat = result.left is not None and not result.left
    code = exit_code(result.session.halt.reason)
    if code == EXIT_OK and not flat:
        code = EXIT_HALTED
    if options.json:
        document = {
            **result_document(options, result.session, code),
            "flat": flat,
            "left": _rows(result.left),
        }
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    elif flat:
        print(f"flat: no offer of {options.consent} for the pair stands on the ledger", file=sys.stderr)
    elif result.left is None:
        print("nobody could say what stands on the ledger; run `preflight` or try again", file=sys.stderr)
    else:
        print(f"NOT flat, still on the ledger: {_told(result.left)}; try again", file=sys.stderr)
    return code


def _run(
    options: argparse.Namespace,
    *,
    duration: int | None,
    seed: int,
    dry_run: bool,
    adopt_offers: bool,
    journal: Path | None = None,
) -> LiveResult:
    config = load_config(options.config)
    clock, quiet = SystemClock(), options.quiet or options.json
    # Keys, codec and sockets take half a second to import, which no other verb should wait for.
    from neo_engine.live_session import LiveOptions, run_live

    pace = "dry run" if dry_run else None
    with (
        watched(config, options.db, quiet=quiet) as watch,
        closing(make_viewer(config, clock, quiet=quiet, speed=pace)) as viewer,
    ):
        on_tick: Callable[..., None] = viewer.update
        return run_live(
            LiveOptions(
                config=config,
                db=options.db,
                consent=options.consent,
                endpoints=tuple(options.endpoint),
                seed=seed,
                duration_seconds=duration,
                on_tick=on_tick,
                dry_run=dry_run,
                adopt_offers=adopt_offers,
                journal=journal,
                watch=watch,
            ),
            clock,
        )


def _told(left: tuple[OpenOffer, ...]) -> str:
    return ", ".join(
        f"{one.side.value} {plain(xrp_from_drops(one.base_drops))} XRP for {plain(one.quote)} "
        f"(sequence {one.offer_sequence})"
        for one in left
    )


def _rows(left: tuple[OpenOffer, ...] | None) -> list[dict[str, object]] | None:
    if left is None:
        return None
    return [
        {
            "offer_sequence": one.offer_sequence,
            "side": one.side.value,
            "xrp": plain(xrp_from_drops(one.base_drops)),
            "quote": plain(one.quote),
        }
        for one in left
    ]
