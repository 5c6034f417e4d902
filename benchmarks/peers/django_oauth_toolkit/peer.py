"""django-oauth-toolkit as a peer: the least Django project that serves its token endpoint, one process, on a free port.

Reads one JSON document from the environment variable PEER_CONFIG:
  port, database (Django's own settings of one database), client_secret_hasher ("default" or "cheap"), threads
  client_id, client_secret       an application for the authorization code grant, whose refresh tokens are rotated
  machine_id, machine_secret     an application for client_credentials
  refresh_tokens                 how many to begin with
and prints one line when the database is ready, just before it serves: {"refresh_tokens": [...]}.

Its own settings stay as they are shipped, but for the hasher where that is asked for. No middleware, no admin, no
session: nothing of Django that the token endpoint does not need.
"""

import json
import os
import secrets
from datetime import timedelta

import django
from django.conf import settings as django_settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connections
from granian import Granian
from granian.constants import HTTPModes, Interfaces

SETTINGS = json.loads(os.environ["PEER_CONFIG"])
# MD5 is the cheapest that Django has. A machine's secret has 256 random bits: there is nothing to guess slowly.
CHEAP = ["django.contrib.auth.hashers.PBKDF2PasswordHasher", "django.contrib.auth.hashers.MD5PasswordHasher"]

oauth2_provider = {"SCOPES": {"read": "Read", "introspection": "Introspect tokens"}, "DEFAULT_SCOPES": ["read"]}
if SETTINGS["client_secret_hasher"] == "cheap":
    oauth2_provider["CLIENT_SECRET_HASHER"] = "md5"

django_settings.configure(
    DEBUG=False,
    SECRET_KEY=secrets.token_urlsafe(50),
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={"default": SETTINGS["database"]},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"],
    PASSWORD_HASHERS=CHEAP,
    ROOT_URLCONF="urls",
    USE_TZ=True,
    OAUTH2_PROVIDER=oauth2_provider,
    LOGGING_CONFIG=None,
)
django.setup()


def set_up():
    """The schema, the two applications, a person, and their refresh tokens as the code grant would leave them."""
    from django.contrib.auth.models import User
    from django.utils import timezone
    from oauth2_provider.models import AccessToken, Application, RefreshToken

    call_command("migrate", verbosity=0)
    person = User.objects.create_user("grace", password=None)
    party = Application.objects.create(
        client_id=SETTINGS["client_id"],
        client_secret=SETTINGS["client_secret"],
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris="https://prints.example.com/callback",
    )
    Application.objects.create(
        client_id=SETTINGS["machine_id"],
        client_secret=SETTINGS["machine_secret"],
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
    )
    tokens = []
    for _ in range(SETTINGS["refresh_tokens"]):
        expires = timezone.now() + timedelta(hours=10)
        access_token = AccessToken.objects.create(
            user=person, application=party, token=secrets.token_urlsafe(24), expires=expires, scope="read"
        )
        tokens.append(secrets.token_urlsafe(24))
        RefreshToken.objects.create(user=person, application=party, token=tokens[-1], access_token=access_token)
    return tokens


def main():
    print(json.dumps({"refresh_tokens": set_up()}), flush=True)
    # The worker is forked: it must not share this process's connection.
    connections.close_all()
    Granian(
        "peer",
        address="127.0.0.1",
        port=SETTINGS["port"],
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=SETTINGS["threads"],
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=True,
    ).serve(target_loader=get_wsgi_application, wrap_loader=False)


if __name__ == "__main__":
    main()
