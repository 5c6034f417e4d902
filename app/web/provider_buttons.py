"""The buttons of other providers on the pages of a sign-in, and on the page after a logout."""

from collections.abc import Sequence

from app.services.identity_providers import list_providers
from app.services.upstream_logout import find_farewells
from app.web.pages import ProviderButton, ProviderLogout
from app.web.site import Site


def list_buttons(site: Site) -> tuple[ProviderButton, ...]:
    """The providers by which people sign in, in the order in which the operator added them."""
    if "upstream_logins" not in site.deployment.settings.feature_names:
        return ()
    return tuple(
        ProviderButton(
            name=provider.name,
            display_name=provider.document.display_name,
            action=f"{site.base_path}/login/with/{provider.name}",
        )
        for provider in list_providers(site.deployment)
        if provider.lets_in
    )


def list_provider_logouts(site: Site, session_ids: Sequence[int]) -> tuple[ProviderLogout, ...]:
    """Where whoever has logged out of these sessions may still be logged in (RP-Initiated Logout 2, by POST)."""
    if "upstream_logins" not in site.deployment.settings.feature_names:
        return ()
    return tuple(
        ProviderLogout(
            display_name=farewell.display_name,
            action=farewell.end_session_endpoint,
            fields=(("id_token_hint", farewell.id_token_hint), ("client_id", farewell.client_id)),
        )
        for farewell in find_farewells(site.deployment, session_ids)
    )
