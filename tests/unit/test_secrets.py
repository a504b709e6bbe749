"""Secrets: where a seed may come from, and that nothing written anywhere holds one."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from xrpl.constants import CryptoAlgorithm
from xrpl.core.addresscodec import encode_seed

from neo_engine.cli import engine_parser, main
from neo_engine.config import load_config
from neo_engine.domain.errors import ConfigError, StartupFailure
from neo_engine.ops import secrets
from neo_engine.ops.preflight import preflight
from neo_engine.ops.secrets import Secret, is_seed, load_secret, redact
from neo_engine.xrpl.signer import CannotSign, Signer
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

#: The ledger's own well-known seed (pass phrase "masterpassphrase") and its account, xrpl.org.
SEED, ACCOUNT = "snoPBrXtMeMyMHUVTgbuqAfg1SUTb", "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh"
ED_SEED = str(encode_seed(b"a planted secret", CryptoAlgorithm.ED25519))
PLANTED = "sssssssssssssssplanted"  # of no seed's shape: only a Secret knows it


@pytest.fixture
def key_file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "key"
    path.write_text(SEED + "\n")
    path.chmod(0o600)
    yield path


def refusal(source: str, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(StartupFailure) as caught:
        load_secret(source, environment or {})
    return str(caught.value)


# the box


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r:>40}".format, lambda s: f"{s}"])
def test_a_secret_shows_nothing_of_itself(show: Any) -> None:
    shown = show(Secret(PLANTED))
    assert shown.strip() == "Secret(<hidden>)"


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, pickle.dumps, lambda s: pickle.dumps(s, 0), msgspec.json.encode, json.dumps],
)
def test_a_secret_is_neither_copied_nor_stored(copied: Any) -> None:
    with pytest.raises(TypeError) as caught:
        copied(Secret(PLANTED))
    assert PLANTED not in str(caught.value)


def test_a_secret_has_no_attributes_to_dump() -> None:
    assert not hasattr(Secret(PLANTED), "__dict__")
    assert Secret(PLANTED).reveal() == PLANTED


# where from


def test_a_seed_is_read_from_a_variable_a_file_or_the_keyring(
    key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def get_password(service: str, user: str) -> str:
        asked.append((service, user))
        return SEED

    monkeypatch.setitem(sys.modules, "keyring", SimpleNamespace(get_password=get_password))
    assert load_secret("env:NEO_SEED", {"NEO_SEED": f" {SEED}\n"}).reveal() == SEED
    assert load_secret(f"file:{key_file}", {}).reveal() == SEED
    assert load_secret("keyring:neo/main", {}).reveal() == SEED
    assert asked == [("neo", "main")]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777, 0o620, 0o601])
def test_a_key_file_that_others_can_touch_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    text = refusal(f"file:{key_file}")
    assert str(key_file) in text
    assert f"(mode {mode:03o})" in text
    assert "chmod 600" in text


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_key_file_of_the_owner_alone_is_read(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    assert load_secret(f"file:{key_file}", {}).reveal() == SEED


def test_what_is_missing_empty_or_too_much_is_refused_with_its_place(tmp_path: Path) -> None:
    assert "variable NEO_SEED is not set" in refusal("env:NEO_SEED")
    assert "cannot be read" in refusal(f"file:{tmp_path / 'none'}")
    (tmp_path / "empty").touch(0o600)
    assert "is empty" in refusal(f"file:{tmp_path / 'empty'}")
    (tmp_path / "large").touch(0o600)
    (tmp_path / "large").write_bytes(b"x" * 2_000)
    assert "larger than 1000 bytes" in refusal(f"file:{tmp_path / 'large'}")
    assert SEED not in refusal("env:A", {"A": f"{SEED} {ED_SEED}"})


def test_without_the_keyring_package_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "pip install keyring" in refusal("keyring:neo/main")


def test_a_keyring_that_is_locked_is_told_and_not_raised_through(monkeypatch: pytest.MonkeyPatch) -> None:
    class KeyringError(Exception):
        pass

    def get_password(_service: str, _user: str) -> str:
        raise KeyringError

    errors = SimpleNamespace(KeyringError=KeyringError)
    monkeypatch.setitem(sys.modules, "keyring", SimpleNamespace(get_password=get_password, errors=errors))
    assert "KeyringError" in refusal("keyring:neo/main")


# the net


@pytest.mark.parametrize("seed", [SEED, ED_SEED])
@pytest.mark.parametrize(
    "text", ["{}", "key={};", "s{}", "{0}{0}", "sss{0}x{0}s", '{{"seed":"{0}"}}', "env:{}"]
)
def test_a_seed_is_taken_out_of_any_text(seed: str, text: str) -> None:
    assert seed in text.format(seed)
    assert seed not in redact(text.format(seed))
    assert "<hidden>" in redact(text.format(seed))


@pytest.mark.parametrize(
    "text", [ACCOUNT, SEED[:-1] + "c", "ssssssssssssssssssssssssssss", "s", "", "0" * 64]
)
def test_what_is_no_seed_stays(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_known", set())  # other tests' secrets are all sorts of texts
    assert not is_seed(text)
    assert redact(text) == text


def test_a_value_of_another_shape_is_taken_out_once_it_was_a_secret() -> None:
    Secret("correct horse battery")
    assert redact("pass: correct horse battery!") == "pass: <hidden>!"


SCRIPT = """
import logging, sys, threading
from neo_engine.ops.logs import setup_logging
from neo_engine.ops.secrets import install_redaction
install_redaction()
log = setup_logging("DEBUG", quiet=False)
seed = sys.argv[1]
log.warning("the seed is %s", seed)
logging.getLogger("another").error(f"the seed is {seed}")
try:
    raise ValueError(f"bad {seed}")
