"""The door of programs: a table of paths, the strict reading of a request, and the one renderer of errors in JSON."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.endpoints.answers import CORS, Answer, json_answer
from app.endpoints.edge import WsgiApp
from app.services.deployment import Deployment
from app.services.hash_password import PasswordPoolBusy
from app.services.limit_requests import RequestLimits
from app.services.refusals import public_description, record_refusal
from app.specs.protocol_error import (
    InvalidClient,
    InvalidRequest,
    MethodNotAllowed,
    ProtocolError,
    TemporarilyUnavailable,
    TooManyRequests,
)
from app.specs.rfc6749_oauth import parse_basic_credentials
from app.specs.rfc7523_client_assertion import parse_unverified_assertion
from app.specs.strict_request import (
    Parameters,
    ProtocolRequest,
    check_form_content_type,
    check_header_size,
    check_json_content_type,
    parse_parameters,
    read_body,
)

Handler = Callable[[ProtocolRequest], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A path that programs call. `reads_form`: the parameters come from the body, and only from there. `reads_json`:
    the body is one JSON document. `reads_query`: they come from the query, where no credential can be among them.

    A path that ends in a slash stands for everything with one more segment.

    Not `is_limited`: what is served from memory to anybody, or asked by who watches over us. A stranger behind the same
    address must not take the keys away from a verifier. `feature`: with which it goes; None is always there.
    """

    path: str
    methods: frozenset[str]
    handler: Handler
    reads_form: bool = False
    reads_json: bool = False
    reads_query: bool = False
    has_cors: bool = False
    is_limited: bool = True
    feature: str | None = None


class Endpoints:
    """Answers what it knows and hands everything else on to the pages."""

    def __init__(
        self, pages: WsgiApp, deployment: Deployment, limits: RequestLimits, endpoints: Iterable[Endpoint]
    ) -> None:
        self._pages = pages
        self._deployment = deployment
        self._limits = limits
        self._endpoints = {endpoint.path: endpoint for endpoint in endpoints}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path: str = environ["PATH_INFO"]
        endpoint = self._endpoints.get(path) or self._endpoints.get(path[: path.rfind("/") + 1])
        if endpoint is None:
            return self._pages(environ, start_response)
        answer = self._answer(endpoint, environ)
        if endpoint.has_cors:
            answer.headers.extend(CORS)
        return answer.respond(environ, start_response)

    def _answer(self, endpoint: Endpoint, environ: dict[str, Any]) -> Answer:
        method, address = environ["REQUEST_METHOD"], environ.get("REMOTE_ADDR", "")
        if method == "OPTIONS" and endpoint.has_cors:
            return _preflight(endpoint)
        request: ProtocolRequest | None = None
        try:
            if method not in endpoint.methods:
                allowed = ", ".join(sorted(endpoint.methods))
                raise MethodNotAllowed(f"the methods are {allowed}", headers={"Allow": allowed})
            if endpoint.is_limited:
                self._check_limit(address)
            has_body = method in ("POST", "PUT")
            request = read_request(
                environ,
                reads_form=endpoint.reads_form and has_body,
                reads_json=endpoint.reads_json and has_body,
                reads_query=endpoint.reads_query,
            )
            self._check_client_limit(request)
            return endpoint.handler(request)
        except PasswordPoolBusy:
            return self._refuse(
                TemporarilyUnavailable("try again soon", headers={"Retry-After": "1"}), endpoint, address, request
            )
        except TooManyRequests as error:
            # An audit row for each would be the very load that the limit keeps away; the metrics count them.
            return json_answer(
                error.status, {"error": error.error, "error_description": error.description}, error.headers.items()
            )
        except ProtocolError as error:
            return self._refuse(error, endpoint, address, request)

    def _check_limit(self, address: str) -> None:
        retry_after_s = self._limits.retry_after_s(address)
        if retry_after_s is not None:
            raise TooManyRequests("too many refused requests", headers={"Retry-After": str(retry_after_s)})

    def _check_client_limit(self, request: ProtocolRequest) -> None:
        if not self._limits.is_enabled:
            return
        sent = request.parameters
        if request.authorization is None and "client_secret" not in sent and "client_assertion" not in sent:
            return
        client_id = _named_client(request)
        retry_after_s = client_id and self._limits.client_retry_after_s(request.remote_address, client_id)
        if retry_after_s:
            raise TooManyRequests("too many failed authentications", headers={"Retry-After": str(retry_after_s)})

    def _refuse(
        self, error: ProtocolError, endpoint: Endpoint, address: str, request: ProtocolRequest | None
    ) -> Answer:
        client_id = _named_client(request) if request is not None else None
        self._limits.count_refusal(address)
        if isinstance(error, InvalidClient) and client_id is not None:
            self._limits.count_bad_secret(address, client_id)
        incident = record_refusal(self._deployment, error, where=endpoint.path, address=address, client_id=client_id)
        return render_error(error, incident)


