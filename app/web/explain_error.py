"""What went wrong, in a sentence for the person before the page: programs and developers get the exact words."""

from typing import Final

from app.specs.protocol_error import HeadersTooLarge, MethodNotAllowed, PayloadTooLarge, ProtocolError, TooManyRequests
from app.web.language import gettext, mark
from app.web.site import ForgedForm

# What people meet by their own doing: the rule's words are about them, and not about an application.
_BY_DESCRIPTION: Final = {
    "there is no such page": mark("There is no such page."),
    "this sign-in has been finished already": mark("This sign-in has been finished already."),
    "this sign-in was left waiting too long": mark("This sign-in was left waiting too long."),
    "this logout has been finished already": mark("This logout has been finished already."),
    "nothing was asked that could be answered here": mark(
        "Nothing was asked here that could be answered: it was over already, or it was begun in another browser."
    ),
    "the client is not known here": mark("The application is not known here."),
}
_BY_CLASS: Final = (
    (ForgedForm, mark("This form was not filled in on our own page, or not in this browser.")),
    (MethodNotAllowed, mark("This page cannot be opened in this way.")),
    (PayloadTooLarge, mark("More was sent than this page takes.")),
    (HeadersTooLarge, mark("More was sent than this page takes.")),
    (TooManyRequests, mark("Too much was asked from your network. Please try again later.")),
)
_BY_CODE: Final = {
    "invalid_request": mark("The request cannot be carried out: something in it is missing or wrong."),
    "invalid_client": mark("The application is not known here."),
    "invalid_grant": mark("What was sent to prove the request is not valid, or not any more."),
    "unauthorized_client": mark("The application may not ask for this."),
    "unsupported_response_type": mark("The application asked for a kind of answer that this server does not give."),
    "invalid_scope": mark("The application asked for a permission that does not exist here."),
    "invalid_target": mark("The application asked for access to something that is not known here."),
    "invalid_request_object": mark("The application sent a request whose seal is not valid."),
    "invalid_request_uri": mark("The request that the application had prepared was used already, or has expired."),
    "access_denied": mark("Access was refused."),
    "login_required": mark("You have to sign in first."),
    "temporarily_unavailable": mark("Something is not working here just now. Please try again in a moment."),
    "server_error": mark("Something went wrong on our side."),
}
_ELSE: Final = mark("The request cannot be carried out.")


def explain(error: ProtocolError) -> str:
    """The sentence, in the reader's language. It says nothing that the public description does not."""
    if error.description in _BY_DESCRIPTION:
        return gettext(_BY_DESCRIPTION[error.description])
    for kind, sentence in _BY_CLASS:
        if isinstance(error, kind):
            return gettext(sentence)
    return gettext(_BY_CODE.get(error.error, _ELSE))
