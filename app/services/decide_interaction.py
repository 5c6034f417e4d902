"""What the person still has to do before a code may be issued: one ordered list of prompts, each with its reason.

Decided anew at every step from the request, the session and the remembered consent; nothing that a browser sends
back (a removed parameter, a page reload, the Back button) can skip a prompt.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from app.services.authentication_context import (
    LEVELS,
    lacks_essential_acr,
    missing_essential_level,
    missing_level,
    requested_acr_values,
)
from app.services.authorization_request import AuthorizationRequest
from app.services.choose_account import ChosenAccount
from app.services.client_registry import Client
from app.services.deployment import AcrNames
from app.services.requested_person import RequestedPerson
from app.specs.client_id_metadata_document import digest_identity
from app.specs.oidc_claims_request import covering_scope
from app.specs.protocol_error import (
    AccessDenied,
    AccountSelectionRequired,
    ConsentRequired,
    LoginRequired,
    ProtocolError,
)
from app.specs.rfc8252_redirects import redirect_kind
from app.storage.consents import ConsentRow
from app.storage.sessions import SessionRow

PromptName = Literal["login", "select_account", "second_factor", "consent"]
CLAIM_PREFIX = "claim:"
"""Makes a single claim a name beside the userinfo endpoint's scopes, of which none begins so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is known when the decision is made. `began_at`: when the transaction began, in milliseconds.

    `person`: the one who may answer, where the client asks for one.
    `reachable`: the levels that this person can still reach, by the second factors that they have.
    `details_digests`: of the authorization details that are asked for, by the resource to which they belong.
    """

    request: AuthorizationRequest
    client: Client
    account: ChosenAccount
    consents: tuple[ConsentRow, ...]
    details_digests: Mapping[str, bytes]
    began_at: int
    now: int
    userinfo: str
    acr_names: AcrNames
    reachable: frozenset[str] = frozenset()
    person: RequestedPerson | None = None

    @property
    def session(self) -> SessionRow | None:
        """The session of whoever the request is answered for."""
        return self.account.session


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """A prompt that is due, and why."""

    prompt: PromptName
    reason: str

    def as_error(self) -> ProtocolError:
        """What `prompt=none` gets instead (OpenID Connect Core 3.1.2.6)."""
        if self.prompt in ("login", "second_factor"):
            return LoginRequired("the person has to log in", detail=self.reason)
        if self.prompt == "select_account":
            return AccountSelectionRequired("the person has to choose an account", detail=self.reason)
        return ConsentRequired("the person has to consent", detail=self.reason)


def decide_interaction(situation: Situation) -> Interaction | None:
    """The next prompt that is due, or None when a code may be issued."""
    for prompt, check in PROMPTS:
        reason = check(situation)
        if reason is not None:
            return Interaction(prompt=prompt, reason=reason)
    return None


def find_refusal(situation: Situation) -> ProtocolError | None:
    """Why nothing that this person could still do leads to a code; None where something might, or nobody is there."""
    session = situation.session
    if session is None:
        return None
    if situation.person is not None and session.sub != situation.person.sub:
        # As for `id_token_hint`: whoever was asked for has not logged in.
        return LoginRequired("another person logged in than the one who was asked for")
    level = session.events[0].level
    missing = missing_essential_level(situation.acr_names, level, situation.request)
    if lacks_essential_acr(situation.acr_names, level, situation.request) and not _can_reach(situation, missing):
        # OpenID Connect Core 5.5.1.1: to be treated "as a failed authentication attempt".
        return AccessDenied("the login does not meet the acr that is asked for", detail=f"it was {level}")
    return None


# ----- Login -----


def no_session(situation: Situation) -> str | None:
    """Nobody is logged in."""
    return "nobody is logged in in this browser" if situation.session is None else None


def login_was_asked(situation: Situation) -> str | None:
    """`prompt=login`: met only by a login after the transaction began."""
    if "login" in situation.request.prompt and _authenticated_at(situation) < situation.began_at:
        return "the client asked for prompt=login"
    return None


def login_is_too_old(situation: Situation) -> str | None:
    """`max_age`: a login after the transaction began meets even `max_age=0`."""
    max_age_s = situation.request.max_age_s
    if max_age_s is None or _authenticated_at(situation) >= situation.began_at:
        return None
    if situation.now - _authenticated_at(situation) > max_age_s * 1000:
        return f"the login is older than max_age={max_age_s}"
    return None


# ----- Choice of an account -----


def account_was_asked(situation: Situation) -> str | None:
    """`prompt=select_account`: met by a choice in this transaction, and by a login, which is one."""
    if "select_account" in situation.request.prompt and not situation.account.is_decided:
        return "the client asked for prompt=select_account"
    return None


def account_is_unclear(situation: Situation) -> str | None:
    """Several people, or one person's several accounts, are logged in, and nothing tells for which the request is."""
    return None if situation.account.is_clear else "several accounts are logged in in this browser"


