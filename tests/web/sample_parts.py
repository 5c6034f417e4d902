"""What several pages show: applications, what they ask for, and whose account it is; ordinary and nasty."""

from __future__ import annotations

from app.specs.rfc9396_details_types import DescribedDetail, SentencePart
from app.web.account_frame import AccountFrame
from app.web.pages import (
    ClientCard,
    ConsentResource,
    ConsentScope,
)

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
FRAME = AccountFrame(username="anna", section="overview", base_path="", logout_url="/logout")
NASTY_FRAME = AccountFrame(
    username='"><script>alert(1)</script>' + "u" * 100,
    section="security",
    base_path="",
    logout_url="javascript:alert(1)",
    done="It is done. " + "w" * 100,
    error="<b>It</b> is not right.",
)
