"""The model ledger repeats a real server's transactions, and the proof of it notices when it does not."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neo_engine.bootstrap import EMBEDDED_RECORDING
from neo_engine.cli import engine_parser, main
from neo_engine.domain.errors import FeedError
from neo_engine.simulator.model.amounts import to_wire
from neo_engine.simulator.model.genesis import state_from_wire
from neo_engine.simulator.truth import follow, missing_directories
from neo_engine.simulator.verify import Verdict, verify

pytestmark = pytest.mark.slow

DATA = Path(__file__).resolve().parents[1] / "data"
SHORT = 6  # ledgers of the cut that the damaged recordings keep
Lines = list[dict[str, Any]]


def lines_of(path: Path) -> list[bytes]:
    with gzip.open(path, "rb") as file:
        return file.read().splitlines()


@pytest.fixture(scope="module")
def recorded() -> list[bytes]:
    return lines_of(DATA / "hostile_cut.jsonl.gz")


def verified(lines: Lines) -> Verdict:
    return verify((json.dumps(line).encode() for line in lines), "test")


def damaged(recorded: list[bytes], change: Callable[[dict[str, Any]], None]) -> Verdict:
    """Verify the first ledgers after a change to the first crossing OfferCreate."""
    lines = [json.loads(line) for line in recorded[: SHORT + 1]]
    change(crossing(lines))
    return verified(lines)


def crossing(lines: Lines) -> dict[str, Any]:
    """The last transaction that took from an offer."""
    found = [
        tx
        for line in lines[1:]
        for tx in line["transactions"]
        if tx["tx_json"]["TransactionType"] == "OfferCreate" and taken_of(tx) is not None
    ]
    last: dict[str, Any] = found[-1]
    return last


def taken_of(tx: dict[str, Any]) -> dict[str, Any] | None:
    """The node of an offer that was taken from and stayed."""
    nodes: list[dict[str, Any]] = [node.get("ModifiedNode", {}) for node in tx["meta"]["AffectedNodes"]]
    taken = (node for node in nodes if node.get("LedgerEntryType") == "Offer" and "PreviousFields" in node)
    return next(taken, None)


def taken(tx: dict[str, Any]) -> dict[str, Any]:
    node = taken_of(tx)
    assert node is not None
    return node


@pytest.mark.parametrize(
    ("path", "transactions"),
    [
        (EMBEDDED_RECORDING, 3404),
        (DATA / "calm_cut.jsonl.gz", 504),
        (DATA / "hostile_cut.jsonl.gz", 698),
    ],
    ids=["embedded", "calm_cut", "hostile_cut"],
)
def test_the_model_repeats_every_transaction_of_a_real_server_to_the_last_digit(
    path: Path, transactions: int
) -> None:
    verdict = verify(lines_of(path), path.name)
    assert verdict == Verdict(
        transactions=transactions,
        exact_result_codes=transactions,
        same_effects=transactions,
        exact_metadata=transactions,
        end_state_equal=True,
        differences=(),
    )


def test_the_state_followed_by_metadata_is_what_the_server_says_of_its_accounts_at_the_end(
    recorded: list[bytes],
) -> None:
    header = json.loads(recorded[0])
    state = state_from_wire(header["state"])
    for text in recorded[1:]:
        line = json.loads(text)
        for tx in line["transactions"]:
            follow(state, tx["meta"], tx["hash"], line["ledger"]["ledger_index"])
    assert missing_directories(state) == 0
    entries = state.entries.values()
    for address, told in line["accounts"].items():
        mine = [entry for entry in entries if entry.get("Account") == address]
        (root,) = (entry for entry in mine if entry["LedgerEntryType"] == "AccountRoot")
        data = told["account_data"]
        assert {name: to_wire(root[name]) if name == "Balance" else root[name] for name in root} == {
            name: value for name, value in data.items() if name != "index"
        }
        offers = {
            (entry["Sequence"], str(to_wire(entry["TakerGets"]))) for entry in mine if "TakerGets" in entry
        }
        assert offers == {(offer["seq"], str(offer["taker_gets"])) for offer in told["offers"]}


def test_a_last_digit_that_differs_is_no_exact_metadata_but_the_same_effects(recorded: list[bytes]) -> None:
    def one_digit(tx: dict[str, Any]) -> None:
        final = taken(tx)["FinalFields"]
        name = "TakerGets" if isinstance(final["TakerGets"], dict) else "TakerPays"
        value = final[name]["value"]
        final[name]["value"] = value[:-1] + str((int(value[-1]) + 1) % 10)

    verdict = damaged(recorded, one_digit)
    assert verdict.same_effects == verdict.transactions == verdict.exact_metadata + 1
    (difference,) = (one for one in verdict.differences if one.type == "OfferCreate")
    assert difference.cause.endswith("last digits")


def test_an_amount_beyond_the_tolerance_is_another_effect(recorded: list[bytes]) -> None:
    def one_in_a_million(tx: dict[str, Any]) -> None:
        final = taken(tx)["FinalFields"]
        name = "TakerGets" if isinstance(final["TakerGets"], str) else "TakerPays"
        final[name] = str(int(final[name]) + max(1, int(final[name]) // 1_000_000))

    verdict = damaged(recorded, one_in_a_million)
    assert verdict.exact_result_codes == verdict.transactions
    assert verdict.same_effects <= verdict.transactions - 1
    assert any(one.cause.endswith("beyond 1e-9") for one in verdict.differences)


def test_an_entry_too_few_is_another_effect(recorded: list[bytes]) -> None:
    def one_less(tx: dict[str, Any]) -> None:
        nodes = tx["meta"]["AffectedNodes"]
        nodes.remove(next(node for node in nodes if "RippleState" in str(node)))

    verdict = damaged(recorded, one_less)
    assert verdict.same_effects < verdict.exact_result_codes
    assert any(one.cause == "entries: RippleState ModifiedNode" for one in verdict.differences)


def test_another_result_code_counts_against_all_three(recorded: list[bytes]) -> None:
    def killed(tx: dict[str, Any]) -> None:
        tx["meta"]["TransactionResult"] = "tecKILLED"

    verdict = damaged(recorded, killed)
    assert verdict.exact_result_codes == verdict.same_effects == verdict.transactions - 1
    assert [one.cause for one in verdict.differences] == ["result tesSUCCESS, recorded tecKILLED"]


def test_a_balance_that_the_truth_ends_without_makes_the_end_states_differ(recorded: list[bytes]) -> None:
    lines = [json.loads(line) for line in recorded[:2]]
    account = lines[1]["transactions"][-1]
    for node in account["meta"]["AffectedNodes"]:
        final = next(iter(node.values())).get("FinalFields", {})
        if final.get("Account") == account["tx_json"]["Account"] and "Balance" in final:
            final["Balance"] = str(int(final["Balance"]) * 2)
    verdict = verified(lines)
    assert not verdict.end_state_equal
    assert [(one.type, one.cause) for one in verdict.differences if one.cause == "end state"] == [
        ("AccountRoot", "end state")
    ]


def test_funds_that_the_stream_tells_differently_are_a_difference(recorded: list[bytes]) -> None:
    lines = [json.loads(line) for line in recorded[:3]]
    told = next(tx["tx_json"] for tx in lines[1]["transactions"] if "owner_funds" in tx["tx_json"])
    told["owner_funds"] = "1"
    (difference,) = verified(lines).differences
    assert (difference.cause, difference.count) == ("owner_funds of the stream", 1)


def test_a_type_that_is_not_modelled_is_a_difference_and_the_rest_goes_on(recorded: list[bytes]) -> None:
    def unknown(tx: dict[str, Any]) -> None:
        tx["tx_json"]["TransactionType"] = "NFTokenMint"

    verdict = damaged(recorded, unknown)
    assert verdict.exact_metadata == verdict.transactions - 1
    assert verdict.end_state_equal
    (difference,) = verdict.differences
    assert (difference.type, difference.cause) == ("NFTokenMint", "type is no part of the model")


def test_a_header_without_all_directories_cannot_be_verified(recorded: list[bytes]) -> None:
    header = json.loads(recorded[0])
    header["state"] = [entry for entry in header["state"] if "Owner" not in entry]
    with pytest.raises(FeedError, match="entries stand in directories that `state` lacks"):
        verified([header])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "line 1: cannot be opened|line 1: not of recording format 1"),
        (b"no json\n", "line 1: not of recording format 1"),
        (b'{"type":"ledger"}\n', "line 1: .*type is 'ledger', not 'header'"),
        (b'{"type":"header","start_ledger":{"close_time":1}}\n', "line 1: not of recording format 1"),
        (b'{"type":"header","start_ledger":{"close_time":1},"state":[]}\n{"ledger":[]}\n', "line 2: "),
        (b"\x1f\x8b\x08\x00broken", "damaged|ends in the middle"),
    ],
)
def test_a_bad_file_gives_one_clear_error_and_exit_code_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: bytes, why: str
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(text)
    assert main(engine_parser(), ["verify-model", str(path)]) == 3
    error = capsys.readouterr().err
    assert error.startswith(f"error: recording {path}")
    assert error.count("\n") == 1
    assert re.search(why, error), error


def test_a_missing_file_gives_exit_code_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(engine_parser(), ["verify-model", str(tmp_path / "none")]) == 3
    assert "cannot be opened" in capsys.readouterr().err


def test_the_verb_prints_the_counts_as_json_and_for_people(
    tmp_path: Path, recorded: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "short.jsonl"
    path.write_bytes(b"\n".join(recorded[:3]) + b"\n")
    count = sum(len(json.loads(line)["transactions"]) for line in recorded[1:3])
    assert main(engine_parser(), ["verify-model", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "transactions": count,
        "exact_result_codes": count,
        "same_effects": count,
        "exact_metadata": count,
        "end_state_equal": True,
        "differences": [],
    }
    assert main(engine_parser(), ["verify-model", str(path)]) == 0
    shown = capsys.readouterr().out
    assert shown.count("100.000 %") == 3
    assert "equal" in shown
