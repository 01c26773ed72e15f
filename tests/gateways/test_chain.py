"""Certificate chains: who is trusted through whom, and when."""

from datetime import UTC, datetime, timedelta

import pytest
from certificates import SM2_ROOT, issue
from cryptography.hazmat.primitives.asymmetric import ec

from tillkeeper.gateways.kit.chain import chained

BROKEN = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def test_a_leaf_chains_through_the_certificate_behind_it(leaf, class_2, root):
    found = chained(leaf.pem + class_2.pem, root.pem)
    assert found.serial == leaf.certificate.serial_number
    assert found.key.public_numbers() == leaf.key.public_key().public_numbers()


def test_a_leaf_chains_through_an_intermediate_in_the_bundle(leaf, class_2, root):
    assert chained(leaf.pem, root.pem + class_2.pem).serial == leaf.certificate.serial_number


def test_roots_that_cannot_be_read_are_passed_over(leaf, class_2, root):
    assert chained(leaf.pem + class_2.pem, SM2_ROOT + BROKEN + root.pem).serial == leaf.certificate.serial_number


@pytest.mark.parametrize("bundle", ["", "not PEM", SM2_ROOT, BROKEN])
def test_a_bundle_without_a_readable_root_is_refused(leaf, bundle):
    with pytest.raises(ValueError, match="root bundle"):
        chained(leaf.pem, bundle)


def test_a_leaf_of_another_root_is_refused(leaf, class_2, keys):
    with pytest.raises(ValueError, match="does not chain"):
        chained(leaf.pem + class_2.pem, issue("Root", keys.own, ca=True).pem)


def test_a_leaf_without_its_intermediate_is_refused(leaf, root):
    with pytest.raises(ValueError, match="does not chain"):
        chained(leaf.pem, root.pem)


@pytest.mark.parametrize("ca", [False, None])
def test_a_certificate_that_is_no_authority_vouches_for_nobody(keys, root, ca):
    impostor = issue("Somebody", keys.foreign, by=root, ca=ca)
    with pytest.raises(ValueError, match="does not chain"):
        chained(issue("Alipay", keys.own, by=impostor).pem + impostor.pem, root.pem)


def test_certificates_that_vouch_for_each_other_come_to_an_end(keys, root):
    name_a, name_b = issue("A", keys.own, ca=True), issue("B", keys.foreign, ca=True)
    a, b = issue("A", keys.own, by=name_b, ca=True), issue("B", keys.foreign, by=name_a, ca=True)
    with pytest.raises(ValueError, match="does not chain"):
        chained(issue("Alipay", keys.own, by=a).pem + a.pem + b.pem, root.pem)


def test_a_leaf_without_an_rsa_key_is_refused(root):
    pem = issue("Alipay", ec.generate_private_key(ec.SECP256R1()), by=root).pem
    with pytest.raises(ValueError, match="RSA"):
        chained(pem, root.pem)


@pytest.mark.parametrize("pem", ["", "not PEM", BROKEN, SM2_ROOT])
def test_a_leaf_that_cannot_be_read_is_refused(root, pem):
    with pytest.raises(ValueError, match="certificate"):
        chained(pem, root.pem)


def test_a_chain_is_valid_while_all_its_links_are(keys):
    since, until = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
    root = issue("Root", keys.other, ca=True, since=since)
    class_2 = issue("Class 2", keys.foreign, by=root, ca=True, until=until)
    found = chained(issue("Alipay", keys.own, by=class_2).pem + class_2.pem, root.pem)
    second = timedelta(seconds=1)
    assert [found.is_valid_at(now) for now in (since - second, since, until, until + second)] == [
        False,
        True,
        True,
        False,
    ]
