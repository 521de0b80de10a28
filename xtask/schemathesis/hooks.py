"""Adapts Schemathesis to rules that a schema cannot state, such as the order of two fields.

Generated records keep such rules where that is easy. A refusal that names no other rule is no
failure.
"""

from datetime import datetime, timedelta, timezone

import schemathesis
from hypothesis import strategies as st
from schemathesis.failure_codes import RejectedPositiveData

# Rules that no schema can state: the field or parameter of the error, and the rule.
BEYOND_A_SCHEMA = {
    ("completedAt", "order"),
    ("currentStep", "range"),
    ("completedCount", "range"),
    ("failedCount", "range"),
    ("skippedCount", "range"),
    ("stepStatuses", "count"),
    # The coverage phase ignores filter_query and sends invented cursors.
    ("cursor", "format"),
    # For a cursor of a response, with other parameters.
    ("cursor", "conflict"),
    ("until", "order"),
    # The log may be smaller.
    ("from", "range"),
    # Holds: a time that must be in the future, and fields that need one another.
    ("expiresAt", "order"),
    ("namespace", "required"),
    ("body", "required"),
    # The text must not be blank.
    ("q", "format"),
}

# Optional fields whose schema does not allow an empty string.
NO_TEXTS = (
    "startedAt", "completedAt", "labels", "signalContext", "temperature", "confidence",
    "requiresApproval", "tokensUsed", "investigationTimeSeconds", "isAutoApproved", "currentStep",
    "completedCount", "failedCount", "skippedCount", "stepStatuses", "retryCount", "actionData",
    "enableDryRun", "enableValidation", "enableRollback", "validationWarnings", "isRolledBack",
    "data", "parentRecordId",
    "since", "until", "expiresAt",
)

# Timestamps that the service accepts: with an offset, in the years 1 to 9999 of UTC.
schemathesis.openapi.format(
    "date-time",
    st.datetimes(
        min_value=datetime(1, 1, 2),
        max_value=datetime(9999, 12, 30),
        timezones=st.sampled_from(
            [timezone.utc, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=8))]
        ),
    ).map(datetime.isoformat),
)


@schemathesis.hook
def map_body(context, body):
    """Puts each record's times into order."""
    for record in records_in(body):
        put_in_order(record)
    return body


def records_in(body):
    """The record, hold or release that a body is, or the records of a batch."""
    if isinstance(body, list):
        items = [item for item in body if isinstance(item, dict)]
        return [item["record"] for item in items if isinstance(item.get("record"), dict)]
    return [body] if isinstance(body, dict) else []


def put_in_order(record):
    fields = [field for field in ("startedAt", "completedAt") if record.get(field)]
    try:
        times = sorted((record[field] for field in fields), key=datetime.fromisoformat)
    except (TypeError, ValueError):
        return  # A malformed time is what the request tests.
    record.update(zip(fields, times))


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Ignores failures that come only from rules that no schema can state."""
    if type(failure).__name__ == "AcceptedNegativeData":
        return not any(map(has_unset, records_in(case.body)))
    if not isinstance(failure, RejectedPositiveData):
        return True
    errors = response.json().get("errors", [])
    return not errors or not all(map(is_beyond_a_schema, errors))


def has_unset(body):
    """Whether a record has an unlisted form of "not set": null in a map, "" in a non-text field."""
    if not isinstance(body, dict):
        return False
    steps = body.get("stepStatuses")
    maps = [body.get(field) for field in ("labels", "signalContext", "actionData")]
    return (
        any(body.get(field) == "" for field in NO_TEXTS)
        or any(isinstance(map, dict) and None in map.values() for map in maps)
        or isinstance(steps, list) and any(has_unset(step) for step in steps)
    )


def is_beyond_a_schema(error):
    field = error["field"].removesuffix('"]').rpartition('["')[2]
    in_bytes = error["rule"] == "length" and "bytes" in error["message"]
    # What is in the data of an event has no schema.
    in_data = error["rule"] in ("nul", "range") and error["field"].startswith("data[")
    return in_bytes or in_data or (field, error["rule"]) in BEYOND_A_SCHEMA


@schemathesis.hook
def filter_query(context, query):
    """Leaves out cursors, as an invented one is nearly always invalid."""
    return not query or "cursor" not in query


@schemathesis.hook
def filter_headers(context, headers):
    """Leaves out headers that HTTP/1.1 servers may refuse before the service sees them."""
    return all(str(value).isascii() and str(value).isprintable() for value in (headers or {}).values())
