"""What a sign-in by another provider would meet: its metadata, its keys, its TLS, its clock."""

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Final

from app.services.client_keys import choose_verification_keys
from app.services.deployment import Deployment
from app.services.fetch_document import FetchedDocument
from app.services.findings import Finding, error, ok, warning
from app.services.identity_providers import Provider
from app.services.manage_providers import get_provider
from app.services.upstream_channel import Channel, ProviderUnavailable
from app.services.upstream_documents import MAX_DOCUMENT_BYTES, fetch_keys, fetch_metadata
from app.specs.identity_provider_document import IdentityProvider
from app.specs.oidc_discovery import ProviderMetadata, discovery_url
from app.specs.oidc_id_token_verification import MAX_SKEW_S

DEADLINE_S: Final = 10.0
_NOTED_SKEW_S: Final = 5


def examine_provider(deployment: Deployment, name: str) -> tuple[Finding, ...]:
    """Every finding, in the order in which a sign-in would meet it. Raises `Refusal` for a name that nobody has."""
    provider = get_provider(deployment, name)
    first = (warning("provider", "it is disabled: nobody signs in by it"),) if provider.is_disabled else ()
    try:
        with deployment.provider_channels.open(provider.id, deadline_s=DEADLINE_S) as channel:
            return (*first, *_examine(deployment, provider, channel))
    except ProviderUnavailable as problem:
        return (*first, error("reached", problem.reason))


def _examine(deployment: Deployment, provider: Provider, channel: Channel) -> Iterator[Finding]:
    document = provider.document
    if document.issuer is None:
        yield from _examine_endpoints(deployment, document, channel)
        return
    answer = channel.get(discovery_url(document.issuer), max_bytes=MAX_DOCUMENT_BYTES, accept="application/json")
    try:
        metadata = fetch_metadata(channel, document.issuer)
    except ProviderUnavailable as problem:
        yield error("discovery", problem.reason)
        return
    yield ok("discovery", f"{discovery_url(document.issuer)} names the issuer as it should")
    yield _examine_tls(document.issuer)
    yield _examine_clock(deployment, answer)
    yield from _examine_metadata(document, metadata)
    yield _examine_keys(document, metadata, channel)


def _examine_metadata(document: IdentityProvider, metadata: ProviderMetadata) -> Iterator[Finding]:
    algorithms = [alg for alg in document.id_token_signing_algs if alg in metadata.signing_algs]
    if algorithms:
        yield ok("algorithms", f"it signs ID tokens by {', '.join(algorithms)}")
    else:
        listed = ", ".join(metadata.signing_algs) or "nothing"
        yield error("algorithms", f"it signs ID tokens by {listed}, of which id_token_signing_algs lists none")
    method = document.token_endpoint_auth_method
    if method == "none" or method in metadata.auth_methods:
        yield ok("client authentication", f"it takes {method}")
    else:
        yield error("client authentication", f"it takes {', '.join(metadata.auth_methods)}, and not {method}")
    if metadata.says_s256:
        yield ok("PKCE", "it knows S256")
    else:
        yield warning("PKCE", "it does not say that it knows S256; a code_challenge is sent all the same")
    if metadata.sends_iss:
        yield ok("iss", "it says that its answers hold iss (RFC 9207)")
    else:
        yield warning("iss", "its answers hold no iss (RFC 9207): only its own callback tells it from others")
    if metadata.end_session_endpoint is None:
        yield warning("logout", "it has no end_session_endpoint: no logout there is offered")


def _examine_keys(document: IdentityProvider, metadata: ProviderMetadata, channel: Channel) -> Finding:
    try:
        keys, _ = fetch_keys(channel, metadata.jwks_uri)
    except ProviderUnavailable as problem:
        return error("keys", problem.reason)
    usable = {alg for alg in document.id_token_signing_algs if choose_verification_keys(keys, kid=None, alg=alg)}
    if not usable:
        return error("keys", f"{metadata.jwks_uri} holds no key for the algorithms that are listed")
    return ok("keys", f"{metadata.jwks_uri} holds keys for {', '.join(sorted(usable))}")


def _examine_endpoints(deployment: Deployment, document: IdentityProvider, channel: Channel) -> Iterator[Finding]:
    """Without discovery there is little to see: that somebody answers who asks for nothing."""
    for name, url in (("token_endpoint", document.token_endpoint), ("userinfo_endpoint", document.userinfo_endpoint)):
        answer = channel.get(url or "", max_bytes=MAX_DOCUMENT_BYTES, accept="application/json")
        yield ok(name, f"{url} answers {answer.status}")
    yield _examine_tls(document.token_endpoint or "")
    yield _examine_clock(deployment, answer)


def _examine_tls(url: str) -> Finding:
    if url.startswith("https://"):
        return ok("TLS", "its certificate is verified")
    return warning("TLS", "it is spoken to without TLS, which only loopback may")


def _examine_clock(deployment: Deployment, answer: FetchedDocument) -> Finding:
    try:
        its_time_s = parsedate_to_datetime(answer.date or "").timestamp()
    except ValueError:
        return warning("clock", "it does not say what time it is")
    apart_s = round(abs(its_time_s - deployment.clock() / 1000))
    if apart_s > MAX_SKEW_S:
        return error("clock", f"it differs from ours by {apart_s} s: its ID tokens look expired, or of the future")
    if apart_s > _NOTED_SKEW_S:
        return warning("clock", f"it differs from ours by {apart_s} s")
    return ok("clock", "it agrees with ours")