class RequestHeaders(Mapping[str, str]):
    """The request's headers by lower-case name, read from WSGI's environment when somebody asks."""

    __slots__ = ("_environ",)

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        value: str = self._environ["HTTP_" + name.upper().replace("-", "_")]
        return value

    def __iter__(self) -> Iterator[str]:
        return (name[5:].replace("_", "-").lower() for name in self._environ if name.startswith("HTTP_"))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def read_request(
    environ: Mapping[str, Any], *, reads_form: bool, reads_json: bool = False, reads_query: bool = False
) -> ProtocolRequest:
    """The frozen request. With `reads_form` the body is the only source of parameters, else there are none.

    A credential in the query is not honoured, because the query is not read (RFC 6749 2.3.1), but where `reads_query`
    says so. Raises `ProtocolError`.
    """
    check_header_size([value for name, value in environ.items() if name[:5] == "HTTP_"])
    parameters, json_body = Parameters(), b""
    if reads_json:
        # Not anything else: a form or plain text is what a page of a browser can send anywhere without asking.
        check_json_content_type(environ.get("CONTENT_TYPE"))
        json_body = read_body(environ["wsgi.input"], content_length=environ.get("CONTENT_LENGTH"))
    if reads_form:
        body = read_body(environ["wsgi.input"], content_length=environ.get("CONTENT_LENGTH"))
        # A request without a body has no type to declare (RFC 9110 8.3): userinfo by POST, the token in its header.
        if body or "CONTENT_TYPE" in environ:
            check_form_content_type(environ.get("CONTENT_TYPE"))
        parameters = parse_parameters(body)
    if reads_query:
        parameters = parse_parameters(environ.get("QUERY_STRING", "").encode("latin-1"))
    return ProtocolRequest(
        method=environ["REQUEST_METHOD"],
        path=environ["PATH_INFO"],
        parameters=parameters,
        json_body=json_body,
        authorization=environ.get("HTTP_AUTHORIZATION"),
        headers=RequestHeaders(environ),
        remote_address=environ.get("REMOTE_ADDR", ""),
        request_id=environ["tokenhouse.request_id"],
    )


def render_error(error: ProtocolError, incident: str) -> Answer:
    """RFC 6749 5.2, for every endpoint that programs call."""
    document = {"error": error.error, "error_description": public_description(error, incident)}
    return json_answer(error.status, document, tuple(error.headers.items()))


def _preflight(endpoint: Endpoint) -> Answer:
    return Answer(
        204,
        [
            ("Access-Control-Allow-Methods", ", ".join(sorted(endpoint.methods))),
            ("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP"),
            ("Access-Control-Max-Age", "7200"),
            ("Cache-Control", "no-store"),
        ],
        b"",
    )


def _named_client(request: ProtocolRequest) -> str | None:
    """Whom the request names, believed for counting and the log only."""
    from_body = request.parameters.get("client_id")
    assertion = request.parameters.get("client_assertion")
    if from_body is not None or (request.authorization is None and assertion is None):
        return from_body
    try:
        if request.authorization is not None:
            return parse_basic_credentials(request.authorization)[0]
        return parse_unverified_assertion(assertion or "").client_id
    except (InvalidClient, InvalidRequest):
        return None
