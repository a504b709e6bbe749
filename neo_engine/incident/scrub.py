"""Takes secrets, and what may be one in an endpoint, out of every text that leaves for a bundle."""

from __future__ import annotations

import re
from typing import Any

from neo_engine.feed.live import shown_endpoint, without_secrets
from neo_engine.ops.secrets import HIDDEN, redact

#: Of any scheme, up to a blank, a quote or the mark that ends a sentence.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s,;\"'<>]*[^\s,;\"'<>:.)\]}]")
#: Keys whose value says where a secret lies: the kind of place is enough for a reader.
_PLACES = frozenset(("key_source",))


def scrubbed(text: str) -> str:
    """Return a text without seeds and known secrets, every endpoint as scheme, host and port."""
    return redact(_URL.sub(_endpoint, without_secrets(text)))


def _endpoint(found: re.Match[str]) -> str:
    try:
        return shown_endpoint(found.group())
    except ValueError:  # no endpoint at all, such as an open bracket
        return HIDDEN


def scrubbed_value(value: Any, key: str = "") -> Any:
    """Return a JSON value with all its texts scrubbed."""
    if isinstance(value, dict):
        return {scrubbed(str(name)): scrubbed_value(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [scrubbed_value(inner, key) for inner in value]
    if isinstance(value, str):
        return f"{value.partition(':')[0]}:{HIDDEN}" if key in _PLACES else scrubbed(value)
    return value