except ValueError:
    log.exception("caught %r", {"seed": seed})
thread = threading.Thread(target=lambda: int(seed))
thread.start(); thread.join()
raise RuntimeError(f"crashed with {seed}")
"""


def test_no_log_line_and_no_traceback_of_a_process_holds_a_seed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, SEED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    for told in ("the seed is <hidden>", "bad <hidden>", "caught", "in thread", "crashed with <hidden>"):
        assert told in done.stderr
    assert SEED not in done.stdout + done.stderr


def test_every_program_installs_the_net_before_it_parses(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    text = (ROOT / "config" / "paper.yaml").read_text()
    path.write_text(text.replace("quote_issuer: from_feed", f"quote_issuer: {SEED}"))
    done = subprocess.run(
        [sys.executable, "-m", "neo_engine", "config", "check", "--config", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "pair.quote_issuer" in done.stderr
    assert SEED not in done.stderr


@pytest.mark.parametrize("key", ["account: unset", "key_source: env:NEO_SEED"])
def test_a_seed_in_the_wrong_key_is_not_repeated_by_the_refusal(tmp_path: Path, key: str) -> None:
    text = (ROOT / "config" / "live_testnet.yaml").read_text()
    path = tmp_path / "live.yaml"
    path.write_text(text.replace(key, f"{key.split(':')[0]}: {SEED}"))
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert SEED not in str(caught.value)
    assert f"live.{key.split(':')[0]}" in str(caught.value)


# what a crash holds


def crash_of(deed: Any) -> str:
    """Everything of an exception: its chain, and the locals of every frame."""
    with pytest.raises((StartupFailure, CannotSign)) as caught:
        deed()
    error: BaseException | None = caught.value
    told = ""
    while error is not None:
        dump = traceback.TracebackException.from_exception(error, capture_locals=True, compact=False)
        # The frames of this test hold the constants themselves.
        dump.stack = traceback.StackSummary.from_list(
            [frame for frame in dump.stack if frame.filename != __file__]
        )
        told += "".join(dump.format(chain=False))
        error = error.__cause__ or error.__context__
    return told


def test_a_crash_dump_with_every_local_holds_neither_seed_nor_private_key() -> None:
    broken = Secret(SEED[:-1] + "c")
    assert broken.reveal() not in crash_of(lambda: Signer(broken, account=ACCOUNT, regular_key=False))
    secret = Secret(SEED)
    assert SEED not in crash_of(lambda: Signer(secret, account=ACCOUNT[:-1] + "x", regular_key=False))
    signer = Signer(secret, account=ACCOUNT, regular_key=False)
    dump = crash_of(lambda: signer.sign({"TransactionType": "Payment", "Account": ACCOUNT, "Amount": "x"}))
    private = signer._keys.private
    assert len(private) == 66
    assert SEED not in dump
    assert private[2:] not in dump
    assert private[2:].lower() not in dump


def live_yaml() -> str:
    text = (ROOT / "config" / "live_testnet.yaml").read_text()
    return text.replace("account: unset", f"account: {ACCOUNT}")


def every_byte(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_no_byte_that_a_session_a_crash_and_a_backup_write_holds_the_seed(tmp_path: Path) -> None:
    (tmp_path / "live.yaml").write_text(live_yaml())
    db = tmp_path / "neo.db"
    environment = {**os.environ, "NEO_SEED": SEED, "PYTHONPATH": str(ROOT)}

    def program(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            [sys.executable, *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            timeout=60,
            check=False,
        )
        (tmp_path / f"out{len(list(tmp_path.glob('out*')))}").write_bytes(done.stdout + done.stderr)
        return done

    config = str(ROOT / "config" / "paper.yaml")
    session = ["-m", "neo_engine", "paper", "--db", str(db), "--duration", "1m", "--speed", "max", "--config"]
    assert program(*session, config).returncode == 0
    assert program(*session, str(tmp_path / "live.yaml")).returncode == 2
    ready = ("-m", "neo_engine", "preflight", "--config", str(tmp_path / "live.yaml"), "--db", str(db))
    assert program(*ready, "--endpoint", "ws://127.0.0.1:9").returncode == 3
    crash = (
        "import sys; from neo_engine import cli, cli_data\n"
        "def broken(options): import os; raise RuntimeError(os.environ)\n"
        "cli_data.backup = broken; cli.run(cli.engine_parser())"
    )
    assert program("-c", crash, "backup", "--db", str(db)).returncode == 1
    assert (
        program("-m", "neo_engine", "backup", "--db", str(db), "--to", str(tmp_path / "copy.db")).returncode
        == 0
    )
    written = every_byte(tmp_path)
    assert b"SQLite format 3" in written
    assert b"NEO_SEED" in written  # the crash told the environment, less its secret
    assert b"RuntimeError" in written
    assert SEED.encode() not in written
    assert SEED.encode("utf-16-le") not in written
    assert SEED.encode().hex().encode() not in written.lower()


def test_the_findings_of_a_preflight_hold_no_seed(tmp_path: Path) -> None:
    (tmp_path / "live.yaml").write_text(live_yaml())
    found = preflight(
        load_config(tmp_path / "live.yaml"),
        nodes=(),
        environment={"NEO_SEED": SEED},
        clock=SimpleNamespace(utc_now=lambda: None),
        database=None,
    )
    assert any(one.check == "key" and ACCOUNT in one.found for one in found)
    assert SEED.encode() not in msgspec.json.encode(found)


def test_an_error_told_in_process_is_redacted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(engine_parser(), ["config", "check", "--config", str(tmp_path / SEED)]) == 2
    told = capsys.readouterr().err
    assert "<hidden>" in told
    assert SEED not in told


def test_a_record_keeps_its_words_where_there_is_nothing_to_hide() -> None:
    record = secrets.RedactingRecord("neo", logging.INFO, "here.py", 1, "%d of %s", (3, "four"), None)
    assert record.getMessage() == "3 of four"
    assert logging.Formatter("%(levelname)s %(message)s").format(record) == "INFO 3 of four"


# credentials of systemd


@pytest.mark.skipif(os.name == "nt", reason="file modes")
@pytest.mark.parametrize(
    ("mode", "inside", "fine"), [(0o440, True, True), (0o440, False, False), (0o444, True, False)]
)
def test_a_credential_of_systemd_may_show_the_mask_of_its_access_list(
    tmp_path: Path, mode: int, inside: bool, fine: bool
) -> None:
    folder = tmp_path / "neo.service"
    folder.mkdir()
    path = folder / "neo-key"
    path.write_text(SEED)
    path.chmod(mode)
    environment = {"CREDENTIALS_DIRECTORY": str(folder if inside else tmp_path)}
    if fine:
        assert load_secret(f"file:{path}", environment).reveal() == SEED
    else:
        assert "others can read the key file" in refusal(f"file:{path}", environment)


def test_another_secret_is_named_by_its_own_key() -> None:
    with pytest.raises(StartupFailure) as caught:
        load_secret("env:NEO_HOOK", {}, key="alerts.webhook", what="the webhook's address")
    assert str(caught.value) == (
        "alerts.webhook: the environment variable NEO_HOOK is not set; export it with the webhook's address"
    )
