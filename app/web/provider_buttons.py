"""The buttons of other providers on the pages of a sign-in."""

from app.services.identity_providers import list_providers
from app.web.pages import ProviderButton
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
