"""Answers what went wrong with a request of a program: RFC 9457, with what would be right beside what was wrong.

Every error of the desk's API is one of this table; desk/api/document.py publishes it, and the API's page explains it.
"""

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta

API: Final = "/api"
PROBLEM_JSON: Final = "application/problem+json"
TYPE: Final = API + "/docs#{name}"  # an address that explains it
RETRY_AFTER_S: Final = 3


class ProblemKind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of error: its name within its type, its status, its title, and what to do where nobody says more."""

    name: str
    status: int
    title: str
    remedy: str


KINDS: Final = (
    ProblemKind(
        name="bad-request",
        status=400,
        title="The request cannot be read",
        remedy="Compare it with the operation's parameters and body in /api/openapi.json.",
    ),
    ProblemKind(
        name="unauthorized",
        status=401,
        title="Nobody is known to have sent this",
        remedy="Send a header Authorization: Bearer TOKEN; tillkeeper user tokens add makes one.",
    ),
    ProblemKind(
        name="forbidden",
        status=403,
        title="Whoever sent this may not do it",
        remedy="Use a token or a session of somebody with the role that the operation names.",
    ),
    ProblemKind(name="not-found", status=404, title="There is no such thing", remedy="Look it up by /api/find."),
    ProblemKind(
        name="method-not-allowed",
        status=405,
        title="The path has no such method",
        remedy="Use the methods that the document lists for it.",
    ),
    ProblemKind(
        name="conflict",
        status=409,
        title="It cannot be done as things are",
        remedy="Read it again, and decide by what stands there now.",
    ),
    ProblemKind(
        name="too-large",
        status=413,
        title="The body is too large",
        remedy="Send at most 64 KiB: a reason is a few sentences.",
    ),
    ProblemKind(
        name="no-json",
        status=415,
        title="The body is not JSON",
        remedy="Send JSON with the header Content-Type: application/json.",
    ),
    ProblemKind(
        name="key-reused",
        status=422,
        title="The idempotency key stands for another request",
        remedy="Take a new key for each act, and the same only to repeat the very same request.",
    ),
    ProblemKind(
        name="too-many",
        status=429,
        title="Too many requests",
        remedy="Wait for the seconds in Retry-After, and ask less often.",
    ),
    ProblemKind(
        name="internal",
        status=500,
        title="An error inside Tillkeeper",
        remedy="Tell whoever runs it: the cause is in the log of the desk.",
    ),
    ProblemKind(
        name="unavailable",
        status=503,
        title="The database cannot be used just now",
        remedy="Repeat the request after the seconds in Retry-After; nothing was done.",
    ),
)
KIND: Final[Mapping[int, ProblemKind]] = {kind.status: kind for kind in KINDS}


class ProblemBody(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong, after RFC 9457.  Every error of the API has this body."""

    type: Annotated[str, Meta(description="An address, relative to the desk's, that explains this kind of error.")]
    title: Annotated[str, Meta(description="The kind of error, in words that do not change.")]
    status: Annotated[int, Meta(ge=400, le=599, description="The status of the answer.")]
    detail: Annotated[str, Meta(description="What was wrong with this request.")]
    remedy: Annotated[str, Meta(description="What would be right.")]


class ApiProblem(Exception):
    """A request cannot be answered: what was wrong, and what would be right."""

    def __init__(
        self, status: int, detail: str, remedy: str | None = None, *, retry_after_s: int | None = None
    ) -> None:
        super().__init__(detail)
        self.kind = KIND[status]
        self.detail = detail
        self.remedy = remedy or self.kind.remedy
        self.retry_after_s = retry_after_s
        self.allowed: tuple[str, ...] = ()  # the methods that the path takes, where it lacks the one that was sent


def is_api(request: web.Request) -> bool:
    """Returns whether a program is answered, and not a browser: by the path, for the page of the API is for people."""
    return is_api_path(request.path)


def is_api_path(path: str) -> bool:
    """Returns whether what is at this path is for programs."""
    return path.startswith(f"{API}/") and path != f"{API}/docs"


def body_of(problem: ApiProblem) -> ProblemBody:
    """Returns the body that tells of a problem."""
    kind = problem.kind
    return ProblemBody(
        type=TYPE.format(name=kind.name),
        title=kind.title,
        status=kind.status,
        detail=problem.detail,
        remedy=problem.remedy,
    )


def problem_response(problem: ApiProblem) -> web.Response:
    """Builds the answer that tells of a problem."""
    body = msgspec.json.encode(body_of(problem))
    response = web.Response(status=problem.kind.status, body=body, content_type=PROBLEM_JSON)
    if problem.kind.status == web.HTTPUnauthorized.status_code:
        response.headers["WWW-Authenticate"] = "Bearer"
    if problem.allowed:
        response.headers["Allow"] = ", ".join(problem.allowed)
    if problem.retry_after_s is not None:
        response.headers["Retry-After"] = str(problem.retry_after_s)
    return response


def problem_of(error: web.HTTPException) -> ApiProblem:
    """Returns the problem that an error of the framework's is; also of one that has no kind of its own."""
    known = KIND.get(error.status, KIND[web.HTTPBadRequest.status_code])
    details = {404: "nothing is at this address", 413: "the body is larger than 65,536 bytes"}
    if not isinstance(error, web.HTTPMethodNotAllowed):
        return ApiProblem(known.status, details.get(error.status, known.title))
    allowed = tuple(sorted(error.allowed_methods))
    problem = ApiProblem(known.status, f"the path takes {', '.join(allowed)}")
    problem.allowed = allowed
    return problem
