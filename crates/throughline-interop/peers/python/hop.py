"""A hop of the interoperability test, on the OpenTelemetry SDK for Python. What a hop does: ../README.md."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from socketserver import ThreadingMixIn
from urllib.parse import parse_qs, quote
from urllib.request import urlopen
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import grpc
from opentelemetry import baggage, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient, GrpcInstrumentorServer
from opentelemetry.instrumentation.urllib import URLLibInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

METHOD = "/throughline.interop.Hop/Hop"


def hop(rest):
    """Says what it sees of the trace, and goes on to the first of the others."""
    seen = trace.get_current_span().get_span_context()
    name = os.environ["OTEL_SERVICE_NAME"]
    state = seen.trace_state.to_header()
    user = baggage.get_baggage("user.name") or ""
    own = f"service={name} trace={seen.trace_id:032x} state={state} user={user}\n"
    first, _, rest = rest.partition(",")
    if not first:
        return own
    protocol, _, address = first.partition(":")
    return own + (over_grpc if protocol == "grpc" else over_http)(address, rest)


def over_http(address, rest):
    with urlopen(f"http://{address}/hop?next={quote(rest)}") as response:
        return response.read().decode()


def over_grpc(address, rest):
    with grpc.insecure_channel(address) as channel:
        return channel.unary_unary(METHOD)(rest.encode()).decode()


def answer_http(environ, start_response):
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    body = hop(query.get("next", [""])[0]).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


class AnswerGrpc(grpc.GenericRpcHandler):
    def service(self, call):
        if call.method != METHOD:
            return None
        return grpc.unary_unary_rpc_method_handler(lambda request, _: hop(request.decode()).encode())


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def main():
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    # The exporter has a client of its own, which this leaves alone.
    for instrumentor in [URLLibInstrumentor(), GrpcInstrumentorClient(), GrpcInstrumentorServer()]:
        instrumentor.instrument()

    http = make_server("127.0.0.1", 0, OpenTelemetryMiddleware(answer_http), Server, Quiet)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers([AnswerGrpc()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    print(f"ready http=127.0.0.1:{http.server_port} grpc=127.0.0.1:{port}", flush=True)
    sys.stdin.read()
    provider.shutdown()
    server.stop(None)


main()
