"""What a collector gets of a push, read by the messages that the OpenTelemetry project publishes."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import Endpoint
from mns.subscription import SubscriptionMeta
from mns.topic import TopicMessage
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

PATIENCE = 20


@pytest.fixture
def collector():
    """Keeps the requests to /v1/traces."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            self.server.requests.append((self.path, self.headers["content-type"], body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join(PATIENCE)
    server.server_close()


def test_a_push_is_a_trace_of_three_spans(emulator, topic, name, collector, tmp_path):
    url = f"http://127.0.0.1:{collector.server_address[1]}/v1/traces"
    endpoint = Endpoint(tmp_path / "traced", emulator.url, settings=[f"telemetry.otlp={url}"])
    topic.get_subscription("S").subscribe(SubscriptionMeta(f"{endpoint.url}/notifications"))
    message_id = topic.publish_message(TopicMessage("重要")).message_id
    emulator.wait_delivered(name, "S", 1)
    # The stop sends what waits.
    endpoint.stop()
    spans = []
    for path, content_type, body in collector.requests:
        assert (path, content_type) == ("/v1/traces", "application/x-protobuf")
        request = ExportTraceServiceRequest.FromString(body)
        assert request.SerializeToString() == body, "nothing is unknown, and nothing is written in another way"
        for resource in request.resource_spans:
            attributes = {one.key: one.value.string_value for one in resource.resource.attributes}
            assert attributes["service.name"] == "mns-endpoint"
            for scope in resource.scope_spans:
                spans.extend(scope.spans)
    push, verify, commit = spans
    assert (push.name, verify.name, commit.name) == (f"receive {name}", "verify", "commit")
    assert (push.kind, verify.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_INTERNAL)
    assert {span.trace_id for span in spans} == {push.trace_id}
    assert (len(push.trace_id), len(push.span_id), push.parent_span_id) == (16, 8, b"")
    assert verify.parent_span_id == commit.parent_span_id == push.span_id
    assert push.start_time_unix_nano <= verify.start_time_unix_nano <= verify.end_time_unix_nano
    assert verify.end_time_unix_nano <= commit.start_time_unix_nano <= commit.end_time_unix_nano
    assert commit.end_time_unix_nano <= push.end_time_unix_nano
    attributes = {one.key: one.value for one in push.attributes}
    assert attributes["messaging.system"].string_value == "aliyun_mns"
    assert attributes["messaging.destination.name"].string_value == name
    assert attributes["messaging.message.id"].string_value == message_id
    assert attributes["http.response.status_code"].int_value == 201
