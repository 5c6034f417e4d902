"""The headers that every HTML page carries.

Few pages have a script, and none a style of its own or anything from another origin, so the policy allows our
stylesheet and our images and nothing else: `script-src` falls back to 'none', which is stricter than a nonce. Those
few are the form that a browser posts to a client by itself, what goes on after a logout, and what asks for a passkey.
"""

from __future__ import annotations

_CONTENT_SECURITY_POLICY = (
    "default-src 'none'",
    "style-src 'self'",
    "img-src 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
)
# Chromium, Firefox and Safari know every one of these; a name that a browser does not know costs a console warning.
_PERMISSIONS_POLICY = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"
_WITHOUT_PASSKEYS = "publickey-credentials-create=(), publickey-credentials-get=()"
_WITH_PASSKEYS = "publickey-credentials-create=(self), publickey-credentials-get=(self)"
_ONE_YEAR_S = 31_536_000


def page_headers(
    *,
    has_form: bool,
    leads_to_client: bool,
    issuer_is_https: bool,
    script_nonce: str | None = None,
    frame_origins: tuple[str, ...] = (),
    asks_for_passkeys: bool = False,
) -> dict[str, str]:
    """Return the headers of one HTML response, the content type excepted.

    `leads_to_client` is true where posting the page's form may end in a redirect to a client: Chromium applies
    `form-action` to the whole chain of redirects, the client's own hops and custom schemes included, so such a page
    cannot carry it. `Cross-Origin-Opener-Policy` is absent because it breaks logins in a popup.
    `script_nonce` is that of the page's one script, a file of ours. `frame_origins` are those of the registered pages
    that the page after a logout opens, so that they forget the person too. `asks_for_passkeys`: so its script may.
    """
    policy = list(_CONTENT_SECURITY_POLICY)
    if script_nonce is not None:
        policy.append(f"script-src 'nonce-{script_nonce}'")
    if frame_origins:
        policy.append(f"frame-src {' '.join(dict.fromkeys(frame_origins))}")
    if not has_form:
        policy.append("form-action 'none'")
    elif not leads_to_client:
        policy.append("form-action 'self'")
    headers = {
        "Content-Security-Policy": "; ".join(policy),
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        # Under no-referrer a browser sends `Origin: null` with a form, and checks that look at Origin refuse everybody.
        "Referrer-Policy": "same-origin" if has_form else "no-referrer",
        "Cache-Control": "no-store",
        "Permissions-Policy": f"{_PERMISSIONS_POLICY}, {_WITH_PASSKEYS if asks_for_passkeys else _WITHOUT_PASSKEYS}",
        "X-Robots-Tag": "noindex, nofollow",
    }
    if issuer_is_https:
        # Not includeSubDomains: the issuer's host does not speak for the hosts beneath it.
        headers["Strict-Transport-Security"] = f"max-age={_ONE_YEAR_S}"
    return headers


def frame_headers(*, issuer_is_https: bool) -> dict[str, str]:
    """Return the headers of the check-session iframe: the one document that any page may frame.

    It shows nothing, has no form and answers only who already knows a `session_state`, so there is nothing to click on
    and nothing to learn; which pages frame it is not known in advance, because a client is known by its redirect URI.
    """
    headers = {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; base-uri 'none'; form-action 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        # The same for everybody: what differs is in the cookie, which its script reads in the browser.
        "Cache-Control": "public, max-age=300",
        "Permissions-Policy": f"{_PERMISSIONS_POLICY}, {_WITHOUT_PASSKEYS}",
        "X-Robots-Tag": "noindex, nofollow",
    }
    if issuer_is_https:
        headers["Strict-Transport-Security"] = f"max-age={_ONE_YEAR_S}"
    return headers
