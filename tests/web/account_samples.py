"""The pages of an account and of the second factor, with content as it comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import app.web.account_activity as account_activity
import app.web.account_pages as account_pages
import app.web.account_security as account_security
import app.web.account_sessions as account_sessions
import app.web.application_pages as application_pages
import app.web.factor_pages as factor_pages
from app.services.second_factors import Factors
from app.web.account_activity import ActivityPage, ShownEvent
from app.web.account_pages import DeletePage, ExportPage, ProfileField, ShownClaim
from app.web.account_sessions import SessionsPage, ShownSession
from app.web.application_pages import (
    ApplicationsPage,
    ShownAccess,
    ShownApi,
    ShownApplication,
    ShownDelegation,
)
from app.web.security_sections import Section
from tests.web.passkey_samples import PASSKEY, PASSKEY_LINE, PASSKEYS
from tests.web.sample_parts import (
    DOCUMENT,
    FRAME,
    IDENTITY,
    NASTY_CLIENT,
    NASTY_FRAME,
    NASTY_NAME,
    NASTY_RESOURCE,
    PAYMENTS,
    PHOTO_PRINTS,
    PHOTOS,
)
from tests.web.upstream_samples import linked_logins

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
ACCOUNT_SAMPLES: dict[str, tuple[Callable[..., str], object]] = {
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
}
