"""The section `live`: whole or absent, checked like every other, and silent about what could be a seed."""

from __future__ import annotations

import msgspec
import pytest
import yaml

from neo_engine.config import Config, config_hash, config_json, live_keys, load_config, parse_config
from neo_engine.domain.errors import ConfigError
from tests.conftest import ROOT

LIVE = ("live_testnet.yaml", "live_stage1.yaml")


@pytest.fixture
def live_yaml() -> str:
    return (ROOT / "config" / "live_testnet.yaml").read_text(encoding="utf-8")


def faults(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "my.yaml")
    return caught.value.faults


def with_live(text: str, **values: object) -> str:
    raw = yaml.safe_load(text)
    raw["live"].update(values)
    return yaml.safe_dump(raw)


@pytest.mark.parametrize(
    ("name", "network", "issuer"),
    # Issuers of RLUSD: docs.ripple.com, "RLUSD on the XRPL"; network ids: xrpl.org, "Parallel Networks".
    [
        ("live_testnet.yaml", 1, "rQhWct2fv4Vc4KRjRgMrxa8xPN9Zx9iLKV"),
        ("live_stage1.yaml", 0, "rMxCKbEDwqr76QuheSUMdEGf4B9xJ8m5De"),
    ],
)
def test_a_delivered_live_configuration_is_for_its_network_and_real_issuer(
    name: str, network: int, issuer: str
) -> None:
    config = load_config(ROOT / "config" / name)
    assert config.live is not None
    assert (config.mode, config.live.network_id, config.pair.quote_issuer) == ("live", network, issuer)
    assert config.live.account == "unset"
    assert all(url.startswith("wss://") for url in config.live.endpoints)


def test_the_first_stage_risks_less_than_paper(paper_yaml: str) -> None:
    stage, paper = load_config(ROOT / "config" / "live_stage1.yaml"), parse_config(paper_yaml, "x")
    for name in ("max_xrp_exposure", "max_rlusd_exposure", "max_loss_rlusd", "max_order_rlusd"):
        assert getattr(stage.risk, name) < getattr(paper.risk, name)
    assert stage.order_size.base_size_rlusd < paper.order_size.base_size_rlusd


@pytest.mark.parametrize("key", live_keys())
def test_a_missing_live_key_is_an_error_that_names_it(live_yaml: str, key: str) -> None:
    raw = yaml.safe_load(live_yaml)
    del raw["live"][key.removeprefix("live.")]
    (fault,) = faults(yaml.safe_dump(raw))
    assert fault.startswith(f"{key}: missing")


def test_a_misspelt_live_key_is_an_error_that_names_the_nearest(live_yaml: str) -> None:
    found = faults(live_yaml.replace("source_tag:", "source_tags:"))
    assert "live.source_tags: unknown key; the nearest known one is live.source_tag" in found


def test_mode_and_section_go_together(live_yaml: str, paper_yaml: str) -> None:
    for text in (
        live_yaml.replace("mode: live ", "mode: paper "),
        paper_yaml.replace("mode: paper ", "mode: live "),
    ):
        (fault,) = faults(text)
        assert "go together" in fault


def test_a_live_pair_names_its_issuer(live_yaml: str) -> None:
    raw = yaml.safe_load(live_yaml)
    raw["pair"]["quote_issuer"] = "from_feed"
    (fault,) = faults(yaml.safe_dump(raw))
    assert "pair.quote_issuer" in fault


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("account", "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTi"),
        ("account", ""),
        ("key_source", "NEO_SEED"),
        ("key_source", "env:"),
        ("key_source", "env:1A"),
        ("key_source", "file:"),
        ("key_source", "keyring:neo"),
        ("key_source", "vault:x"),
        ("regular_key", "yes"),
        ("regular_key", 1),
        ("network_id", -1),
        ("network_id", 2**32),
        ("source_tag", 2**32),
        ("tickets", 251),
        ("endpoints", []),
        ("endpoints", "wss://one.example"),
        ("endpoints", ["https://one.example"]),
        ("endpoints", ["wss://"]),
        ("endpoints", ["wss://one.example", "wss://one.example"]),
        ("endpoints", [f"wss://{number}.example" for number in range(11)]),
    ],
)
def test_what_a_key_cannot_be_is_refused_by_name(live_yaml: str, key: str, value: object) -> None:
    (fault,) = faults(with_live(live_yaml, **{key: value}))
    assert fault.startswith(f"live.{key}: ")


def test_a_paper_configuration_is_stored_as_before_the_section_existed(paper_yaml: str) -> None:
    config = parse_config(paper_yaml, "x")
    assert "live" not in msgspec.json.decode(config_json(config))
    text = yaml.safe_load(paper_yaml)
    assert set(msgspec.json.decode(config_json(config))) == set(text)


@pytest.mark.parametrize("name", LIVE)
def test_the_stored_form_of_a_live_configuration_reads_back_as_the_same(name: str) -> None:
    config = load_config(ROOT / "config" / name)
    stored = config_json(config)
    assert Config.model_validate(msgspec.json.decode(stored)) == config
    assert config_hash(parse_config(stored, "x")) == config_hash(config)
