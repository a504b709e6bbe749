"""Configuration: exact, complete, and clear about everything that is wrong with a file."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from neo_engine.config import (
    MAX_CONFIG_BYTES,
    Config,
    config_hash,
    config_json,
    known_keys,
    load_config,
    parse_config,
)
from neo_engine.config_sections import is_account_address
from neo_engine.domain.errors import ConfigError

#: Issuers of RLUSD on the main and the test network (docs.ripple.com, "RLUSD on the XRPL").
RLUSD_ISSUERS = ("rMxCKbEDwqr76QuheSUMdEGf4B9xJ8m5De", "rQhWct2fv4Vc4KRjRgMrxa8xPN9Zx9iLKV")


def edited(text: str, key: str, value: str) -> str:
    """Return the YAML with the first line of `key` (its last word) set to `value`."""
    changed, count = re.subn(rf"^(\s*){key}: .*$", rf"\g<1>{key}: {value}", text, count=1, flags=re.M)
    assert count == 1
    return changed


def with_line(text: str, section: str, line: str) -> str:
    """Return the YAML with a line added at the top of a section."""
    assert f"\n{section}:\n" in text
    return text.replace(f"\n{section}:\n", f"\n{section}:\n  {line}\n", 1)


def faults(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "my.yaml")
    assert caught.value.source == "my.yaml"
    return caught.value.faults


def test_the_delivered_paper_configuration_is_paper_with_the_owners_limits(paper_yaml: str) -> None:
    config = parse_config(paper_yaml, "paper.yaml")
    assert config.mode == "paper"
    assert config.risk.max_xrp_exposure == 150
    assert config.strategy.anchor_max_divergence_bps == 10
    assert config.strategy.clob_switch_threshold_bps == 3
    assert config.order_size.base_size_rlusd == 15
    assert config.engine.tick_interval_seconds == 4
    assert config.engine.wal_checkpoint_interval_seconds == 60


def test_numbers_are_exact(paper_yaml: str) -> None:
    config = parse_config(edited(paper_yaml, "start_xrp", "100.100000000001"), "x")
    assert config.paper.start_xrp == Decimal("100.100000000001")


@pytest.mark.parametrize(
    ("text", "value"), [("7", "7"), ("1e3", "1000"), ('"12.5"', "12.5"), (".5", "0.5"), ("+3.0", "3")]
)
def test_a_number_may_be_written_in_any_plain_way(paper_yaml: str, text: str, value: str) -> None:
    assert parse_config(edited(paper_yaml, "max_loss_rlusd", text), "x").risk.max_loss_rlusd == Decimal(value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (".nan", "finite"),
        (".inf", "finite"),
        ("-.inf", "finite"),
        ("nan", "finite"),
        ("-1", "greater than 0"),
        ("0", "greater than 0"),
        ("1000000000001", "less than or equal to 1E+12"),
        ("1.0e+99999999999", "less than or equal to 1E+12"),
        ("1e-999999999", "12 decimal places"),
        ("0.0000000000001", "12 decimal places"),
        ("true", "must be a number"),
        ("yes", "must be a number"),
        ("", "must be a number"),
        ("[1]", "must be a number"),
        ("{a: 1}", "must be a number"),
        ("many", "must be a number"),
    ],
)
def test_what_is_no_usable_number_is_refused_by_its_path(paper_yaml: str, value: str, said: str) -> None:
    (fault,) = faults(edited(paper_yaml, "max_loss_rlusd", value))
    assert fault.startswith("risk.max_loss_rlusd: ")
    assert said in fault


@pytest.mark.parametrize("value", ["true", "10.0", "'10'", "yes", ".inf", "1e1"])
def test_a_count_takes_whole_numbers_only(paper_yaml: str, value: str) -> None:
    (fault,) = faults(edited(paper_yaml, "depth_levels", value))
    assert fault.startswith("engine.depth_levels: must be a whole number")


@pytest.mark.parametrize("value", ["010", "0x10", "1:30", "1:30.5", "0b11", "9" * 5000])
def test_a_number_in_disguise_is_refused_with_its_line(paper_yaml: str, value: str) -> None:
    # YAML 1.1 reads these as 8, 16, 90, 90.5 and 3.
    (fault,) = faults(edited(paper_yaml, "depth_levels", value))
    line = 1 + next(i for i, text in enumerate(paper_yaml.splitlines()) if "depth_levels:" in text)
    assert fault.startswith(f"line {line}, column ")
    assert len(fault) < 250


@pytest.mark.parametrize("key", known_keys())
def test_a_missing_key_is_an_error_that_names_it(paper_yaml: str, key: str) -> None:
    raw = yaml.safe_load(paper_yaml)
    *sections, name = key.split(".")
    inner = raw
    for section in sections:
        inner = inner[section]
    del inner[name]
    (fault,) = faults(yaml.safe_dump(raw))
    assert fault.startswith(f"{key}: missing")


def test_a_misspelt_key_is_an_error_that_names_the_nearest(paper_yaml: str) -> None:
    found = faults(paper_yaml.replace("max_xrp_exposure:", "max_xrp_exposre:"))
    assert "risk.max_xrp_exposre: unknown key; the nearest known one is risk.max_xrp_exposure" in found
    assert any(fault.startswith("risk.max_xrp_exposure: missing") for fault in found)


def test_a_misspelt_section_is_an_error_that_names_the_nearest(paper_yaml: str) -> None:
    found = faults(paper_yaml.replace("\nrisk:\n", "\nriks:\n"))
    assert "riks: unknown key; the nearest known one is risk" in found


def test_a_key_in_the_wrong_section_is_told_where_it_belongs(paper_yaml: str) -> None:
    (fault,) = faults(with_line(paper_yaml, "strategy", "base_size_rlusd: 1"))
    assert (
        fault == "strategy.base_size_rlusd: unknown key; the nearest known one is order_size.base_size_rlusd"
    )


def test_a_retired_key_is_an_error_that_says_what_replaced_it(paper_yaml: str) -> None:
    (fault,) = faults(with_line(paper_yaml, "strategy", "max_inventory_usd: 100"))
    assert fault.startswith("strategy.max_inventory_usd: this key is retired")
    assert "risk.max_xrp_exposure" in fault
    assert "risk.max_rlusd_exposure" in fault


def test_a_key_given_twice_is_an_error_with_its_line(paper_yaml: str) -> None:
    (fault,) = faults(with_line(paper_yaml, "strategy", "base_offset_bps: 1"))
    assert "'base_offset_bps' is given twice" in fault
    assert fault.startswith("line ")


def test_all_faults_are_reported_at_once(paper_yaml: str) -> None:
    text = edited(edited(paper_yaml, "depth_levels", "99"), "pool_weight", "2")
    found = faults(with_line(text, "log", "colour: red"))
    assert [fault.split(":")[0] for fault in found] == [
        "engine.depth_levels",
        "strategy.pool_weight",
        "log.colour",
    ]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("requote_interval_seconds", "5", "must equal engine.tick_interval_seconds (4)"),
        ("stale_halt_seconds", "10", "risk.stale_halt_seconds must be greater than risk.stale_pull_seconds"),
        (
            "half_spread_max_bps",
            "1",
            "strategy.half_spread_max_bps must be at least strategy.half_spread_min_bps",
        ),
        (
            "min_notional_rlusd",
            "16",
            "order_size.base_size_rlusd must be at least order_size.min_notional_rlusd",
        ),
        (
            "toxicity_markout_full_bps",
            "3.0",
            "strategy.toxicity_markout_full_bps must be greater than strategy.toxicity_markout_from_bps",
        ),
        (
            "staleness_full_ticks",
            "10",
            "strategy.staleness_full_ticks must be greater than strategy.staleness_from_ticks",
        ),
        ("max_open_orders", "1", "risk.max_open_orders must be at least twice strategy.ladder_levels"),
        ("offer_refresh_seconds", "600", "must be less than execution.offer_lifetime_seconds"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(
    paper_yaml: str, key: str, value: str, said: str
) -> None:
    (fault,) = faults(edited(paper_yaml, key, value))
    assert said in fault


def test_the_bounds_of_the_glft_half_spread_are_held_in_order(paper_yaml: str) -> None:
    start = paper_yaml.index("  glft:")
    (fault,) = faults(paper_yaml[:start] + edited(paper_yaml[start:], "half_spread_max_bps", "1"))
    assert fault == "strategy.glft.half_spread_max_bps must be at least strategy.glft.half_spread_min_bps"


def test_offers_without_a_lifetime_need_no_refresh(paper_yaml: str) -> None:
    config = parse_config(edited(paper_yaml, "offer_lifetime_seconds", "0"), "x")
    assert config.execution.offer_lifetime_seconds == 0


@pytest.mark.parametrize("issuer", [*RLUSD_ISSUERS, "from_feed"])
def test_an_issuer_is_an_address_or_the_feeds(paper_yaml: str, issuer: str) -> None:
    assert parse_config(edited(paper_yaml, "quote_issuer", issuer), "x").pair.quote_issuer == issuer


@pytest.mark.parametrize(
    "issuer", ["", "from-feed", "RLUSD", RLUSD_ISSUERS[0][:-1], RLUSD_ISSUERS[0].lower()]
)
def test_what_is_no_issuer_is_refused(paper_yaml: str, issuer: str) -> None:
    (fault,) = faults(edited(paper_yaml, "quote_issuer", f'"{issuer}"'))
    assert fault.startswith("pair.quote_issuer: ")


@given(
    place=st.integers(min_value=1, max_value=33),
    letter=st.sampled_from("rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"),
)
def test_one_wrong_letter_in_an_address_is_noticed(place: int, letter: str) -> None:
    address = RLUSD_ISSUERS[0]
    wrong = address[:place] + letter + address[place + 1 :]
    assert is_account_address(wrong) == (wrong == address)


def test_a_secret_is_no_address() -> None:
    # The seed of "masterpassphrase", printed all over the ledger's own documentation.
    assert not is_account_address("snoPBrXtMeMyMHUVTgbuqAfg1SUTb")


@pytest.mark.parametrize("currency", ["RLUSD", "USD", "524C555344000000000000000000000000000000"])
def test_a_currency_is_a_code_or_a_symbol(paper_yaml: str, currency: str) -> None:
    assert (
        parse_config(edited(paper_yaml, "quote_currency", f'"{currency}"'), "x").pair.quote_currency
        == currency
    )


@pytest.mark.parametrize(
    "currency", ["XRP", "xrp", "", "US", "€€€", "524c555344" + "0" * 30, "A" * 21, "yes"]
)
def test_what_is_no_currency_is_refused(paper_yaml: str, currency: str) -> None:
    text = edited(paper_yaml, "quote_currency", currency if currency == "yes" else f'"{currency}"')
    (fault,) = faults(text)
    assert fault.startswith("pair.quote_currency: ")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "- mode",
        "paper",
        "{",
        "mode: 'paper",
        "mode: \x00",
        "mode: &a [*a]",
        "mode: !!python/object:os.system x",
        "[a]: 1",
        "{a: 1}: 1",
        "1: 2",
        "a: " + "[" * 5000,
        "\tmode: paper",
    ],
)
def test_what_is_no_configuration_is_one_clear_error(text: str) -> None:
    assert faults(text)


@given(st.text(max_size=200))
def test_no_text_makes_the_reader_fail_in_another_way(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_config(text, "x")


def test_a_configuration_cannot_be_changed(paper_yaml: str) -> None:
    config = parse_config(paper_yaml, "x")
    with pytest.raises(ValidationError, match="frozen"):
        config.mode = "live"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read \(No such file.*--config"):
        load_config(tmp_path / "none.yaml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text("#" * (MAX_CONFIG_BYTES + 1), encoding="utf-8")
    with pytest.raises(ConfigError, match="larger than"):
        load_config(path)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("mode: paper # café".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"not UTF-8 text \(byte 17\)"):
        load_config(path)


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path, paper_yaml: str) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + paper_yaml.replace("\n", "\r\n").encode())
    assert load_config(path) == parse_config(paper_yaml, "x")


def test_the_stored_form_is_canonical_and_reads_back_as_the_same_configuration(paper_yaml: str) -> None:
    config = parse_config(paper_yaml, "x")
    stored = config_json(config)
    raw = msgspec.json.decode(stored)
    assert list(raw) == sorted(raw)
    assert Config.model_validate(raw) == config
    assert parse_config(stored, "x") == config


def test_equal_configurations_have_equal_hashes_and_others_do_not(paper_yaml: str) -> None:
    config = parse_config(paper_yaml, "x")
    lines = [line.split("#")[0].rstrip() for line in paper_yaml.splitlines()]
    assert config_hash(parse_config("\n".join(lines), "y")) == config_hash(config)
    other = parse_config(edited(paper_yaml, "skew_bps", "6.1"), "x")
    assert config_hash(other) != config_hash(config)


def test_the_keys_are_listed_once_each_as_paths() -> None:
    keys = known_keys()
    assert len(keys) == len(set(keys))
    assert {"mode", "risk.max_xrp_exposure", "strategy.glft.risk_aversion"} <= set(keys)
