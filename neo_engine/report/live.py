"""From the main loop's ticks to the live view: keeps what a single tick does not carry."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import TYPE_CHECKING, TextIO

from neo_engine.config import Config
from neo_engine.domain.assets import IssuedAsset, currency_code
from neo_engine.domain.fills import Fill
from neo_engine.domain.number import ZERO, xrp_from_drops
from neo_engine.ports import Clock
from neo_engine.report.live_view import LiveView, ViewState

if TYPE_CHECKING:
    from neo_engine.session import TickView


class Viewer:
    """Shows the ticks of one session; remembers the last mid and the last fill between them."""

    def __init__(self, view: LiveView, config: Config) -> None:
        self._view = view
        self._risk = config.risk
        self._mid: Decimal | None = None
        self._last_fill: Fill | None = None

    def update(self, seen: TickView) -> None:
        """Show the state after a tick, if the view finds it is time to."""
        if self._view.off:
            return
        decision = seen.decision
        if seen.report is not None:
            self._mid = seen.report.snapshot.mid
        if decision.fills:
            self._last_fill = decision.fills[-1]
        accounts, touch = decision.accounts, decision.touch
        fees = ZERO if accounts.mark is None else xrp_from_drops(accounts.fees_drops) * accounts.mark
        self._view.update(
            ViewState(
                tick=seen.tick,
                ledger_index=seen.ledger_index,
                elapsed_seconds=seen.elapsed_seconds,
                duration_seconds=seen.duration_seconds,
                mid=self._mid,
                anchor=decision.pricing.anchor,
                anchor_source=decision.pricing.anchor_source,
                our_bid=touch.our_bid,
                our_ask=touch.our_ask,
                bid_touch_bps=touch.bid_bps,
                ask_touch_bps=touch.ask_bps,
                base_drops=accounts.base_drops,
                quote=accounts.quote,
                max_xrp_exposure=self._risk.max_xrp_exposure,
                max_rlusd_exposure=self._risk.max_rlusd_exposure,
                realised=accounts.realised,
                unrealised=accounts.unrealised,
                fees=fees,
                total=accounts.realised + accounts.unrealised - fees,
                fills=seen.fills_total,
                last_fill=self._last_fill,
                open_orders=len(decision.state.orders.working),
                gates=decision.gates,
                faults=seen.faults_total,
            )
        )

    def close(self) -> None:
        """Show the last state and give the terminal back; may be called twice."""
        self._view.close()


def make_viewer(
    config: Config, clock: Clock, *, quiet: bool, speed: str | None, stream: TextIO | None = None
) -> Viewer:
    """Return the viewer of a session on `stream` (stderr when None); quiet: it shows nothing."""
    quote = IssuedAsset(currency=currency_code(config.pair.quote_currency), issuer="")
    pace = "" if speed is None else f", speed {speed}"
    view = LiveView(
        stream=sys.stderr if stream is None else stream,
        monotonic=clock.monotonic,
        quiet=quiet,
        title=f"NEO {config.mode} XRP/{quote.symbol}{pace}",
        quote_symbol=quote.symbol,
    )
    return Viewer(view, config)
