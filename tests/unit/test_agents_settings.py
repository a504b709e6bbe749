"""The file of named markets: complete, checked, and merged as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from neo_engine.domain.errors import ConfigError, UsageError
from neo_engine.simulator.agents.settings import (
    DEFAULT_MARKET,
    MARKETS_FILE,
    market_settings,
    markets,
    parse_markets,
    settings_digest,
)

ROOT = Path(__file__).resolve().parents[2]
TEXT = MARKETS_FILE.read_text(encoding="utf-8")
NAMES = ("calm", "volatile", "trending", "crash", "thin", "hostile")


def faults(text: str) -> str:
    with pytest.raises(ConfigError) as refused:
        parse_markets(text, "markets.yaml")
    return " ".join(refused.value.faults)


def test_the_named_markets_are_there_and_calm_is_the_default() -> None:
    assert tuple(markets()) == NAMES
    assert NAMES[0] == DEFAULT_MARKET


def test_an_unknown_market_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UsageError, match=r"--market psychic: .*calm, volatile, .*hostile"):
        market_settings("psychic")


def test_every_key_of_the_first_market_has_a_comment() -> None:
    first = TEXT[TEXT.index("calm:") : TEXT.index("volatile:")]
    first_maker_only = re.sub(r"    maker2:.*?(?=  takers:)", "", first, flags=re.DOTALL)
    bare = [
        line for line in first_maker_only.splitlines() if re.match(r"\s+\w+: \S", line) and "#" not in line
    ]
    assert not bare


def test_a_market_takes_what_it_does_not_say_from_the_one_it_is_based_on() -> None:
    raw = yaml.safe_load(TEXT)
    calm, hostile = market_settings("calm"), market_settings("hostile")
    assert raw["hostile"]["takers"]["size_xrp"] == hostile.takers.size_xrp != calm.takers.size_xrp
    assert "wait_ledgers_min" not in raw["hostile"]["takers"]
    assert hostile.takers.wait_ledgers_min == calm.takers.wait_ledgers_min
    assert hostile.makers["maker3"] == calm.makers["maker3"]
    assert hostile.makers["maker1"].levels == calm.makers["maker1"].levels


def test_unknown_keys_wrong_numbers_and_missing_keys_are_named_with_their_path() -> None:
    text = TEXT + "\nodd:\n  based_on: calm\n  takers: {size_xpr: 3, orders_permille: 1001}\n"
    said = faults(text)
    assert "odd.takers.size_xpr" in said
    assert "odd.takers.orders_permille" in said
    assert "odd.price: Field required" in faults("odd: {warmup_ledgers: 1}")


@pytest.mark.parametrize(
    "text", ["a: {based_on: b}", "a: {based_on: a}", "a: {based_on: b}\nb: {based_on: a}", "a: 3"]
)
def test_a_market_based_on_none_or_on_itself_is_refused(text: str) -> None:
    assert "name another one of this file" in faults(text)


def test_binary_floats_and_repeated_keys_are_refused_as_in_any_configuration() -> None:
    assert "given twice" in faults("a: {x: 1, x: 2}")
    settings = market_settings("calm")
    assert str(settings.makers["maker1"].widening) == "0.6"


def test_the_docs_describe_every_named_market() -> None:
    section = (
        (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8").partition("## Agents and markets")[2]
    )
    table = section.partition("### The named markets")[2].partition("###")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)) == NAMES


def test_two_markets_have_two_digests_and_the_same_one_keeps_its_own() -> None:
    told = {name: settings_digest(name) for name in markets()}
    assert len(set(told.values())) == len(told)
    assert all(settings_digest(name) == digest for name, digest in told.items())
