"""Stores a record and reads its incident back: `python3 store.py`, with the service's address in
DATA_STORAGE_URL. 503, or no answer, is sent again: the same record is stored once."""

import json, os, sys, time, urllib.error, urllib.request, uuid
from datetime import UTC, datetime
from http.client import HTTPException

SERVICE = os.environ.get("DATA_STORAGE_URL", "http://127.0.0.1:8080")
ATTEMPTS_MAX = 5

def ask(path, record=None):
    body = json.dumps(record).encode() if record else None
    request = urllib.request.Request(SERVICE + path, body, {"Content-Type": "application/json"})
    for _ in range(ATTEMPTS_MAX):
        wait = "1"
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.headers, json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 503:
                sys.exit(f"{path}: {error}: {error.read().decode()}")
            problem, wait = error, error.headers.get("Retry-After", wait)
        except (OSError, HTTPException) as error:
            problem = error
        time.sleep(int(wait) if wait.isdigit() else 1)
    sys.exit(f"{path}: given up after {ATTEMPTS_MAX} attempts: {problem}")

# Made once: another createdAt would be another record.
record = {
    "name": "rr-python", "namespace": "kubernaut-system", "phase": "Pending",
    "createdAt": datetime.now(UTC).isoformat(), "correlationId": f"req-{uuid.uuid4()}",
    "signalType": "prometheus-alert", "signalName": "HighMemoryUsage", "signalNamespace": "production",
    "targetType": "deployment", "targetName": "api-server", "targetNamespace": "production",
}
headers, stored = ask("/api/v1/audit/remediation", record)
_, incident = ask(headers["Location"])
print(json.dumps(stored), json.dumps(incident), sep="\n")
