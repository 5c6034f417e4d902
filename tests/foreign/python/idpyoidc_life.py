"""idpyoidc over a login, from its own registration on, as its documentation shows it. JSON lines out and in."""

import json
import os
import sys
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from idpyoidc.client.defaults import DEFAULT_OIDC_SERVICES
from idpyoidc.client.rp_handler import RPHandler

from tests.foreign.loopback_names import resolving_to_loopback

CONFIG = json.loads(os.environ["FOREIGN_CONFIG"])
ISSUER = CONFIG["issuer"]
GOODBYE = {"post_logout_redirect_uris": [CONFIG["post_logout_redirect_uri"]]}


def say(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)


def ask_browser(url: str) -> dict[str, str]:
    """What the application is called back with."""
    say({"authorization_url": url})
    return dict(parse_qsl(urlsplit(sys.stdin.readline().strip()).query))


def make_handler() -> RPHandler:
    services = {
        **DEFAULT_OIDC_SERVICES,
        "end_session": {"class": "idpyoidc.client.oidc.end_session.EndSession"},
    }
    application = {
        "client_type": "oidc",
        "redirect_uris": [CONFIG["redirect_uri"]],
        **GOODBYE,
        "client_name": "Photo printing",
        "preference": {
            "application_type": "web",
            "response_types": ["code"],
            "scopes_supported": CONFIG["scope"].split(" "),
            "token_endpoint_auth_method": "client_secret_basic",
        },
        "scope": CONFIG["scope"].split(" "),
        "services": services,
        "add_ons": {
            "pkce": {
                "function": "idpyoidc.client.oauth2.add_on.pkce.add_support",
                "kwargs": {"code_challenge_length": 64, "code_challenge_method": "S256"},
            }
        },
    }
    return RPHandler(
        base_url="https://prints.example",
        client_configs={"": application},
        services=services,
        key_conf={"key_defs": [{"type": "EC", "crv": "P-256", "use": ["sig"]}]},
        httpc_params={"verify": CONFIG["ca_file"], "timeout": 20},
    )


def register(handler: RPHandler) -> Any:
    """The steps of `begin` to a server that nobody knows yet; the library has no member for the address of a logout."""
    client = handler.init_client(ISSUER)
    client.do_provider_info()
    handler.do_client_registration(client, ISSUER, request_args=dict(GOODBYE))
    handler.issuer2rp[ISSUER] = client
    return client


def main() -> None:
    handler = make_handler()
    client = register(handler)
    first = ask_browser(handler.begin(ISSUER))
    result = handler.finalize(ISSUER, first)
    registered = client.get_context().registration_response
    goodbye = ask_browser(client.logout(result["state"])["url"])
    silent = handler.finalize(ISSUER, ask_browser(handler.begin(ISSUER, req_args={"prompt": "none"})))
    say(
        {
            "client": registered.to_dict(),
            "id_token_claims": result["id_token"].to_dict(),
            "userinfo": result["userinfo"].to_dict(),
            "goodbye": goodbye,
            "silent_login_afterwards": silent["error"],
        }
    )


try:
    with resolving_to_loopback(CONFIG["loopback_names"]):
        main()
except BaseException as error:
    say({"error": type(error).__name__, "message": repr(error)[:1000]})
    raise
