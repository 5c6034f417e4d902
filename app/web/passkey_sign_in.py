"""POST /login/passkey: the answer of an authenticator, in place of name and password."""

from flask import Flask, Response

from app.services.limit_guesses import TooManyAttempts
from app.services.log_in import SecondFactorDue
from app.services.sign_in_with_passkey import PasskeyAttempt, PasskeyRefused, sign_in_with_passkey
from app.web.authorize import read_pending_form
from app.web.login import arrival_of, client_of, let_in, show_login, show_throttled
from app.web.passkey_prompt import passkey_came_late, passkey_problem
from app.web.site import Site


def add_passkey_sign_in(app: Flask, site: Site) -> None:
    """Add the route."""

    @app.post("/login/passkey")
    def login_passkey() -> Response:
        form, pending = read_pending_form(site)
        client_of(site, pending)
        credential = form.get("credential")
        if credential is None:
            # The page's script sends nothing where what it would send is too old.
            return show_login(site, pending, username="", error=passkey_came_late())
        attempt = PasskeyAttempt(credential=credential, arrival=arrival_of(site, pending))
        try:
            logged_in = sign_in_with_passkey(site.deployment, attempt)
        except PasskeyRefused as refused:
            return show_login(site, pending, username="", error=passkey_problem(refused))
        except TooManyAttempts as error:
            return show_throttled(site, pending, error)
        if isinstance(logged_in, SecondFactorDue):
            return site.redirect(site.url(f"/second-factor?transaction={pending.transaction_id}"))
        return let_in(site, pending, logged_in)