# ----- Second factor -----


def level_is_too_low(situation: Situation) -> str | None:
    """A stronger login is asked for (RFC 9470, or `acr_values`), and this person has the means for it.

    What is only wished for is passed over where no page may be shown: the answer tells the truth.
    """
    missing = due_level(situation)
    return None if missing is None else f"the client asked for a login of level {missing}"


def due_level(situation: Situation) -> str | None:
    """The level to step up to; None where none is due."""
    if situation.session is None:
        return None
    level, names = situation.session.events[0].level, situation.acr_names
    missing = missing_essential_level(names, level, situation.request)
    if missing is None and "none" not in situation.request.prompt:
        missing = missing_level(names, level, requested_acr_values(situation.request, situation.client))
    return missing if _can_reach(situation, missing) else None


def _can_reach(situation: Situation, level: str | None) -> bool:
    return level is not None and any(LEVELS.index(each) >= LEVELS.index(level) for each in situation.reachable)


# ----- Consent -----


def consent_was_asked(situation: Situation) -> str | None:
    """`prompt=consent` always asks: only the consent page itself goes on from here."""
    return "the client asked for prompt=consent" if "consent" in situation.request.prompt else None


def client_cannot_be_remembered(situation: Situation) -> str | None:
    """RFC 8252 8.6: a loopback or custom-scheme redirect can be anybody's on the device, so the person is asked."""
    redirect_uri = situation.request.redirect_uri
    if not can_be_remembered(situation.client, redirect_uri):
        if situation.client.is_document:
            return "a metadata document without keys in it does not prove which application asks"
        return f"a {redirect_kind(redirect_uri)} redirect does not prove which application asks"
    return None


def can_be_remembered(client: Client, redirect_uri: str) -> bool:
    """Whether an answer to this client may stand for the next time: its web host, or its secret, proves who asks."""
    kind = redirect_kind(redirect_uri)
    if client.is_document:
        # Nobody has met it before it came: keys prove that it is the same one again, and a host alone does not. What
        # stands at a jwks_uri changes unseen, so keys count only where they are in the document.
        return kind == "https" and client.is_confidential and client.metadata.jwks is not None
    return kind == "https" or (kind == "loopback" and client.is_confidential)


def client_identity(client: Client, redirect_uri: str) -> bytes | None:
    """What an answer to this client is remembered for beside its client_id; None where nothing can change."""
    return digest_identity(client.metadata, redirect_uri) if client.is_document else None


def consent_is_missing(situation: Situation) -> str | None:
    """More is asked than was decided on; less never asks. Details must be the same ones: no order says otherwise."""
    identity = client_identity(situation.client, situation.request.redirect_uri)
    decided = {
        (row.resource, row.scope)
        for row in situation.consents
        if row.policy_version == situation.client.policy_version
        and row.client_identity_digest == identity
        and row.details_digest == situation.details_digests.get(row.resource)
    }
    missing = [
        pair
        for pair in asked_pairs(situation.request, userinfo=situation.userinfo)
        if pair not in decided and not _is_covered(pair, situation, decided)
    ]
    if missing:
        return f"not decided yet: {', '.join(scope or resource for resource, scope in missing)}"[:500]
    allowed = allowed_pairs(situation.request, situation.consents, userinfo=situation.userinfo)
    if all(scope == "offline_access" for _, scope in allowed):
        return "everything that is asked for was declined"
    return None


