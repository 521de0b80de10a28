"""Sends and counts requests of every kind, with a stand-in provider."""

import base64
import json
import os
import struct
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg

URL = os.environ.get("DATA_STORAGE_URL", "")

REQUIRED: dict[str, dict[str, Any]] = {
    "remediation": {
        "signalType": "prometheus-alert",
        "signalName": "HighMemoryUsage",
        "signalNamespace": "production",
        "targetType": "deployment",
        "targetName": "api-server",
        "targetNamespace": "production",
    },
    "aianalysis": {
        "remediationRequestRef": "rr-1",
        "llmProvider": "openai",
        "llmModel": "gpt-4o",
        "rootCause": "a memory leak",
    },
    "workflow": {
        "remediationRequestRef": "rr-1",
        "workflowName": "restart-and-scale",
        "stepCount": 3,
    },
    "execution": {
        "workflowExecutionRef": "wf-1",
        "stepName": "scale-up",
        "actionType": "scale",
        "targetType": "deployment",
        "targetName": "api-server",
        "targetNamespace": "production",
    },
    "event": {
        "eventType": "notification.sent",
    },
}


def record(kind: str, **fields: Any) -> dict[str, Any]:
    """Returns a new record of a kind."""
    unique = uuid.uuid4().hex
    common: dict[str, Any] = {
        "name": f"r-{unique}",
        "namespace": "kubernaut-system",
        "phase": "Pending",
        "createdAt": "2026-11-01T10:00:00Z",
        "correlationId": f"req-{unique}",
    }
    return common | REQUIRED[kind] | fields


class Provider:
    """An OpenAI embeddings server with one vector for all texts, or an error."""

    def __init__(self, listen: str) -> None:
        self.fails = False
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if provider.fails:
                    self.answer(400, {"error": {"message": "as asked for"}})
                    return
                texts = request["input"]
                count = 1 if isinstance(texts, str) else len(texts)
                vector = base64.b64encode(struct.pack("<8f", *range(1, 9))).decode()
                data = [
                    {"object": "embedding", "index": index, "embedding": vector}
                    for index in range(count)
                ]
                self.answer(200, {"object": "list", "model": request["model"], "data": data})

            def answer(self, status: int, content: dict[str, Any]) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Logs nothing."""

        host, port = listen.split(":")
        self._server = ThreadingHTTPServer((host, int(port)), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Traffic:
    """Requests and their responses."""

    provider: Provider
    requests: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    writes: Counter[tuple[str, str]] = field(default_factory=Counter)
    # Requests that stored what they sent, by type.
    stored: Counter[tuple[str, ...]] = field(default_factory=Counter)
    searches: int = 0
    fallbacks: int = 0

    def round(self) -> None:
        """Sends each kind of request."""
        for kind in REQUIRED:
            self._write_each_way(kind)
        self._write_batches()
        self._read_each_way()
        self._have_the_provider_fail()
        self._have_the_database_fail()

    def _write_each_way(self, kind: str) -> None:
        new = record(kind)
        location = self._write(kind, new, 201, "created")
        self._write(kind, new, 201, "replayed")
        self._write(kind, record(kind), 201, "created")
        self._write(kind, record(kind, phase="Lost"), 400, "refused")
        self._ask("GET", location, "/api/v1/incidents/{id}", 200)

    def _write_batches(self) -> None:
        path = "/api/v1/audit/batch"
        items = [{"kind": kind, "record": record(kind)} for kind in REQUIRED]
        for outcome in ["created", "replayed"]:
            self._ask("POST", path, path, 201, json.dumps(items).encode())
            self.stored["batch",] += 1
            for kind in REQUIRED:
                self.writes[kind, outcome] += 1
        items.append({"kind": "unknown", "record": {}})
        self._ask("POST", path, path, 400, json.dumps(items).encode())
        self.writes["batch", "refused"] += len(items)

    def _read_each_way(self) -> None:
        incidents = "/api/v1/incidents"
        for query in ["", "?limit=1", "?severity=critical", "?namespace=production"]:
            self._ask("GET", f"{incidents}{query}", incidents, 200)
        self._ask("GET", f"{incidents}?limit=0", incidents, 400)
        for text in ["memory", uuid.uuid4().hex]:
            self._ask("GET", f"{incidents}/search?q={text}", f"{incidents}/search", 200)
            self.searches += 1
        for path in ["/log/v1/checkpoint", "/api/v1/log", "/api/v1/audit/records"]:
            self._ask("GET", path, path, 200)
        self._ask("GET", f"{incidents}/999999999", f"{incidents}/{{id}}", 404)
        self._ask("GET", "/nowhere", "/...", 404)
        self._ask("DELETE", incidents, incidents, 405)
        for path in ["/health/live", "/health/ready"]:
            self._ask("GET", path, "/health", 200)
        for path in ["/openapi.json", "/docs"]:
            self._ask("GET", path, path, 200)

    def _have_the_provider_fail(self) -> None:
        self.provider.fails = True
        for _ in range(6):
            new = record("remediation", signalName=uuid.uuid4().hex)
            self._write("remediation", new, 201, "created")
            self.fallbacks += 1
        self.provider.fails = False

    def _have_the_database_fail(self) -> None:
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as database:
            database.execute("ALTER TABLE incidents RENAME TO incidents_away")
            try:
                for kind in ["workflow", "execution"]:
                    self._write(kind, record(kind), 503, "failed")
                self._ask("GET", "/api/v1/incidents", "/api/v1/incidents", 503)
            finally:
                database.execute("ALTER TABLE incidents_away RENAME TO incidents")

    def _write(self, kind: str, content: dict[str, Any], status: int, outcome: str) -> str:
        path = f"/api/v1/audit/{kind}"
        location = self._ask("POST", path, path, status, json.dumps(content).encode())
        self.writes[kind, outcome] += 1
        if status == 201:
            self.stored[kind,] += 1
        return location

    def _ask(
        self, method: str, path: str, route: str, status: int, body: bytes | None = None
    ) -> str:
        """Sends a request, asserts its status and returns the Location header."""
        request = urllib.request.Request(
            f"{URL}{path}", body, {"content-type": "application/json"}, method=method
        )
        try:
            answer = urllib.request.urlopen(request, timeout=30)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            said = answer.read().decode()
            if answer.status != status:
                raise AssertionError(f"{method} {path}: {answer.status} {said}")
            location: str = answer.headers.get("location", "")
        self.requests[method, route, status] += 1
        return location


def exposition() -> str:
    """Returns the body of `/metrics`."""
    with urllib.request.urlopen(f"{URL}/metrics", timeout=10) as answer:
        kind = answer.headers["content-type"]
        if kind != "text/plain; version=0.0.4; charset=utf-8":
            raise AssertionError(f"/metrics is {kind}")
        text: str = answer.read().decode()
        return text


def wait_until(is_so: Any, seconds_max: float) -> None:
    """Waits until a condition holds, but not longer than `seconds_max`."""
    give_up = time.monotonic() + seconds_max
    while not is_so() and time.monotonic() < give_up:
        time.sleep(0.2)
