"""Pages with content as it comes: the ordinary case of each, and the cases that break a layout or a promise."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from flask import Flask

import app.web.account_activity as account_activity
import app.web.account_pages as account_pages
import app.web.account_security as account_security
import app.web.account_sessions as account_sessions
import app.web.application_pages as application_pages
import app.web.factor_pages as factor_pages
import app.web.pages as pages
from app.services.second_factors import Factors
from app.specs.rfc9396_details_types import DescribedDetail, SentencePart
from app.web.account_activity import ActivityPage, ShownEvent
from app.web.account_frame import AccountFrame
from app.web.account_pages import DeletePage, ExportPage, ProfileField, ShownClaim
from app.web.account_sessions import SessionsPage, ShownSession
from app.web.application_pages import (
    ApplicationsPage,
    ShownAccess,
    ShownApi,
    ShownApplication,
    ShownDelegation,
)
from app.web.pages import (
    AccountChoice,
    ClientCard,
    ConsentNetworks,
    ConsentPage,
    ConsentResource,
    ConsentScope,
    ErrorPage,
    HomePage,
    LoggedOutPage,
    LoginPage,
    LogoutPage,
    SelectAccountPage,
    prepare_templates,
)
from app.web.security_sections import Section
from tests.web.passkey_samples import PASSKEY, PASSKEY_LINE, PASSKEYS
from tests.web.recovery_samples import recovery_samples
from tests.web.upstream_samples import linked_logins, upstream_samples

TEMPLATES = Path(pages.__file__).with_name("templates")


@functools.cache
def make_page_app(base_path: str = "") -> Flask:
    """Return a Flask application that has the templates and nothing else of the server."""
    flask_app = Flask("page_samples", template_folder=str(TEMPLATES), static_folder=None)
    prepare_templates(flask_app, base_path=base_path, server_name="Meadow Accounts")
    return flask_app


PHOTO_PRINTS = ClientCard(
    client_id="photo-prints",
    client_name="Photo Prints",
    logo_url="/client-logo/photo-prints",
    client_uri="https://prints.example/",
    policy_uri="https://prints.example/privacy",
    tos_uri="https://prints.example/terms",
    redirect_host="prints.example",
    redirect_kind="https",
)
LOOPBACK = ClientCard(
    client_id="album-cli", client_name="Album Backup", redirect_host="this device", redirect_kind="loopback"
)
CUSTOM = ClientCard(
    client_id="phone-app",
    client_name="Pocket Album",
    redirect_host="example.album.pocket:",
    redirect_kind="custom",
    client_uri="https://pocket-album.example/",
)
DOCUMENT = ClientCard(
    client_id="https://agent.example:8443/client.json",
    client_name="Agent",
    redirect_host="callback.example",
    redirect_kind="https",
    document_host="agent.example:8443",
)
NASTY_NAME = (
    "\u202eevil\u202c<script>alert(1)</script> {{7*7}} & \"Quote\" 'Quote' \u0645\u0631\u062d\u0628\u0627 🖼️ "
    "Extraordinarily-long-name-without-any-place-to-break-it-" + "x" * 200
)
NASTY_CLIENT = ClientCard(
    client_id="c" * 300,
    client_name=NASTY_NAME,
    logo_url="https://evil.example/pixel.png",
    client_uri="javascript:alert(document.domain)",
    policy_uri="data:text/html,<script>alert(1)</script>",
    tos_uri="https://a-very-long-host-name-with-many-labels.and-another-label.and-one-more.prints.example/terms",
    redirect_host="xn--prnts-q4a.a-very-long-host-name-with-many-labels.and-another-label.and-one-more.example",
    redirect_kind="https",
)


def scope(name: str, description: str, *, required: bool = False, checked: bool = True) -> ConsentScope:
    """Return a choice whose posted value is its name."""
    return ConsentScope(value=name, name=name, description=description, required=required, checked=checked)


LONG_CLAIM = "https://claims.example/" + "x" * 77
SINGLE_CLAIMS = (
    scope("birthdate", "See your date of birth"),
    scope(LONG_CLAIM, f"See what is recorded about you as {LONG_CLAIM}"),
)
PHOTOS = ConsentResource(
    resource="https://photos.example/api",
    resource_name="Photo Library",
    host="photos.example",
    scopes=(
        scope("photos.read", "See your photos and albums", required=True),
        scope("photos.metadata", "See where and when your photos were taken"),
        scope("photos.share", "Make links to single photos that others can open", checked=False),
    ),
    access_token_lifetime="5 minutes",
)
ORDERS = ConsentResource(
    resource="https://orders.example/",
    resource_name="Order Desk",
    host="orders.example",
    scopes=(
        scope("orders.read", "See your orders"),
        scope("orders.write", "Place orders in your name, up to the limit that you have set there"),
        scope("orders.cancel", "Cancel orders that have not been sent"),
        scope("invoices.read", "See your invoices"),
        scope("addresses.read", "See the addresses that you have had things sent to"),
    ),
    access_token_lifetime="3 minutes",
)
PAYMENTS = ConsentResource(
    resource="https://bank.example/",
    resource_name="Meadow Bank",
    host="bank.example",
    scopes=(scope("payments", "Begin payments that you have allowed one by one", required=True),),
    access_token_lifetime="3 minutes",
    details=(
        DescribedDetail(
            title="A payment",
            sentence=(
                SentencePart("Pay up to ", is_value=False),
                SentencePart("123.50 EUR", is_value=True),
                SentencePart(" to ", is_value=False),
                SentencePart("Photo Prints Ltd", is_value=True),
            ),
            members=(("actions", "initiate, status"),),
        ),
        DescribedDetail(
            title="An account",
            sentence=(SentencePart("See the balance of your accounts", is_value=False),),
            members=(),
        ),
    ),
)
NASTY_DETAIL = DescribedDetail(
    title="A payment",
    sentence=(
        SentencePart("Pay ", is_value=False),
        SentencePart('"><script>alert(1)</script>' + "9" * 170, is_value=True),
        SentencePart(" to ", is_value=False),
        SentencePart("\u202emitra مكتبة", is_value=True),
    ),
    members=(("purpose", "W" * 2000), ('"><b>' + "n" * 150, "<img src=x>")),
)
NASTY_RESOURCE = ConsentResource(
    resource='https://api.example/"><script>alert(1)</script>',
    resource_name="مكتبة الصور",
    host="api.a-very-long-host-name-with-many-labels.and-another-label.and-one-more.example",
    scopes=(
        scope("read:" + "y" * 180, "<b>Read</b> everything " + "W" * 200),
        scope("write", "اكتب الصور الخاصة بك في المكتبة"),
        scope("delete", "Löschen 🗑️ – für immer\u202e"),
        scope("admin", ""),
    ),
    access_token_lifetime="1 minute",
    details=(NASTY_DETAIL,),
)
IDENTITY = (
    scope("openid", "Recognise you when you come back", required=True),
    scope("profile", "See your name, picture and language"),
    scope("email", "See your e-mail address"),
)

LOGIN = LoginPage(client=PHOTO_PRINTS, transaction="transaction-value", csrf_token="csrf-value", action="/login")
SELECT_ACCOUNT = SelectAccountPage(
    client=PHOTO_PRINTS,
    transaction="transaction-value",
    csrf_token="csrf-value",
    action="/select-account",
    login_url="/login?transaction=transaction-value&account=another",
    accounts=(
        AccountChoice(value="anna", name="Anna Karlsson", email="anna@example.com", was_used_last=True, checked=True),
        AccountChoice(value="work", name="", email="a.karlsson@office.example", was_used_last=False, checked=False),
    ),
)
CONSENT = ConsentPage(
    client=PHOTO_PRINTS,
    transaction="transaction-value",
    csrf_token="csrf-value",
    action="/consent",
    username="anna",
    resources=(PHOTOS,),
    identity_scopes=IDENTITY,
    can_be_remembered=True,
)
ERROR = ErrorPage(
    title="Authorization error",
    error="invalid_request",
    explanation="The request cannot be carried out: something in it is missing or wrong.",
    description="The application asked for something that this server does not understand: code_challenge is missing.",
    incident="K7QF-3M2X",
    back_uri="https://prints.example/",
    client_name="Photo Prints",
)
HOME = HomePage(
    issuer="https://login.meadow.example",
    server_name="Meadow",
    metadata_uri="https://login.meadow.example/.well-known/oauth-authorization-server",
)

LOGOUT = LogoutPage(
    client=PHOTO_PRINTS,
    returns=True,
    request="request-value",
    csrf_token="csrf-value",
    action="/logout",
    usernames=("anna",),
)
LOGGED_OUT = LoggedOutPage(ended=("anna",), remaining=(), logout_url="/logout")
FRAME = AccountFrame(username="anna", section="overview", base_path="", logout_url="/logout")
NASTY_FRAME = AccountFrame(
    username='"><script>alert(1)</script>' + "u" * 100,
    section="security",
    base_path="",
    logout_url="javascript:alert(1)",
    done="It is done. " + "w" * 100,
    error="<b>It</b> is not right.",
)
SECOND_FACTOR = factor_pages.SecondFactorPage(
    client=PHOTO_PRINTS,
    transaction="transaction-value",
    csrf_token="csrf-value",
    action="/second-factor",
    username="anna",
    takes="totp",
    other_url="/second-factor?transaction=transaction-value&with=recovery_code",
)
AUTHENTICATOR = factor_pages.AuthenticatorPage(
    frame=replace(FRAME, section="security"),
    csrf_token="csrf-value",
    uri="otpauth://totp/Meadow%20Accounts:anna?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Meadow%20Accounts",
    key="GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
)
RECOVERY_CODES = factor_pages.RecoveryCodesPage(
    frame=replace(FRAME, section="security"), csrf_token="csrf-value", remaining=3, has_factor=True
)
FACTORS = Factors(has_totp=True, passkeys=0, recovery_codes=9)
OTHER_SESSIONS = account_security.OtherSessions(others=2, csrf_token="csrf-value")
SECURITY = account_security.SecurityPage(
    frame=replace(FRAME, section="security"),
    sections=(
        Section(template="security/passkeys.html", value=PASSKEYS, script_nonce=PASSKEYS.script_nonce),
        Section(template="security/authenticator.html", value=FACTORS),
        Section(template="security/recovery_codes.html", value=FACTORS),
        Section(template="security/linked_logins.html", value=linked_logins(NASTY_NAME)),
        Section(template="security/other_sessions.html", value=OTHER_SESSIONS),
    ),
)
NICKNAME = ProfileField(
    name="nickname", label="Nickname", value="Annie", kind="text", autocomplete="nickname", hint="What friends say"
)
OVERVIEW = account_pages.OverviewPage(
    frame=FRAME,
    csrf_token="csrf-value",
    email="anna@example.com",
    email_is_verified=True,
    can_change_email=True,
    since="Nov 3, 2026, 10:15",
    claims=(
        ShownClaim(label="Full name", value="Anna Karlsson", scope="with the permission for your profile"),
        ShownClaim(label="E-mail address", value="anna@example.com", scope="with the permission for your e-mail"),
    ),
    fields=(
        NICKNAME,
        replace(NICKNAME, name="picture", label="Picture", value="https://a.example/p.png", kind="url", hint=None),
        replace(
            NICKNAME, name="locale", label="Language", value="de", choices=(("", "As the browser"), ("de", "Deutsch"))
        ),
    ),
)
HERE = ShownSession(
    reference="r1",
    device="Firefox on Windows",
    is_here=True,
    address="192.0.2.7",
    began="Nov 27, 2026, 10:15",
    last_use="Nov 28, 2026, 08:00",
    methods="password, code from an app",
)
OWN_SESSIONS = SessionsPage(
    frame=replace(FRAME, section="sessions"),
    csrf_token="csrf-value",
    sessions=(HERE, replace(HERE, reference="r2", device="Safari on iOS", is_here=False, address=None)),
)
ACTIVITY = ActivityPage(
    frame=replace(FRAME, section="activity"),
    events=(
        ShownEvent(
            sentence="You signed in.",
            when="Nov 28, 2026, 08:00",
            address="192.0.2.7",
            device="Firefox on Windows",
            methods="password",
        ),
        ShownEvent(sentence="The administrator unlocked the account.", when="Nov 27, 2026, 09:30"),
    ),
    older_url="/account/activity?before=abc",
    newest_url="/account/activity",
)
PASSED_ON = ShownDelegation(
    grant_id="g3",
    name="Print Queue",
    api="Prints",
    scopes=("See your prints",),
    until="Nov 28, 2026, 08:05",
    children=(),
)
ACCESS = ShownAccess(
    grant_id="g1",
    since="Nov 3, 2026, 10:15",
    last_use="Nov 28, 2026, 08:00",
    last_address="192.0.2.7",
    until="Feb 1, 2027, 10:15",
    duration="Until it is revoked",
    identity=IDENTITY,
    apis=(
        ShownApi(name="Photo Library", host="photos.example", choices=PHOTOS.scopes, details=()),
        ShownApi(name="Meadow Bank", host="bank.example", choices=PAYMENTS.scopes, details=PAYMENTS.details),
    ),
    is_offline=True,
    is_narrowed=True,
    networks="192.0.2.0/24",
    may_choose_networks=True,
    here="192.0.2.7",
    earliest="2026-11-29",
    latest="2027-02-01",
    zone="UTC",
    delegations=(replace(PASSED_ON, grant_id="g2", name="Photo API", children=(PASSED_ON,)),),
)
APPLICATIONS = ApplicationsPage(
    frame=replace(FRAME, section="applications"),
    csrf_token="csrf-value",
    applications=(
        ShownApplication(
            client_id="photo-prints", card=PHOTO_PRINTS, accesses=(ACCESS,), remembered=("You said yes: x",)
        ),
        ShownApplication(
            client_id="agent",
            card=DOCUMENT,
            accesses=(
                replace(ACCESS, grant_id="g4", last_use=None, delegations=(), apis=(), may_choose_networks=False),
            ),
            remembered=(),
        ),
    ),
)

SAMPLES: dict[str, tuple[Callable[..., str], object]] = {
    "login": (pages.render_login, LOGIN),
    "login-refused": (
        pages.render_login,
        replace(LOGIN, username="anna", error="The username or the password is not right."),
    ),
    "login-loopback": (pages.render_login, replace(LOGIN, client=LOOPBACK)),
    "login-nasty": (
        pages.render_login,
        replace(LOGIN, client=NASTY_CLIENT, username='"><script>alert(1)</script>', error="No <b>entry</b>."),
    ),
    "select-account": (pages.render_select_account, SELECT_ACCOUNT),
    "select-account-one": (
        pages.render_select_account,
        replace(SELECT_ACCOUNT, accounts=SELECT_ACCOUNT.accounts[:1], error="Choose one of these accounts."),
    ),
    "select-account-nasty": (
        pages.render_select_account,
        replace(
            SELECT_ACCOUNT,
            client=NASTY_CLIENT,
            login_url="javascript:alert(1)",
            accounts=(
                AccountChoice(
                    value='"><script>alert(1)</script>' + "u" * 150,
                    name=NASTY_NAME,
                    email="x" * 64 + "@" + "y" * 180 + ".example",
                    was_used_last=True,
                    checked=True,
                ),
                *SELECT_ACCOUNT.accounts[1:] * 8,
            ),
        ),
    ),
    "consent": (pages.render_consent, CONSENT),
    "consent-other-account": (
        pages.render_consent,
        replace(CONSENT, other_account_url="/select-account?transaction=transaction-value"),
    ),
    "consent-long": (
        pages.render_consent,
        replace(
            CONSENT,
            resources=(PHOTOS, ORDERS),
            identity_scopes=(*IDENTITY, scope("phone", "See your telephone number"), *SINGLE_CLAIMS),
            asks_more=True,
        ),
    ),
    "consent-details": (pages.render_consent, replace(CONSENT, resources=(PAYMENTS, PHOTOS))),
    "consent-changed": (
        pages.render_consent,
        replace(
            CONSENT,
            client=replace(PHOTO_PRINTS, registered_itself=True),
            resources=(
                replace(PAYMENTS, has_other_details=True, earlier_details=PAYMENTS.details),
                replace(PHOTOS, scopes=tuple(replace(each, is_new=True) for each in PHOTOS.scopes)),
            ),
            identity_scopes=tuple(replace(each, was_declined=True) for each in IDENTITY),
            asks_more=True,
            earlier_name="Meadow Prints",
            has_other_logo=True,
            is_other_client=True,
        ),
    ),
    "consent-loopback": (
        pages.render_consent,
        replace(CONSENT, client=LOOPBACK, identity_scopes=(), can_be_remembered=False),
    ),
    "consent-custom": (pages.render_consent, replace(CONSENT, client=CUSTOM, duration="once", can_be_remembered=False)),
    "consent-document": (pages.render_consent, replace(CONSENT, client=DOCUMENT, can_be_remembered=False)),
    "login-passkey": (pages.render_login, replace(LOGIN, passkey=PASSKEY)),
    "login-document": (pages.render_login, replace(LOGIN, client=DOCUMENT)),
    "consent-nothing": (pages.render_consent, replace(CONSENT, resources=(), identity_scopes=())),
    "consent-networks": (
        pages.render_consent,
        replace(CONSENT, networks=ConsentNetworks(can_choose=True, here="192.0.2.7")),
    ),
    "consent-networks-refused": (
        pages.render_consent,
        replace(
            CONSENT,
            duration="day",
            networks=ConsentNetworks(
                can_choose=True,
                limit="192.0.2.0/24, 2001:db8:85a3::/48",
                here="2001:db8:85a3::8a2e:370:7334",
                entered='my office "><b>' + "x" * 300,
                error="\u201cmy\u201d is not an IPv4 or IPv6 address.",
            ),
        ),
    ),
    "consent-limited": (
        pages.render_consent,
        replace(CONSENT, networks=ConsentNetworks(can_choose=False, limit=", ".join(["2001:db8:85a3::/48"] * 32))),
    ),
    "consent-nasty": (
        pages.render_consent,
        replace(CONSENT, client=NASTY_CLIENT, resources=(NASTY_RESOURCE, PHOTOS), username="u" * 150, asks_more=True),
    ),
    "error": (pages.render_error, ERROR),
    "error-no-way-back": (pages.render_error, replace(ERROR, back_uri=None, client_name=None)),
    "error-nasty": (
        pages.render_error,
        replace(
            ERROR,
            description="<script>alert(1)</script> " + "z" * 700,
            error='"><img src=x>',
            back_uri="javascript:alert(1)",
            client_name=NASTY_NAME,
        ),
    ),
    "logout": (pages.render_logout, LOGOUT),
    "logout-unknown": (pages.render_logout, replace(LOGOUT, client=None, returns=False, usernames=("anna", "bob"))),
    "logout-nasty": (
        pages.render_logout,
        replace(LOGOUT, client=NASTY_CLIENT, usernames=('"><script>alert(1)</script>', NASTY_NAME)),
    ),
    "logged-out": (pages.render_logged_out, LOGGED_OUT),
    "logged-out-of-one": (
        pages.render_logged_out,
        replace(LOGGED_OUT, remaining=("bob",), client_name="Photo Prints", back_uri="https://prints.example/"),
    ),
    "logged-out-nasty": (
        pages.render_logged_out,
        replace(
            LOGGED_OUT,
            ended=('"><script>alert(1)</script>' + "x" * 200,),
            remaining=(NASTY_NAME,),
            client_name=NASTY_NAME,
            back_uri="https://prints.example/",
        ),
    ),
    "still-signed-in": (pages.render_logged_out, replace(LOGGED_OUT, ended=(), remaining=("anna",))),
    "busy": (pages.render_busy, "Many people are signing in just now. Please try again in a moment."),
    "home": (pages.render_home, HOME),
    "account": (account_pages.render_overview, OVERVIEW),
    "account-nasty": (
        account_pages.render_overview,
        replace(
            OVERVIEW,
            frame=NASTY_FRAME,
            email="x" * 64 + "@" + "y" * 180 + ".example",
            email_is_verified=False,
            claims=(ShownClaim(label="l" * 90, value='"><script>alert(1)</script>' + "v" * 400, scope="s"),),
            fields=(replace(NICKNAME, value='"><script>alert(1)</script>', error="This cannot be kept as it is."),),
        ),
    ),
    "account-export": (account_pages.render_export, ExportPage(frame=FRAME, csrf_token="csrf-value")),
    "account-delete": (
        account_pages.render_delete,
        DeletePage(frame=FRAME, csrf_token="csrf-value", has_mail=True, error="Type the name of your account exactly."),
    ),
    "account-deleted": (lambda _page: account_pages.render_deleted(), None),
    "account-sessions": (account_sessions.render_sessions, OWN_SESSIONS),
    "account-sessions-nasty": (
        account_sessions.render_sessions,
        replace(
            OWN_SESSIONS,
            frame=NASTY_FRAME,
            sessions=(replace(HERE, device=NASTY_NAME, address='"><script>alert(1)</script>' + "a" * 80),) * 3,
        ),
    ),
    "account-activity": (account_activity.render_activity, ACTIVITY),
    "account-activity-nasty": (
        account_activity.render_activity,
        replace(
            ACTIVITY,
            frame=NASTY_FRAME,
            events=(ShownEvent(sentence=NASTY_NAME, when="w" * 80, address="a" * 100, device="d" * 200),),
            older_url="javascript:alert(1)",
        ),
    ),
    "account-applications": (application_pages.render_applications, APPLICATIONS),
    "account-applications-none": (
        application_pages.render_applications,
        replace(APPLICATIONS, applications=()),
    ),
    "account-applications-nasty": (
        application_pages.render_applications,
        replace(
            APPLICATIONS,
            frame=NASTY_FRAME,
            applications=(
                ShownApplication(
                    client_id='"><script>alert(1)</script>' + "c" * 300,
                    card=NASTY_CLIENT,
                    accesses=(
                        replace(
                            ACCESS,
                            last_address='"><b>' + "9" * 80,
                            networks="n" * 900,
                            apis=(
                                ShownApi(
                                    name=NASTY_NAME,
                                    host="h" * 200,
                                    choices=NASTY_RESOURCE.scopes,
                                    details=NASTY_RESOURCE.details,
                                ),
                            ),
                            delegations=(replace(PASSED_ON, name=NASTY_NAME, children=(PASSED_ON,)),),
                        ),
                    ),
                    remembered=("You said yes: " + NASTY_NAME,),
                ),
                ShownApplication(client_id="gone", card=None, accesses=(), remembered=("You said no: x",)),
            ),
        ),
    ),
    "second-factor": (factor_pages.render_second_factor, SECOND_FACTOR),
    "second-factor-passkey": (factor_pages.render_second_factor, replace(SECOND_FACTOR, passkey=PASSKEY)),
    "second-factor-refused": (
        factor_pages.render_second_factor,
        replace(SECOND_FACTOR, takes="recovery_code", is_step_up=True, error="The code is not right."),
    ),
    "second-factor-visit": (factor_pages.render_second_factor, replace(SECOND_FACTOR, client=None, other_url=None)),
    "second-factor-nasty": (
        factor_pages.render_second_factor,
        replace(
            SECOND_FACTOR,
            client=NASTY_CLIENT,
            username=NASTY_NAME,
            takes=None,
            other_url="javascript:alert(1)",
            is_step_up=True,
            error="No <b>entry</b>." + "e" * 300,
        ),
    ),
    "recovery-code-used": (
        factor_pages.render_recovery_code_used,
        factor_pages.RecoveryCodeUsedPage(remaining=9, continue_url="/authorize/resume?transaction=transaction-value"),
    ),
    "recovery-code-used-last": (
        factor_pages.render_recovery_code_used,
        factor_pages.RecoveryCodeUsedPage(remaining=0, continue_url="/authorize/resume?transaction=transaction-value"),
    ),
    "authenticator": (factor_pages.render_authenticator, AUTHENTICATOR),
    "authenticator-refused": (
        factor_pages.render_authenticator,
        replace(AUTHENTICATOR, code_error="The code is not right."),
    ),
    "authenticator-on": (factor_pages.render_authenticator, replace(AUTHENTICATOR, uri=None, key=None)),
    "recovery-codes": (factor_pages.render_recovery_codes, RECOVERY_CODES),
    "recovery-codes-new": (
        factor_pages.render_recovery_codes,
        replace(RECOVERY_CODES, codes=tuple(f"{n}zzz-wwww-mmmm-yyyy-vvvv-0123" for n in range(10))),
    ),
    "recovery-codes-none": (factor_pages.render_recovery_codes, replace(RECOVERY_CODES, has_factor=False)),
    "security": (account_security.render_security, SECURITY),
    "security-nothing": (
        account_security.render_security,
        replace(
            SECURITY,
            frame=NASTY_FRAME,
            sections=(
                Section(
                    template="security/passkeys.html",
                    value=replace(
                        PASSKEYS, options=None, passkeys=(replace(PASSKEY_LINE, name='"><b>' + "n" * 55),), is_full=True
                    ),
                ),
                Section(template="security/authenticator.html", value=replace(FACTORS, has_totp=False)),
                Section(template="security/recovery_codes.html", value=replace(FACTORS, recovery_codes=0)),
                Section(template="security/linked_logins.html", value=()),
                Section(template="security/other_sessions.html", value=replace(OTHER_SESSIONS, others=0)),
            ),
        ),
    ),
    **recovery_samples(PHOTO_PRINTS, FRAME, NASTY_NAME),
    **upstream_samples(LOGIN, LOGGED_OUT, PHOTO_PRINTS, FRAME, NASTY_NAME),
}
