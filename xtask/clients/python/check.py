"""Uses the client that openapi-python-client generates: a write, a batch, a list and an error."""

import os
from datetime import datetime, timezone
from enum import StrEnum
from uuid import uuid4

from data_storage import Client
from data_storage.api.incidents import list_incidents
from data_storage.api.records import store_batch, store_remediation_record
from data_storage.models import (
    BatchResult,
    IncidentPage,
    ProblemDocument,
    Recorded,
    RemediationRecord,
    RemediationRecordEntry,
    RemediationRecordEntryKind,
    RemediationRecordPhase,
)


class UnknownPhase(StrEnum):
    """A phase that the generated type lacks."""

    NOPE = "Nope"


def main():
    # The first embedding may take long.
    client = Client(os.environ["DATA_STORAGE_URL"], timeout=30, raise_on_unexpected_status=True)
    record = RemediationRecord(
        name="rr-python",
        namespace="kubernaut-system",
        phase=RemediationRecordPhase.PROCESSING,
        created_at=datetime.now(timezone.utc),
        correlation_id=f"python-{uuid4()}",
        signal_type="prometheus-alert",
        signal_name="HighMemoryUsage",
        target_type="deployment",
        target_name="api-server",
        severity="critical",
    )

    stored = store_remediation_record.sync_detailed(client=client, body=record)
    expect(stored.status_code == 201, f"201 for a new record, not {stored.status_code}")
    expect(isinstance(stored.parsed, Recorded), f"a Recorded, not {stored.parsed!r}")
    expect(stored.parsed.id > 0, f"an id above 0, not {stored.parsed.id}")
    expect(
        stored.parsed.embedding_id == stored.parsed.id,
        f"the id as embeddingId, not {stored.parsed!r}",
    )
    expect("Idempotent-Replayed" not in stored.headers, "no Idempotent-Replayed for a new record")

    again = store_remediation_record.sync_detailed(client=client, body=record)
    expect(again.status_code == 201, f"201 for the same record, not {again.status_code}")
    expect(isinstance(again.parsed, Recorded), f"a Recorded, not {again.parsed!r}")
    expect(again.parsed.log.commitment == stored.parsed.log.commitment, f"{stored.parsed.log!r} again")
    # Meanwhile the log may have the record.
    again.parsed.log = stored.parsed.log
    expect(again.parsed == stored.parsed, f"{stored.parsed!r} again, not {again.parsed!r}")
    replayed = again.headers.get("Idempotent-Replayed")
    expect(replayed == "true", f"Idempotent-Replayed for the same record, not {replayed}")

    entry = RemediationRecordEntry(kind=RemediationRecordEntryKind.REMEDIATION, record=record)
    batch = store_batch.sync(client=client, body=[entry, entry])
    expect(isinstance(batch, BatchResult), f"a BatchResult, not {batch!r}")
    expect((batch.stored, batch.replayed) == (2, 2), f"two replays, not {batch!r}")
    ids = [item.id for item in batch.items]
    expect(ids == [stored.parsed.id] * 2, f"the id of the record twice, not {ids}")

    page = list_incidents.sync(client=client, correlation_id=record.correlation_id)
    expect(isinstance(page, IncidentPage), f"a page of incidents, not {page!r}")
    expect(page.pagination.total == 1, f"1 incident, not {page.pagination.total}")
    found = [(one.correlation_id, one.alert_name, one.alert_severity) for one in page.data]
    wanted = [(record.correlation_id, record.signal_name, record.severity)]
    expect(found == wanted, f"the incident {wanted}, not {found}")

    record.phase = UnknownPhase.NOPE
    refused = store_remediation_record.sync_detailed(client=client, body=record)
    expect(refused.status_code == 400, f"400 for an unknown phase, not {refused.status_code}")
    problem = refused.parsed
    expect(isinstance(problem, ProblemDocument), f"a problem document, not {problem!r}")
    expect(problem.status == 400, f"the status 400 in the document, not {problem.status}")
    broken = [(error.field, error.rule) for error in problem.errors or []]
    expect(broken == [("phase", "enum")], f"an error that names the phase, not {broken}")


def expect(is_so, what):
    if not is_so:
        raise SystemExit(f"The Python client expected {what}.")


main()
