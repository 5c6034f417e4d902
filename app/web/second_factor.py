"""/second-factor: a code of an authenticator app, or a recovery code, after a first factor or to step up a session."""

from flask import Flask, Response, request

from app.services.begin_session import current_sessions
from app.services.limit_guesses import TooManyAttempts
from app.services.prove_second_factor import (
    AttemptsOver,
    Due,
    Proven,
    WrongCode,
    decline,
    find_due,
    prove_code,
    start_over,
)
from app.services.second_factors import Factors, FirstFactorOver, find_person_with_factors
from app.services.sign_in_with_passkey import PasskeyAttempt, PasskeyRefused, prove_passkey
from app.services.transactions import FirstFactor, Transaction, Visit
from app.specs.protocol_error import InvalidRequest
from app.specs.strict_request import Parameters
from app.web.authorize import current_pending, read_pending_form
from app.web.come_back import set_retry_after, too_many_sentence
from app.web.factor_pages import (
    RecoveryCodeUsedPage,
    SecondFactorPage,
    render_recovery_code_used,
    render_second_factor,
)
from app.web.language import gettext
from app.web.login import arrival_of, ask_to_sign_in, client_of, keep_login, let_in
from app.web.passkey_prompt import passkey_came_late, passkey_problem, second_factor_prompt
from app.web.site import NotYet, Site, read_query


def add_second_factor(app: Flask, site: Site) -> None:
    """Add the routes."""

    @app.get("/second-factor")
    def second_factor_get() -> Response:
        parameters = read_query()
        pending = current_pending(site, parameters)
        due = _get_due(site, pending)
        return _show(site, pending, due, takes=parameters.get("with"))

    @app.post("/second-factor")
    def second_factor_post() -> Response:
        form, pending = _read_own_form(site)
        due = _get_due(site, pending)
        if form.get("decision") == "restart":
            start_over(site.deployment, pending)
            return site.redirect(site.url(f"/login?transaction={pending.transaction_id}&account=another"))
        if form.get("decision") == "cancel" and isinstance(pending, Transaction):
            raise decline(site.deployment, pending, due)
        return _prove(site, pending, due, form.get("code") or "", takes=form.get("takes"))

    if site.deployment.settings.offers_passkeys:

        @app.post("/second-factor/passkey")
        def second_factor_passkey() -> Response:
            form, pending = _read_own_form(site)
            due = _get_due(site, pending)
            return _prove_by_passkey(site, pending, due, form.get("credential"))


def _read_own_form(site: Site) -> tuple[Parameters, Transaction | Visit]:
    form, pending = read_pending_form(site)
    client_of(site, pending)
    return form, pending


def _get_due(site: Site, pending: Transaction | Visit) -> Due:
    """What is due. Raises `NotYet` where nothing is, or where the first factor comes first again."""
    sessions = current_sessions(site.deployment, site.cookies.read_browser(request))
    try:
        due = find_due(site.deployment, pending, sessions)
    except AttemptsOver:
        raise NotYet(_begin_again(site, pending, _too_many_codes())) from None
    except FirstFactorOver:
        raise NotYet(_begin_again(site, pending, _too_late())) from None
    if due is None:
        raise NotYet(site.redirect(site.url(f"/authorize/resume?transaction={pending.transaction_id}")))
    return due


def _prove(site: Site, pending: Transaction | Visit, due: Due, code: str, *, takes: str | None) -> Response:
    try:
        proven = prove_code(site.deployment, arrival_of(site, pending), due, code)
    except WrongCode:
        return _show(site, pending, due, takes=takes, error=_wrong(takes))
    except AttemptsOver:
        return _begin_again(site, pending, _too_many_codes())
    except FirstFactorOver:
        return _begin_again(site, pending, _too_late())
    except TooManyAttempts as error:
        return _show_throttled(site, pending, due, error, takes=takes)
    if proven.recovery_codes_left is None:
        return let_in(site, pending, proven.logged_in)
    return _tell_codes_left(site, pending, proven, proven.recovery_codes_left)


def _prove_by_passkey(site: Site, pending: Transaction | Visit, due: Due, credential: str | None) -> Response:
    if credential is None:
        return _show(site, pending, due, takes=None, error=passkey_came_late())
    attempt = PasskeyAttempt(credential=credential, arrival=arrival_of(site, pending))
    try:
        logged_in = prove_passkey(site.deployment, attempt, due.basis, level=due.level)
    except PasskeyRefused as refused:
        return _show(site, pending, due, takes=None, error=passkey_problem(refused))
    except FirstFactorOver:
        return _begin_again(site, pending, _too_late())
    except TooManyAttempts as error:
        return _show_throttled(site, pending, due, error, takes=None)
    return let_in(site, pending, logged_in)


def _tell_codes_left(site: Site, pending: Transaction | Visit, proven: Proven, left: int) -> Response:
    continue_url = f"{site.base_path}/authorize/resume?transaction={pending.transaction_id}"
    page = RecoveryCodeUsedPage(remaining=left, continue_url=continue_url)
    response = site.page(render_recovery_code_used(page))
    keep_login(site, response, proven.logged_in)
    return response


def _show(
    site: Site,
    pending: Transaction | Visit,
    due: Due,
    *,
    takes: str | None,
    error: str | None = None,
    status: int = 200,
) -> Response:
    username, factors = find_person_with_factors(site.deployment, due.basis.user_id)
    if username is None:
        raise InvalidRequest("this sign-in cannot go on")
    kind = _choose_kind(due, factors, takes)
    other = {"totp": "recovery_code", "recovery_code": "totp"}.get(kind or "")
    has_other = (other == "totp" and factors.has_totp) or (other == "recovery_code" and factors.recovery_codes > 0)
    path = f"{site.base_path}/second-factor"
    passkey = second_factor_prompt(site, pending, due.basis, level=due.level)
    page = SecondFactorPage(
        client=client_of(site, pending),
        transaction=pending.transaction_id,
        csrf_token=pending.csrf_token,
        action=path,
        username=username,
        takes=kind,
        other_url=f"{path}?transaction={pending.transaction_id}&with={other}" if has_other else None,
        is_step_up=not isinstance(due.basis, FirstFactor),
        error=error,
        passkey=passkey,
    )
    return site.page(
        render_second_factor(page),
        status=status,
        has_form=True,
        leads_to_client=True,
        script_nonce=None if passkey is None else passkey.script_nonce,
    )


def _show_throttled(
    site: Site, pending: Transaction | Visit, due: Due, error: TooManyAttempts, *, takes: str | None
) -> Response:
    sentence = too_many_sentence(error.retry_after_s)
    response = _show(site, pending, due, takes=takes, error=sentence, status=429)
    return set_retry_after(response, error.retry_after_s)


def _choose_kind(due: Due, factors: Factors, takes: str | None) -> str | None:
    """What the field asks for: what was chosen where they have it, else what they have."""
    if not due.takes_codes:
        return None
    if takes == "recovery_code" and factors.recovery_codes:
        return "recovery_code"
    if factors.has_totp:
        return "totp"
    return "recovery_code" if factors.recovery_codes else None


def _begin_again(site: Site, pending: Transaction | Visit, error: str) -> Response:
    start_over(site.deployment, pending)
    return ask_to_sign_in(site, pending, error=error)


def _wrong(takes: str | None) -> str:
    if takes == "recovery_code":
        return gettext("The code is not right, or it has been used.")
    return gettext("The code is not right. Wait for the next one and enter that.")


def _too_many_codes() -> str:
    return gettext("Too many codes were not right. Please sign in again.")


def _too_late() -> str:
    return gettext("That took too long. Please sign in again.")
