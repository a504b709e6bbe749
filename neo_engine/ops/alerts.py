"""Sends alerts from a thread of its own, so that no tick ever waits for one.

1. `raise_alert` returns at once, whatever the outside does: the queue is bounded, what does not fit is
   counted.
2. The same alert (kind and key) goes out once in `repeat_seconds`; the next one says how many were held back.
3. A send that fails is tried again a few times, each pause twice the one before; then it is given up, counted
   and logged. Alerts keep their order.
4. `close` waits for what is queued, for FLUSH_SECONDS at most, and says what is lost then.
"""

from __future__ import annotations

import platform
import queue
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec

from neo_engine.config_sections import AlertsConfig
from neo_engine.domain.alerts import Alert, AlertSeverity
from neo_engine.event_log import say
from neo_engine.ops.alert_sinks import SendFailed, Sink
from neo_engine.ops.clock import iso
from neo_engine.ops.secrets import redact

QUEUE_ALERTS = 100  # a flood beyond that tells nobody more
ATTEMPTS = 4  # with the pauses below some seven seconds, and the time limits of the sends
FIRST_PAUSE_SECONDS = 1.0
FLUSH_SECONDS = 15.0  # longer than one send; an operator who ends a session does not wait for more
JOIN_SECONDS = 2.0  # for a send that was cut off
MAX_REMEMBERED = 1_000  # kinds and keys; forgetting one sends an alert twice, nothing worse
MAX_TEXT_CHARS = 2_000


class AlertTimes(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of sending, seconds; the tests use shorter ones."""

    first_pause: float = FIRST_PAUSE_SECONDS
    flush: float = FLUSH_SECONDS
    monotonic: Callable[[], float] = time.monotonic


class Repeats:
    """Holds back what was sent a short time ago."""

    def __init__(self, period_seconds: float) -> None:
        self._period = period_seconds
        self._sent: dict[tuple[str, str], float] = {}
        self._held: dict[tuple[str, str], int] = {}

    def held_back(self, alert: Alert, now: float) -> int | None:
        """Return how many like it were held back since the last one, or None to hold this one back too."""
        key = (alert.kind, alert.key)
        last = self._sent.get(key)
        if last is not None and now - last < self._period:
            self._held[key] = self._held.get(key, 0) + 1
            return None
        self._sent.pop(key, None)
        self._sent[key] = now  # at the end: the first key is the one sent longest ago
        while len(self._sent) > MAX_REMEMBERED:
            oldest = next(iter(self._sent))
            del self._sent[oldest]
            self._held.pop(oldest, None)
        return self._held.pop(key, 0)


class Alerts:
    """Takes alerts and has them sent. sinks: none of them, and every alert is only counted."""

    def __init__(
        self, config: AlertsConfig, sinks: tuple[Sink, ...], times: AlertTimes | None = None
    ) -> None:
        self.sent = self.failed = self.dropped = 0
        self._least = AlertSeverity[config.min_severity.upper()]
        self._repeats = Repeats(config.repeat_seconds)
        self._sinks = sinks
        self._times = times or AlertTimes()
        self._queue: queue.Queue[bytes | None] = queue.Queue(QUEUE_ALERTS)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if sinks:  # daemon: the system's name lookup has no limit, and must not keep the process alive
            self._thread = threading.Thread(target=self._work, name="neo-alerts", daemon=True)
            self._thread.start()

    def raise_alert(self, alert: Alert, where: Mapping[str, object]) -> None:
        """Have an alert sent, unless it is below the least severity or was sent just now.

        where: the session, tick, ledger and pair it belongs to, as far as they are known.
        """
        if self._thread is None or alert.severity < self._least:
            return
        held = self._repeats.held_back(alert, self._times.monotonic())
        if held is None:
            return
        try:
            self._queue.put_nowait(body_of(alert, where, held, datetime.now(UTC)))
        except queue.Full:
            self.dropped += 1
            say.warning(
                "alert_dropped", "alert {} dropped: {waiting} wait already", alert.kind, waiting=QUEUE_ALERTS
            )

    def close(self) -> None:
        """Send what is queued, within the limit, and end the thread; may be called twice."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        limit = self._times.monotonic() + self._times.flush
        try:
            self._queue.put(None, timeout=self._times.flush)
        except queue.Full:
            limit = self._times.monotonic()
        thread.join(max(limit - self._times.monotonic(), 0))
        if thread.is_alive():
            self._stop.set()
            for sink in self._sinks:
                sink.give_up()
            thread.join(JOIN_SECONDS)
        left = self._drain()
        if left:
            self.dropped += left
            say.warning("alerts_unsent", "{alerts} alerts could not be sent before the end", alerts=left)

    def _drain(self) -> int:
        count = 0
        while True:
            try:
                count += self._queue.get_nowait() is not None
            except queue.Empty:
                return count

    def _work(self) -> None:
        while not self._stop.is_set():
            body = self._queue.get()
            if body is None:
                return
            for sink in self._sinks:
                self._deliver(sink, body)

    def _deliver(self, sink: Sink, body: bytes) -> None:
        """Send one alert to one place, with a few tries."""
        why = ""
        for attempt in range(ATTEMPTS):
            if attempt and self._stop.wait(self._times.first_pause * 2 ** (attempt - 1)):
                break
            try:
                sink.send(body)
            except SendFailed as error:
                why = str(error)
                if error.final:
                    break
            except Exception:  # noqa: BLE001 - the thread must live: the next alert may get out
                why = "unexpected"
                say.exception("alert_sink_broken", "sending an alert failed")
                break
            else:
                self.sent += 1
                return
        self.failed += 1
        say.warning(
            "alert_failed", "an alert could not be sent to the {}: {}", sink.name, why or "the session ended"
        )


def body_of(alert: Alert, where: Mapping[str, object], held_back: int, now: datetime) -> bytes:
    """Return the alert as JSON, every text redacted; `text` is the whole of it for people."""
    fields: dict[str, object] = {
        "time": iso(now),
        "severity": alert.severity.word,
        "kind": alert.kind,
        "key": redact(alert.key),
        "text": redact(f"NEO {alert.severity.word} {alert.kind}: {alert.text}")[:MAX_TEXT_CHARS],
        "host": platform.node(),
        "held_back": held_back,
        **where,
    }
    if alert.numbers:
        fields["numbers"] = {name: redact(value) for name, value in alert.numbers.items()}
    return msgspec.json.encode(fields)
