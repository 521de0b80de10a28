//! Which text stands for a record.

use records::Remediation;

/// The text of a remediation record: its signal's name.
///
/// The general recipe is the signal's name, the root cause and the action, in this order,
/// a line each, whichever of them the kind has; a remediation has only the first. Changing
/// a recipe changes what is compared with what is stored already: give the model a new
/// name then.
pub fn remediation_text(record: &Remediation) -> String {
    record.signal_name.clone()
}
