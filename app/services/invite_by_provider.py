"""Inviting somebody who has no account here: by a link for one address, good once, for a login at one provider."""

from app.services.account_names import email_key
from app.services.deployment import Deployment
from app.services.email_links import NewLink, look_at_link, make_link
from app.services.identity_providers import Provider, find_provider, find_provider_in
from app.services.notify_person import enqueue_mail
from app.services.record_event import Event
from app.services.refusal import Refusal
from app.services.user_claims import check_email
from app.storage.database import Connection
from app.storage.users import find_users_by_email


def invite(deployment: Deployment, name: str, email: str) -> NewLink:
    """A link for the owner of an address, mailed where mail is set up. Raises `Refusal`.

    It makes an account for who signs in at the provider with that address, verified there.
    """
    check_email(email)
    now = deployment.clock()

    def work(connection: Connection) -> NewLink:
        provider = find_provider_in(deployment, connection, name)
        if provider is None:
            raise Refusal("unknown_provider", f"there is no provider {name!r}")
        if provider.is_disabled or provider.document.provisioning == "off":
            raise Refusal("provisioning_off", f"{name} is disabled, or its provisioning is off: it makes no accounts")
        if find_users_by_email(connection, email_key(email)):
            raise Refusal("email_exists", "the address belongs to an account here: its owner can link the login")
        body = {"provider": name, "email": email}
        link = make_link(deployment, connection, "provider_invitation", None, body=body, now=now)
        event = Event(type="person.invited", actor="operator", body={"provider": name}, personal={"email": email})
        deployment.recorder.record(connection, event)
        values = {**link.values, "provider": provider.document.display_name}
        enqueue_mail(deployment, connection, to=email, text="provider_invitation", locale=None, values=values, now=now)
        return link

    return deployment.database.transact(work)


def find_inviting_provider(deployment: Deployment, secret: str) -> Provider | None:
    """The provider at which whoever has the link signs in; None where it lets nobody in. Spends nothing.

    Raises `LinkOver`.
    """
    opened = look_at_link(deployment, "provider_invitation", secret)
    provider = find_provider(deployment, opened.body["provider"])
    return provider if provider is not None and provider.lets_in else None
