"""The pages that people see, as values: what a view must know to show one, and the function that renders it.

A view builds the value, calls `render_*` inside an application context and adds the headers of
`security_headers.page_headers`. The templates decide every word and all markup; nothing here is HTML.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from typing import Literal

from flask import Flask, render_template
from jinja2 import StrictUndefined

from app.specs.page_appearance import Appearance
from app.specs.rfc9396_details_types import DescribedDetail
from app.web import display_text, language
from app.web.look import Look, Looks
from app.web.passkey_forms import PasskeyPrompt
from app.web.static_files import account_stylesheet_url, answers_stylesheet_url, favicon_url, stylesheet_url

RedirectKind = Literal["https", "loopback", "custom"]
ConsentDuration = Literal["once", "day", "until_revoked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCard:
    """Who asks. Everything but `client_id`, `redirect_host` and `redirect_kind` is the client's own word.

    `logo_url` is a path on our origin; anything else is not shown. Links that are neither https nor http on this device
    are not shown. `redirect_host` is where the answer goes: a punycode host, or the scheme of a custom one.
    """

    client_id: str
    client_name: str
    redirect_host: str
    redirect_kind: RedirectKind
    logo_url: str | None = None
    client_uri: str | None = None
    policy_uri: str | None = None
    tos_uri: str | None = None
    appearance: Appearance | None = None
    """How an operator lets the pages look where this client asks; never the client's own word."""
    document_host: str | None = None
    """For a client that is a document on the web: the host that it came from, which is all that was verified of it."""
    registered_itself: bool = False
    """Whether nobody who runs this server has looked at it."""

    @property
    def leads_elsewhere(self) -> bool:
        """Whether a document of one host sends people to another; ports make no difference to who owns a host."""
        if self.document_host is None or self.redirect_kind != "https":
            return False
        return re.sub(r":[0-9]+$", "", self.document_host) != self.redirect_host


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderButton:
    """Another provider by which people sign in: `name` is in an id, `action` a path of ours to which is posted."""

    name: str
    display_name: str
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginPage:
    """The form at which a person signs in; `error` is a sentence for them, shown once above the fields.

    `client` is None where they came for a page of ours.
    """

    client: ClientCard | None
    transaction: str = field(repr=False)
    csrf_token: str = field(repr=False)
    action: str
    username: str = ""
    error: str | None = None
    providers: tuple[ProviderButton, ...] = ()
    reset_url: str | None = None
    signup_url: str | None = None
    """Paths of ours, where there is mail, and where people may make accounts."""
    passkey: PasskeyPrompt | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChoice:
    """One account that is signed in in this browser: `value` is posted back as `account`.

    `was_used_last`: by the application that asks.
    """

    value: str
    name: str
    email: str
    was_used_last: bool
    checked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectAccountPage:
    """The question which account goes on; `login_url` is a path of ours, for one that is not signed in here."""

    client: ClientCard
    transaction: str = field(repr=False)
    csrf_token: str = field(repr=False)
    action: str
    login_url: str
    accounts: tuple[AccountChoice, ...]
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentScope:
    """One permission that can be ticked: `value` is posted back as `scope`, `description` is what people read.

    A required scope cannot be unticked and, being disabled, is not posted. `is_new`: the person has answered this
    client before, and not about this. `was_declined`: they said no to it.
    """

    value: str
    name: str
    description: str
    required: bool
    checked: bool
    is_new: bool = False
    was_declined: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentResource:
    """One API with what is asked of it; `access_token_lifetime` in words ("5 minutes").

    `details` (RFC 9396) are allowed or denied with the whole: they cannot be unticked one by one. `has_other_details`:
    they are not those that the person allowed last, which are `earlier_details` where that is still known.
    """

    resource: str
    resource_name: str
    host: str
    scopes: tuple[ConsentScope, ...]
    access_token_lifetime: str
    details: tuple[DescribedDetail, ...] = ()
    has_other_details: bool = False
    earlier_details: tuple[DescribedDetail, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentNetworks:
    """From where the application may be used. `limit`: what holds in any case, None for anywhere, ready to be read.

    `can_choose`: whether the person may narrow it. `entered` and `error`, a sentence for them, where that did not do.
    `here`: their own address, None where it is not known.
    """

    can_choose: bool
    limit: str | None = None
    here: str | None = None
    entered: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentPage:
    """The question what a client may do; `asks_more` where that is more than this person decided on before.

    `earlier_name`: what the client was called when they answered it last, None where that is as it was.
    `is_other_client`: it is a document on the web that comes from elsewhere now, or has other keys.
    `can_be_remembered` is false where nothing proves which program asks, so that the person is asked each time.
    `other_account_url` is a path of ours, None where the page knows no other account's way.
    `offline_access` is there where access after a sign-out is asked for, for at most `longest_offline` in words.
    """

    client: ClientCard
    transaction: str = field(repr=False)
    csrf_token: str = field(repr=False)
    action: str
    username: str
    other_account_url: str | None = None
    resources: tuple[ConsentResource, ...]
    identity_scopes: tuple[ConsentScope, ...]
    offline_access: ConsentScope | None = None
    longest_offline: str = ""
    duration: ConsentDuration = "until_revoked"
    asks_more: bool = False
    earlier_name: str | None = None
    has_other_logo: bool = False
    is_other_client: bool = False
    can_be_remembered: bool
    networks: ConsentNetworks = ConsentNetworks(can_choose=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPage:
    """A refusal that cannot go to the client. `back_uri` leads out of it: the client's page or a path of ours.

    `explanation` is a sentence for the person; `description` is for developers, in English.
    """

    title: str
    error: str
    explanation: str
    description: str
    incident: str
    back_uri: str | None = None
    back_label: str | None = None
    client_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutPage:
    """The question whether to log out `usernames`, all who are signed in here; `client` is who sent them, if known.

    `returns` where they go back to the client afterwards, as the card says.
    """

    client: ClientCard | None
    returns: bool
    request: str = field(repr=False)
    csrf_token: str = field(repr=False)
    action: str
    usernames: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLogout:
    """A logout at another provider, which is offered: the form is posted to `action`, with `fields` in it."""

    display_name: str
    action: str
    fields: tuple[tuple[str, str], ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedOutPage:
    """What was done. `ended` are logged out now, `remaining` are still signed in here.

    `frames` are registered pages of applications that are to forget the session; afterwards the browser goes on to
    `continue_to` (registered, too) by itself, at the latest after `wait_s`. `back_uri` is only offered.
    """

    ended: tuple[str, ...]
    remaining: tuple[str, ...]
    logout_url: str
    frames: tuple[str, ...] = ()
    continue_to: str | None = None
    client_name: str | None = None
    back_uri: str | None = None
    elsewhere: tuple[ProviderLogout, ...] = ()
    wait_s: int = 5
    script_url: str = ""
    script_nonce: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormPostPage:
    """The form that carries an authorization response to a client: it is posted at once, or by its button.

    `action` is a registered redirect URI. `fields` hold a code: they never reach `repr`.
    """

    action: str
    host: str
    fields: tuple[tuple[str, str], ...] = field(repr=False)
    script_url: str
    script_nonce: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HomePage:
    """What stands at the issuer's root, for who wonders what this host is."""

    issuer: str
    server_name: str
    metadata_uri: str


def prepare_templates(flask_app: Flask, *, base_path: str, server_name: str, looks: Looks | None = None) -> None:
    """Teach the application's Jinja environment what every template uses; call it once, before the first page.

    `base_path` is the issuer's path without a slash at its end ("" for none), `server_name` what people call this
    server, `looks` how its pages look, which is as they come where none are given.
    """
    looks = Looks(None, base_path=base_path) if looks is None else looks
    environment = flask_app.jinja_env
    environment.undefined = StrictUndefined
    environment.trim_blocks = True
    environment.lstrip_blocks = True
    environment.add_extension("jinja2.ext.i18n")
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        language.find_message, language.find_plural, newstyle=True
    )
    environment.filters["one_line"] = display_text.one_line
    environment.filters["sentence"] = display_text.sentence
    environment.filters["monogram"] = display_text.monogram
    environment.filters["safe_link"] = display_text.safe_link
    environment.filters["own_path"] = display_text.own_path
    environment.globals["server_name"] = server_name
    environment.globals["home_url"] = f"{base_path}/"
    environment.globals["stylesheet_url"] = stylesheet_url(base_path)
    environment.globals["answers_stylesheet_url"] = answers_stylesheet_url(base_path)
    environment.globals["account_stylesheet_url"] = account_stylesheet_url(base_path)
    environment.globals["favicon_url"] = favicon_url(base_path)
    environment.globals["look_of"] = functools.partial(look_of, looks)
    flask_app.context_processor(lambda: {"page_language": language.current()})


def look_of(looks: Looks, page: object) -> Look:
    """How a page looks: as the client that asks on it does, else as the server."""
    client = getattr(page, "client", None)
    if isinstance(client, ClientCard):
        return looks.of_client(client.client_id, client.appearance)
    return looks.of_client(None, None)


def render_login(page: LoginPage) -> str:
    """Return the login page as HTML. The password is never in it, whatever was posted."""
    return render_template("login.html", page=page)


def render_select_account(page: SelectAccountPage) -> str:
    """Return the page with the accounts of this browser as HTML."""
    return render_template("select_account.html", page=page)


def render_consent(page: ConsentPage) -> str:
    """Return the consent page as HTML.

    What it shows is for the person; what a POST may grant is decided by the transaction on the server alone.
    """
    return render_template("consent.html", page=page)


def render_error(page: ErrorPage) -> str:
    """Return the error page as HTML. Text in `page` is public: it must not reveal registered URIs or who exists."""
    return render_template("error.html", page=page)


def render_busy(sentence: str) -> str:
    """Return the page for who came while everybody did as HTML. It depends on the language alone."""
    return render_template("busy.html", sentence=sentence)


def render_logout(page: LogoutPage) -> str:
    """Return the page that asks whether to log out as HTML."""
    return render_template("logout.html", page=page)


def render_logged_out(page: LoggedOutPage) -> str:
    """Return the page after a logout, or after the person chose to stay, as HTML."""
    return render_template("logged_out.html", page=page)


def render_form_post(page: FormPostPage) -> str:
    """Return the page of the form post response mode as HTML. Raises ValueError for an action that is no web address.

    Every value is escaped by the template; none is shown.
    """
    if not page.action.startswith(("https://", "http://")):
        raise ValueError("a form is posted to http and https only")
    return render_template("form_post.html", page=page)


def render_home(page: HomePage) -> str:
    """Return the page at the issuer's root as HTML."""
    return render_template("home.html", page=page)
