"""Which server to read, which to write to, and how long to wait before the next attempt. Pure.

A score is milliseconds of usual latency, plus LEDGER_COST for each ledger that a server is behind the most
advanced one, plus ERROR_COST times the share of its requests that failed of late. The one that is read is
kept until it is gone, or until another has been better by MARGIN in two judgements in a row. The one that is
written to is pinned: only when it is gone in two judgements in a row does the best of the others take over,
so that transactions of one account do not reach the network on two ways.
"""

from __future__ import annotations

from collections.abc import Sequence

BACKOFF_FIRST_SECONDS = 1.0
BACKOFF_MAX_SECONDS = 60.0
BACKOFF_FACTOR = 2.0
JITTER = 0.25  # of a delay, either way: clients cut off together must not come back together
LEDGER_COST = 1_000.0
ERROR_COST = 5_000.0
MARGIN = 1_500.0  # above the cost of one ledger: one message that came first must not move the reader
LATENCY_UNKNOWN = 1_000.0  # milliseconds; until the first reply
_MEMORY = 0.8  # weight of the past in the averages


class Endpoint:
    """One server: its URL and what is known of it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connected = False
        self.failures = 0  # in a row, until a ledger is heard
        self.missed = False  # the last attempt to connect failed
        self.why = "not tried yet"
        self.ledger = 0
        self.latency = LATENCY_UNKNOWN
        self.errors = 0.0

    def score(self, tip: int) -> float:
        """Return how bad it is; 0 is best. tip: the most advanced ledger of all."""
        behind = max(tip - self.ledger, 0) if self.ledger else 0
        return self.latency + LEDGER_COST * behind + ERROR_COST * self.errors


class Endpoints:
    """All servers of the configuration, the first of them the writer to begin with."""

    def __init__(self, urls: Sequence[str], attempts_max: int) -> None:
        self._all = {url: Endpoint(url) for url in urls}
        self._attempts_max = attempts_max
        self.reader = ""
        self.writer = urls[0]
        self._better = ""  # the candidate of the last judgement
        self._writer_gone = False
        self._misses = 0  # attempts in a row that failed at every server

    def __getitem__(self, url: str) -> Endpoint:
        return self._all[url]

    def opened(self, url: str) -> None:
        """Note a connection that is open."""
        endpoint = self._all[url]
        endpoint.connected, endpoint.missed, endpoint.why = True, False, ""

    def lost(self, url: str, why: str) -> None:
        """Note an attempt that failed or a connection that ended."""
        endpoint = self._all[url]
        endpoint.missed = not endpoint.connected
        endpoint.connected = False
        endpoint.failures += 1
        endpoint.why = why

    def heard(self, url: str, ledger: int) -> None:
        """Note a closed ledger: only now is a connection more than open, and attempts count anew."""
        endpoint = self._all[url]
        endpoint.ledger = max(endpoint.ledger, ledger)
        endpoint.failures = 0

    def answered(self, url: str, milliseconds: float) -> None:
        """Note a request that was answered."""
        endpoint = self._all[url]
        known = endpoint.latency != LATENCY_UNKNOWN
        endpoint.latency = (
            _MEMORY * endpoint.latency + (1 - _MEMORY) * milliseconds if known else milliseconds
        )
        endpoint.errors *= _MEMORY

    def erred(self, url: str) -> None:
        """Note a request without an answer, or with one that speaks of the server's own trouble."""
        self._all[url].errors = _MEMORY * self._all[url].errors + (1 - _MEMORY)

    def delay(self, url: str, draw: float) -> float:
        """Return the seconds to wait before the next attempt. draw: 0 to 1, the jitter."""
        doublings = min(max(self._all[url].failures - 1, 0), 16)
        seconds = min(BACKOFF_FIRST_SECONDS * BACKOFF_FACTOR**doublings, BACKOFF_MAX_SECONDS)
        return min(seconds * (1 - JITTER + 2 * JITTER * draw), BACKOFF_MAX_SECONDS)

    def ranked(self) -> list[str]:
        """Return the connected servers, the one that is read first, then by score."""
        tip = max((endpoint.ledger for endpoint in self._all.values()), default=0)
        connected = [endpoint for endpoint in self._all.values() if endpoint.connected]
        connected.sort(key=lambda endpoint: (endpoint.url != self.reader, endpoint.score(tip)))
        return [endpoint.url for endpoint in connected]

    def judge(self, *, timed: bool = True) -> None:
        """Choose reader and writer anew.

        timed: the interval has passed. Other calls come when a connection opens or ends: they replace a
        reader that is gone and are no judgement of what is there.
        """
        ranked = self.ranked()
        if timed:
            self._judge_writer(ranked)
        if not ranked:
            self.reader = self._better = ""
            return
        tip = max(endpoint.ledger for endpoint in self._all.values())
        best = min(ranked, key=lambda url: self._all[url].score(tip))
        if self.reader not in ranked:
            self.reader, self._better = best, ""
        elif not timed:
            return
        elif self._all[self.reader].score(tip) - self._all[best].score(tip) > MARGIN:
            if self._better == best:
                self.reader, self._better = best, ""
            else:
                self._better = best
        else:
            self._better = ""

    def _judge_writer(self, ranked: Sequence[str]) -> None:
        if self.writer in ranked:
            self._writer_gone = False
        elif self._writer_gone and ranked:
            self.writer, self._writer_gone = ranked[0], False
        else:
            self._writer_gone = True

    @property
    def unreachable(self) -> bool:
        """True if no server is connected and the last attempt at each failed."""
        return all(endpoint.missed for endpoint in self._all.values())

    @property
    def exhausted(self) -> bool:
        """True if the last attempt at each server failed, and as many in a row as are allowed."""
        return all(e.missed and e.failures >= self._attempts_max for e in self._all.values())

    def missed_again(self) -> bool:
        """Tell whether, since this was asked last, one more attempt in a row has failed at every server."""
        before = self._misses
        self._misses = min(e.failures for e in self._all.values()) if self.unreachable else 0
        return self._misses > before

    def told(self) -> str:
        """Return every server with why it cannot be used."""
        return "; ".join(f"{e.url}: {e.why}" for e in self._all.values() if not e.connected)
