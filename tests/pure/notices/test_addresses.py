"""Which mail address can be written to, and which network address may be called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.notices.addresses import is_mail_address, is_public, without_addresses


@pytest.mark.parametrize(
    "address", ["a@b.c", "first.last+tag@mail.example.com", "o'neil@x-y.example", "a@xn--fsqu00a.example"]
)
def test_plain_mailboxes_can_be_written_to(address):
    assert is_mail_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "", "@", "a@", "@b", "a b@c.d", "a@b@c", "a@b..c", ".a@b.c", "a.@b.c", "a@-b.c", "<a@b.c>", "a@b.c\n",
        "a@[1.2.3.4]", '"a"@b.c', "ä@b.c", "a@ä.c", "a@b.c,d@e.f", "x" * 65 + "@b.c", "a@" + "b." * 130 + "c",
    ],
)  # fmt: skip
def test_everything_else_cannot(address):
    assert not is_mail_address(address)


@given(st.text())
def test_what_passes_can_stand_in_a_header_and_on_the_wire(text):
    if is_mail_address(text):
        assert text.isascii()
        assert text.isprintable()
        assert not set(text) & set(' <>,;:"()[]\\')


@pytest.mark.parametrize("host", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_the_internet_may_be_called(host):
    assert is_public(host)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1",
        "fe80::1%eth0", "fc00::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "::ffff:169.254.169.254", "64:ff9b::a00:1", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a00:1::",
        "::127.0.0.1",
    ],
)  # fmt: skip
def test_our_own_network_may_not(host):
    assert not is_public(host)


def test_what_looks_like_an_address_is_taken_out():
    assert without_addresses("550 <a.b+c@d.example>: no a@b here") == "550 <<address>>: no <address> here"
