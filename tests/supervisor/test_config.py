"""Flags of an agent: what is good, and the one line for what is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from supervisor import config


def test_good_flags_become_values() -> None:
    assert config.parse_name("n1") == "n1"
    assert config.parse_listen("127.0.0.1:7001") == ("127.0.0.1", 7001)
    assert config.parse_listen("[::1]:0") == ("::1", 0)
    assert config.parse_join(["ws://a:1, ws://b:2", "ws://a:1"]) == ("ws://a:1", "ws://b:2")
    assert config.parse_sworms("rooms, bots,rooms") == ("rooms", "bots")
    assert config.parse_sworms("*") == ("*",)
    assert config.parse_labels(["zone=eu-1", "disk=a=b"]) == {"zone": "eu-1", "disk": "a=b"}
    assert config.parse_capacity("2") == 2.0
    assert config.parse_drain_deadline("0.5") == 0.5
    assert config.need_cluster_key(b"k") == b"k"


@pytest.mark.parametrize(
    ("parse", "value"),
    [
        (config.parse_name, "N1"),
        (config.parse_name, "n.1"),
        (config.parse_name, ""),
        (config.parse_name, "n" * 64),
        (config.parse_listen, "7001"),
        (config.parse_listen, "127.0.0.1"),
        (config.parse_listen, "127.0.0.1:x"),
        (config.parse_listen, "127.0.0.1:70000"),
        (config.parse_listen, "0.0.0.0:7001"),
        (config.parse_listen, "host:1/path"),
        (config.parse_sworms, "rooms,,bots"),
        (config.parse_sworms, "*,rooms"),
        (config.parse_sworms, ""),
        (config.parse_capacity, "0"),
        (config.parse_capacity, "-1"),
        (config.parse_capacity, "nan"),
        (config.parse_capacity, "inf"),
        (config.parse_capacity, "much"),
        (config.parse_drain_deadline, "0"),
        (config.parse_drain_deadline, "1e9"),
    ],
)
def test_a_bad_flag_is_one_line_with_the_value_and_what_is_right(parse: Callable[[str], Any], value: str) -> None:
    with pytest.raises(config.BadFlag, match=r"^(--[a-z-]+) is .+; it must be ") as raised:
        parse(value)
    assert repr(value) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("labels", [["zone"], ["zone="], ["Zone=a"], ["=a"], ["a=1", "a=2"], ["a=\n"]])
def test_bad_labels(labels: list[str]) -> None:
    with pytest.raises(config.BadFlag, match="--label"):
        config.parse_labels(labels)


@pytest.mark.parametrize("url", ["http://a:1", "a:1", "ws://", "ws://a:0", "ws://a:99999", "ws://a:x", ""])
def test_bad_urls_to_join(url: str) -> None:
    with pytest.raises(config.BadFlag, match="--join"):
        config.parse_join([url])


def test_a_missing_cluster_key_is_named() -> None:
    with pytest.raises(config.BadFlag, match="SWORM_CLUSTER_KEY"):
        config.need_cluster_key(b"")


def test_an_incarnation_exceeds_the_clock_and_the_last_one() -> None:
    assert config.first_incarnation() > 1_700_000_000_000
    far = 10**15
    assert config.first_incarnation(far) == far + 1
