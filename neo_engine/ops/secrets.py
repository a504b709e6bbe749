"""The account's seed: where it is read from, the box it is kept in, and a net under every log line.

1. A seed is read from an environment variable, a key file or the system's keyring, and from nowhere else.
2. It lives in a `Secret`, which shows nothing of it when it is printed, and refuses to be copied or
   pickled. `reveal` is the one way to it; its result is handed on at once and bound to no name.
3. Should one end up in a text all the same, `redact` takes it out: every value ever put into a Secret, and
   whatever has the shape and the checksum of a seed. All log records and uncaught tracebacks pass it.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import stat
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import base58

from neo_engine.domain.errors import StartupFailure
from neo_engine.event_log import say

HIDDEN = "<hidden>"
MAX_KEY_FILE_BYTES = 1_000  # a seed has some thirty characters
MIN_KNOWN_CHARS = 8  # a shorter value is no seed, and taking it out would spoil ordinary words
#: Bytes before a seed's 16 in base58 (xrpl.org, "Base58 Encodings"): secp256k1, ed25519.
SEED_PREFIXES = (b"\x21", b"\x01\xe1\x4b")
_SEED_BYTES = 16
SEED_CHARS = range(25, 35)  # generous: 16 bytes, prefix and checksum take 28 to 31
_SEED_SHAPED = re.compile(r"s[1-9A-HJ-NP-Za-km-z]{24,}")
_OTHERS_CAN_READ = stat.S_IRWXG | stat.S_IRWXO

_known: set[str] = set()  # in memory only; as long as the process, since texts outlive a Secret


class Secret:
    """A text that shows itself to nobody but the caller of `reveal`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        if len(value) >= MIN_KNOWN_CHARS:
            _known.add(value)

    def reveal(self) -> str:
        """Return the text; hand it on, do not keep it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __reduce_ex__(self, _protocol: Any) -> NoReturn:
        raise TypeError("a Secret is neither copied nor pickled; pass the object itself on")


def is_seed(text: str) -> bool:
    """True for the base58 form of a seed, checksum included."""
    try:
        payload = base58.b58decode_check(text, alphabet=base58.RIPPLE_ALPHABET)
    except ValueError:
        return False
    return any(
        payload.startswith(prefix) and len(payload) == len(prefix) + _SEED_BYTES for prefix in SEED_PREFIXES
    )


def redact(text: str) -> str:
    """Return `text` without any known secret and without anything that is a seed."""
    for value in _known:
        if value in text:
            text = text.replace(value, HIDDEN)
    return _SEED_SHAPED.sub(_hide_seeds, text)


def _hide_seeds(match: re.Match[str]) -> str:
    """Hide every seed within a run of base58 letters, glued to others or not."""
    run, at, kept = match[0], 0, ""
    while at < len(run):
        ends = (at + length for length in SEED_CHARS if at + length <= len(run))
        end = next((end for end in ends if run[at] == "s" and is_seed(run[at:end])), 0)
        kept += HIDDEN if end else run[at]
        at = end or at + 1
    return kept


class RedactingRecord(logging.LogRecord):
    """A log record whose text and traceback never hold a secret, whoever formats it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        try:
            text = super().getMessage()
        except (TypeError, ValueError, KeyError):  # words and values do not fit: no reason to end a session
            text = f"{self.msg} {self.args!r}"
        self.msg, self.args = redact(text), None
        if self.exc_info:
            self.exc_text = redact("".join(traceback.format_exception(*self.exc_info))).rstrip()


def _show(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None, *, title: str = ""
) -> None:
    lines = traceback.format_exception(kind, error, trace)
    sys.stderr.write(redact(title + "".join(lines)))


def _show_thread(what: threading.ExceptHookArgs) -> None:
    name = what.thread.name if what.thread is not None else "?"
    _show(what.exc_type, what.exc_value, what.exc_traceback, title=f"Exception in thread {name}:\n")


def install_redaction() -> None:
    """Let every log record and every uncaught traceback of this process pass `redact`."""
    logging.setLogRecordFactory(RedactingRecord)
    sys.excepthook = _show
    threading.excepthook = _show_thread


def load_secret(
    source: str,
    environment: Mapping[str, str],
    *,
    key: str = "live.key_source",
    what: str = "the account's seed",
) -> Secret:
    """Return the text that a key of the configuration names: env:NAME, file:PATH or keyring:SERVICE/USER.

    key, what: for messages, the configuration's key and what should lie there. Raises StartupFailure naming
    the place and the fix, never what was found there.
    """
    kind, _, place = source.partition(":")
    if kind == "env":
        value = environment.get(place, "")
        fault = f"the environment variable {place} is not set; export it with {what}"
    elif kind == "file":
        value = _from_file(Path(place).expanduser(), environment, key)
        fault = f"the key file {place} is empty; write {what} into it, on one line"
    else:
        value = _from_keyring(*place.split("/", 1), key=key)
        fault = f"the keyring holds nothing for {place}; store it: python -m keyring set SERVICE USER"
    if not value.strip():
        raise StartupFailure(f"{key}: {fault}")
    if len(value.split()) > 1:
        raise StartupFailure(f"{key}: {kind}:{place} holds more than one word; leave {what} alone")
    return Secret(value.strip())


def _from_file(path: Path, environment: Mapping[str, str], key: str) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode  # of the very file that is read, not of its name
            if os.name == "nt":
                say.info(
                    "key_file_unchecked",
                    "{}: {}: check under Properties, Security that only you may read it",
                    key,
                    path,
                )
            elif mode & _OTHERS_CAN_READ & ~_granted(path, environment):
                raise StartupFailure(
                    f"{key}: others can read the key file {path} (mode {stat.S_IMODE(mode):03o}); "
                    f"run chmod 600 on it, and change the key if others use this machine"
                )
            data = file.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        raise StartupFailure(
            f"{key}: the key file {path} cannot be read ({error.strerror}); name another file"
        ) from error
    if len(data) > MAX_KEY_FILE_BYTES:
        raise StartupFailure(f"{key}: {path} is larger than {MAX_KEY_FILE_BYTES} bytes: no key file")
    return data.decode("ascii", "replace")


def _granted(path: Path, environment: Mapping[str, str]) -> int:
    """Return the mode bits that mean no one else: of a credential of systemd, that of the group.

    systemd gives a service its credentials in a folder of their own, and may let it in by an access list,
    whose mask shows as the group's bits (systemd.exec, "Credentials").
    """
    folder = environment.get("CREDENTIALS_DIRECTORY", "")
    return stat.S_IRGRP if folder and path.absolute().parent == Path(folder).absolute() else 0


def _from_keyring(service: str, user: str, *, key: str) -> str:
    try:
        keyring = importlib.import_module("keyring")
    except ImportError as error:
        raise StartupFailure(
            f"{key}: the package keyring is not installed; pip install keyring, or use env: or file:"
        ) from error
    try:
        found: str | None = keyring.get_password(service, user)
    except keyring.errors.KeyringError as error:
        raise StartupFailure(
            f"{key}: the keyring cannot be asked ({type(error).__name__}); unlock it, or use file:"
        ) from error
    return found or ""
