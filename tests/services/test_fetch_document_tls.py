"""Who may answer: versions, names and authorities."""

import ssl
import warnings
from pathlib import Path

import pytest

from app.services.fetch_document import DocumentFetcher
from tests.services.fetching import JSON, MUCH, fail, fetch
from tests.services.other_host import LOOPBACK, NAME, CertificateAuthority, OtherHost, names


def test_a_certificate_that_nobody_vouches_for_is_refused(authority: CertificateAuthority) -> None:
    with OtherHost(JSON, tls=authority.serve(NAME)) as host:
        assert "CERTIFICATE_VERIFY_FAILED" in fail(host.url())
        assert host.requests == []


def test_a_certificate_for_another_name_is_refused(authority: CertificateAuthority) -> None:
    # The address is in the certificate, the name is not: what counts is what the URL says.
    with OtherHost(JSON, tls=authority.serve("other.example", "127.0.0.1")) as host:
        assert "Hostname mismatch" in fail(host.url(), ca_bundle=authority.bundle)
        assert host.requests == []


def test_a_certificate_for_the_name_is_none_for_the_address(authority: CertificateAuthority) -> None:
    with OtherHost(JSON, tls=authority.serve(NAME)) as host:
        assert "IP address mismatch" in fail(host.url(host="127.0.0.1"), ca_bundle=authority.bundle)
        assert host.requests == []


def test_a_certificate_that_has_expired_is_refused(authority: CertificateAuthority) -> None:
    with OtherHost(JSON, tls=authority.serve(NAME, expired=True)) as host:
        assert "certificate has expired" in fail(host.url(), ca_bundle=authority.bundle)
        assert host.requests == []


def test_the_operators_authorities_stand_beside_the_systems(
    authority: CertificateAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systems = CertificateAuthority(tmp_path, "Authority of the system")
    monkeypatch.setenv("SSL_CERT_FILE", str(systems.bundle))
    fetcher = DocumentFetcher(allowed_networks=[LOOPBACK], ca_bundle=authority.bundle, resolve=names("127.0.0.1"))
    for signed_by in (systems, authority):
        with OtherHost(JSON, tls=signed_by.serve(NAME)) as host:
            assert fetcher.fetch(host.url(), max_bytes=MUCH, accept="*/*").status == 200


def test_tls_1_2_is_spoken_and_tls_1_1_is_not(authority: CertificateAuthority) -> None:
    tls = authority.serve(NAME)
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    with OtherHost(JSON, tls=tls) as host:
        assert fetch(host.url(), ca_bundle=authority.bundle).status == 200
    assert host.tls_versions == ["TLSv1.2"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        tls = authority.serve(NAME)
        tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_1
        tls.set_ciphers("ALL:@SECLEVEL=0")
    with OtherHost(JSON, tls=tls) as host:
        assert "protocol version" in fail(host.url(), ca_bundle=authority.bundle).lower().replace("_", " ")
        assert host.requests == []


def test_a_bundle_without_a_certificate_stops_the_start(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate\n")
    for path in (empty, tmp_path / "nowhere.pem"):
        with pytest.raises(ValueError, match="is not a readable PEM file of certificates"):
            DocumentFetcher(ca_bundle=path)
