"""Which addresses are public."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.operator.outbox.addresses import (
    AddressRefused,
    is_public,
    require_public,
    require_public_literal,
)


@pytest.mark.parametrize(
    "text",
    [
        "8.8.8.8",
        "93.184.215.14",
        "2606:4700::6810:84e5",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::",
    ],
)
def test_what_the_internet_can_reach_is_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
        "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "224.0.1.1", "239.1.1.1", "240.0.0.1",
        "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00::1", "fec0::1", "ff02::1",
        "ff0e::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1",
        "64:ff9b:1::1", "2002:a00:1::", "2002:7f00:1::", "2001::1", "2001:db8::1", "100::1", "3fff::1", "5f00::1",
        "::7f00:1",
    ],
)  # fmt: skip
def test_what_only_we_could_reach_is_not(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))
    with pytest.raises(AddressRefused, match="not a public address"):
        require_public("shop.example", text)


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_inside_an_ipv6_one_is_judged_like_itself(number: int) -> None:
    inner = ipaddress.IPv4Address(number)
    for outer in (f"::ffff:{inner}", f"64:ff9b::{inner}"):
        assert is_public(ipaddress.ip_address(outer)) == is_public(inner)
    assert is_public(ipaddress.IPv6Address((0x2002 << 112) | (number << 80))) == is_public(inner)


@given(st.integers(0, 2**128 - 1))
def test_no_address_is_public_that_the_standard_library_calls_private(number: int) -> None:
    address = ipaddress.IPv6Address(number)
    if address.is_private and address.ipv4_mapped is None:
        assert not is_public(address)


def test_a_host_that_is_an_address_is_judged_without_a_name_server() -> None:
    with pytest.raises(AddressRefused, match=r"10\.0\.0\.1 is not a public address"):
        require_public_literal("10.0.0.1")
    require_public_literal("8.8.8.8")
    require_public_literal("shop.example")