def _is_covered(pair: tuple[str, str], situation: Situation, decided: set[tuple[str, str]]) -> bool:
    """A single claim is less than the scope that gives it: who allowed that is not asked for less."""
    scope = covering_pair(pair, userinfo=situation.userinfo)
    return scope in decided and any(
        (row.resource, row.scope) == scope and row.decision == "allowed" for row in situation.consents
    )


def _by_policy(check: Callable[[Situation], str | None]) -> Callable[[Situation], str | None]:
    """Skipped for the clients that an operator exempts (`skip_consent`)."""
    return lambda situation: None if situation.client.metadata.policy.skip_consent else check(situation)


PROMPTS: tuple[tuple[PromptName, Callable[[Situation], str | None]], ...] = (
    ("login", no_session),
    # A login says who it is: whoever has to log in anyway is not asked to choose before.
    ("login", login_was_asked),
    ("select_account", account_was_asked),
    ("select_account", account_is_unclear),
    # How old a login is depends on whose it is.
    ("login", login_is_too_old),
    ("second_factor", level_is_too_low),
    ("consent", consent_was_asked),
    ("consent", _by_policy(client_cannot_be_remembered)),
    ("consent", _by_policy(consent_is_missing)),
)


def asked_pairs(request: AuthorizationRequest, *, userinfo: str) -> tuple[tuple[str, str], ...]:
    """Every (resource, scope) of a request; an API without scopes is a pair with an empty one.

    OpenID Connect Core 11: `offline_access` is given to who asked the person for it, so it is decided on like a scope;
    either now (`prompt=consent`, or because this was never decided), or by what they said before.
    """
    pairs = [(userinfo, scope) for scope in request.identity_scope]
    # Single claims (section 5.5) that no scope beside them gives anyway: each is more, and decided on by itself.
    pairs += [
        (userinfo, f"{CLAIM_PREFIX}{name}")
        for name in request.claims.names
        if covering_scope(name) not in request.identity_scope
    ]
    if request.offline_access:
        pairs.append((userinfo, "offline_access"))
    for resource in request.resources:
        pairs += [(resource.resource, scope) for scope in resource.scope or ("",)]
    return tuple(pairs)


def allowed_pairs(
    request: AuthorizationRequest, consents: tuple[ConsentRow, ...], *, userinfo: str
) -> tuple[tuple[str, str], ...]:
    """What of a request the remembered consent allows."""
    decided = {(row.resource, row.scope) for row in consents}
    allowed = {(row.resource, row.scope) for row in consents if row.decision == "allowed"}
    return tuple(
        pair
        for pair in asked_pairs(request, userinfo=userinfo)
        if pair in allowed or (pair not in decided and covering_pair(pair, userinfo=userinfo) in allowed)
    )


def is_claim(pair: tuple[str, str], userinfo: str) -> bool:
    """Whether a pair is a single claim about the person, and no scope."""
    return pair[0] == userinfo and find_claim(pair) is not None


def find_claim(pair: tuple[str, str]) -> str | None:
    """The claim that a pair of the userinfo endpoint names; None for a scope."""
    return pair[1].removeprefix(CLAIM_PREFIX) if pair[1].startswith(CLAIM_PREFIX) else None


def covering_pair(pair: tuple[str, str], *, userinfo: str) -> tuple[str, str] | None:
    """The scope that gives a single claim, and more; None for a scope itself, and for a claim that none gives."""
    name = find_claim(pair) if pair[0] == userinfo else None
    scope = None if name is None else covering_scope(name)
    return None if scope is None else (userinfo, scope)


def _authenticated_at(situation: Situation) -> int:
    return situation.session.events[0].at if situation.session is not None else 0
