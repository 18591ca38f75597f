"""A collector of traces, as real as a test needs it: it takes OTLP over HTTP, and keeps the spans."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Received:
    """The spans that have arrived, each with the process that it is of."""

    def __init__(self) -> None:
        self.spans: list[tuple[int, Any]] = []

    def take(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        """Take a request: a WSGI application."""
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        assert (environ["PATH_INFO"], environ["CONTENT_TYPE"]) == ("/v1/traces", "application/x-protobuf")
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            said = {each.key: each.value for each in resource.resource.attributes}
            assert said["service.name"].string_value == "tenantapp"
            for scope in resource.scope_spans:
                self.spans += [(said["process.pid"].int_value, span) for span in scope.spans]
        start_response("200 OK", [("Content-Type", "application/x-protobuf")])
        return [b""]

    def named(self, name: str) -> list[tuple[int, Any]]:
        """The spans with this name."""
        return [(process, span) for process, span in self.spans if span.name == name]


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        """Log nothing."""


@contextmanager
def collector() -> Iterator[tuple[str, Received]]:
    """Yield the address of a collector, and what it has received."""
    received = Received()
    with make_server("127.0.0.1", 0, received.take, handler_class=_Quiet) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()
        thread.join()
