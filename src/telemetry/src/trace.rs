//! W3C Trace Context (<https://www.w3.org/TR/trace-context/>).

use uuid::Uuid;

/// Length limit of a `tracestate` to propagate: the specification's required minimum.
const TRACESTATE_LENGTH_MAX: usize = 512;

/// Flags to propagate: sampled and random trace id. Unknown flags must be zero.
const KNOWN_FLAGS: u8 = 0b11;

/// A request's place in a trace: its caller's span and its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    pub(crate) trace_id: String,
    pub(crate) parent_id: String,
    pub(crate) span_id: String,
    flags: u8,
    state: Option<String>,
}

impl Trace {
    /// Parses the headers and starts a span. `None` if `traceparent` is malformed.
    pub fn read(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let mut parts = traceparent.trim().split('-');
        let (version, trace_id, parent_id, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_known = version == "00";
        let is_well_formed = is_hexadecimal(version, 2)
            && version != "ff"
            && is_hexadecimal(trace_id, 32)
            && is_hexadecimal(parent_id, 16)
            && is_hexadecimal(flags, 2)
            && !is_zero(trace_id)
            && !is_zero(parent_id)
            // Only later versions may append fields.
            && (parts.next().is_none() || !is_known);
        if !is_well_formed {
            return None;
        }
        let (_, span_id) = Uuid::new_v4().as_u64_pair();
        Some(Self {
            trace_id: trace_id.to_owned(),
            parent_id: parent_id.to_owned(),
            // Never zero: the second half of a random UUID contains the variant bits.
            span_id: format!("{span_id:016x}"),
            flags: u8::from_str_radix(flags, 16).ok()? & KNOWN_FLAGS,
            state: tracestate.and_then(read_state),
        })
    }

    pub(crate) fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace_id, self.span_id, self.flags)
    }

    pub(crate) fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

fn read_state(text: &str) -> Option<String> {
    let text = text.trim();
    let is_fit = !text.is_empty()
        && text.len() <= TRACESTATE_LENGTH_MAX
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    is_fit.then(|| text.to_owned())
}

fn is_hexadecimal(text: &str, length: usize) -> bool {
    text.len() == length
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_zero(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_is_taken_over_with_a_span_of_its_own() {
        let trace = Trace::read(TRACEPARENT, Some("congo=t61rcWkgMzE,rojo=1")).unwrap();
        assert_eq!(trace.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace.parent_id, "00f067aa0ba902b7");
        assert_eq!(trace.tracestate(), Some("congo=t61rcWkgMzE,rojo=1"));
        let handed_on = Trace::read(&trace.traceparent(), None).unwrap();
        assert_eq!(handed_on.trace_id, trace.trace_id);
        assert_eq!(handed_on.parent_id, trace.span_id);
        assert_eq!(handed_on.flags, 1);
        assert_ne!(
            trace.span_id,
            Trace::read(TRACEPARENT, None).unwrap().span_id
        );
    }

    #[test]
    fn a_later_version_may_say_more() {
        let later = TRACEPARENT.replacen("00", "01", 1);
        assert!(Trace::read(&later, None).is_some());
        assert!(Trace::read(&format!("{later}-more"), None).is_some());
        assert_eq!(Trace::read(&format!("{TRACEPARENT}-more"), None), None);
    }

    #[test]
    fn flags_that_are_not_known_are_not_handed_on() {
        for (flags, handed_on) in [("00", "00"), ("01", "01"), ("03", "03"), ("fe", "02")] {
            let traceparent = TRACEPARENT.replace("-01", &format!("-{flags}"));
            let trace = Trace::read(&traceparent, None).unwrap();
            let end = format!("-{handed_on}");
            assert!(trace.traceparent().ends_with(&end), "{trace:?}");
        }
    }

    #[test]
    fn what_is_not_well_formed_is_no_trace() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        ] {
            assert_eq!(Trace::read(text, None), None, "{text}");
        }
    }

    #[test]
    fn a_state_that_would_break_a_header_is_left_out() {
        let long = "a".repeat(TRACESTATE_LENGTH_MAX + 1);
        for state in ["", " ", "a=\u{e9}", "a=1\nb: c", &long] {
            let trace = Trace::read(TRACEPARENT, Some(state)).unwrap();
            assert_eq!(trace.tracestate(), None, "{state}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_passed_over(text in ".{0,80}", state in ".{0,80}") {
            if let Some(trace) = Trace::read(&text, Some(&state)) {
                prop_assert!(Trace::read(&trace.traceparent(), trace.tracestate()).is_some());
            }
        }
    }
}
