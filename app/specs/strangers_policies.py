"""Tokenhouse - what an operator may grant to clients that come by themselves: less than to those that they know."""

from .rfc7591_metadata import ClientPolicy


def check_policies_of_strangers(registration: ClientPolicy | None, documents: ClientPolicy | None) -> None:
    """Raises ValueError where a policy gives to anybody what is for clients that the operator vouches for.

    `registration`: of clients that register themselves; `documents`: of those that are documents on the web.
    """
    if registration is not None and registration.skip_consent:
        # Whoever registers an application would have everybody's data for one click on a link.
        raise ValueError("registration_policy must not skip consent: anybody may register an application")
    if any(policy is not None and policy.appearance is not None for policy in (registration, documents)):
        # What an operator vouches for looks different from what anybody may bring along.
        raise ValueError("an appearance is for clients that an operator knows, not for those that come by themselves")
    if documents is not None and (
        documents.skip_consent or documents.introspects or documents.token_exchange_audiences
    ):
        raise ValueError("client_id_metadata_documents_policy must only narrow: anybody may publish a document")
