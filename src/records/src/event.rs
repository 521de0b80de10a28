//! Event records: what any other component of the platform wants kept.

use serde_json::{Value, json};

use crate::common_fields::{CommonFields, TEXT};
use crate::field_reader::{FieldReader, INTEGER_MAX};
use crate::record::Kind;

/// An event as its component reports it. It shows among its incident's records and changes nothing
/// else of the incident.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Type of the event, for example `notification.sent`.
    pub event_type: String,
}

impl Kind for Event {
    const NAME: &'static str = "event";
    const TITLE: &'static str = "Event";
    const TEXT_IS_NAME: bool = false;

    fn read(fields: &mut FieldReader<'_>, _: Option<&CommonFields>) -> Option<Self> {
        let event_type = fields.required_text("eventType", &TEXT);
        for field in [
            "eventCategory",
            "actorType",
            "actor",
            "resourceType",
            "resourceName",
            "resourceNamespace",
            "outcome",
        ] {
            fields.text(field, &TEXT);
        }
        fields.object("data");
        fields.integer("parentRecordId", 1..=INTEGER_MAX);
        Some(Self { event_type })
    }

    fn projection(&self, _: &CommonFields, _: &str) -> Value {
        json!({})
    }

    /// Type and message, one per line.
    fn embedded_text(&self, common: &CommonFields) -> String {
        match &common.message {
            Some(message) => format!("{}\n{message}", self.event_type),
            None => self.event_type.clone(),
        }
    }
}
