"""/account/export and /account/delete: taking everything along, and being forgotten."""

from typing import Final

from flask import Flask, Response

from app.services.account_names import username_key
from app.services.delete_person import LastAdministrator, NoSuchPerson, delete_person
from app.services.export_person import export_person
from app.services.notify_person import sends_mail
from app.storage.sessions import SessionRow
from app.web.account_frame import account_frame
from app.web.account_pages import DeletePage, ExportPage, render_delete, render_deleted, render_export
from app.web.language import gettext
from app.web.own_pages import account_page, form_token, get_person, read_person_form
from app.web.site import Site, form_status

EXPORT: Final = "/account/export"
DELETE: Final = "/account/delete"


def add_account_data(app: Flask, site: Site) -> None:
    """Add the routes. All ask for a recent login: a browser that was left open must not give everything away."""

    @app.get(EXPORT)
    def account_export() -> Response:
        person = get_person(site, EXPORT, is_sensitive=True)
        page = ExportPage(frame=account_frame(site, person, "overview"), csrf_token=form_token(site, person))
        return account_page(site, render_export(page))

    @app.post(EXPORT)
    def account_export_download() -> Response:
        person, _form = read_person_form(site, EXPORT, is_sensitive=True)
        response = Response(export_person(site.deployment, person, actor="user"), content_type="application/json")
        response.headers.update(
            {
                "Content-Disposition": 'attachment; filename="account.json"',
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
                "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
                "Cross-Origin-Opener-Policy": "same-origin",
                "Referrer-Policy": "no-referrer",
            }
        )
        return response

    @app.get(DELETE)
    def account_delete() -> Response:
        person = get_person(site, DELETE, is_sensitive=True)
        return _ask(site, person)

    @app.post(DELETE)
    def account_delete_confirmed() -> Response:
        person, form = read_person_form(site, DELETE, is_sensitive=True)
        if username_key(form.get("confirmation") or "") != username_key(person.username):
            return _ask(site, person, error=gettext("Type the name of your account exactly, to delete it."))
        try:
            delete_person(site.deployment, person.sub, actor="user")
        except LastAdministrator:
            return _ask(site, person, error=gettext("You are the last administrator: make somebody else one first."))
        except NoSuchPerson:
            # Another tab was faster.
            pass
        return account_page(site, render_deleted())


def _ask(site: Site, person: SessionRow, *, error: str | None = None) -> Response:
    page = DeletePage(
        frame=account_frame(site, person, "overview"),
        csrf_token=form_token(site, person),
        has_mail=sends_mail(site.deployment),
        error=error,
    )
    return account_page(site, render_delete(page), status=form_status(error))
