"""Answers HTTP: greets, and counts visits in key-value data."""

from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports import cloudware_kv_store as kv
from wit_world.imports import wasi_config_store as config
from wit_world.imports.types import (
    Fields,
    IncomingRequest,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
)


def greet(path: str) -> str:
    greeting = config.get("greeting") or "Hello"
    visits = kv.open("visits").increment("count", 1)
    return f"{greeting} from Python at {path}, visit {visits}\n"


def respond(response_out: ResponseOutparam, status: int, text: str) -> None:
    headers = Fields.from_list([("content-type", b"text/plain; charset=utf-8")])
    response = OutgoingResponse(headers)
    response.set_status_code(status)
    body = response.body()
    ResponseOutparam.set(response_out, Ok(response))
    with body.write() as stream:
        stream.blocking_write_and_flush(text.encode())
    OutgoingBody.finish(body, None)


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        path = (request.path_with_query() or "/").split("?")[0]
        respond(response_out, 200, greet(path))
