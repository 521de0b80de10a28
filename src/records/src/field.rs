//! The fields of a record and the rules for their values.

use std::ops::RangeInclusive;

/// A field of a record.
#[derive(Clone, Debug)]
pub struct Field {
    /// Name in JSON.
    pub name: String,
    /// Whether the field must be set. Null, an empty text and Go's zero time count as absent.
    pub is_required: bool,
    /// Type and limits of the value.
    pub field_type: FieldType,
}

/// Type and limits of a field's value.
#[derive(Clone, Debug)]
pub enum FieldType {
    /// A text.
    Text(Text),
    /// One of these texts.
    Choice(Vec<&'static str>),
    /// An RFC 3339 timestamp with an offset, in the years 0001 to 9999 UTC.
    Timestamp,
    /// Standard base64 with padding; the maximum number of decoded bytes.
    Base64(usize),
    /// An object of texts.
    TextMap {
        /// Maximum number of entries.
        entries_max: usize,
        /// Rule for keys.
        key: Text,
        /// Rule for values.
        value: Text,
    },
    /// An object of any shape.
    Object,
    /// An array of texts.
    Texts,
    /// An array of objects with these fields.
    Objects(Vec<Field>),
    /// True or false.
    Boolean,
    /// A number in a range, at most 2^53 - 1 so that a double holds whole numbers exactly.
    Number(RangeInclusive<f64>),
    /// A whole number in a range.
    Integer(RangeInclusive<i64>),
}

/// Rule for a text.
#[derive(Clone, Copy, Debug)]
pub enum Text {
    /// Minimum and maximum number of characters (Unicode scalar values).
    Characters(usize, usize),
    /// Maximum number of bytes in UTF-8.
    Bytes(usize),
    /// A form that the text must have.
    Form(Form),
}

/// Form of a non-empty text.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Maximum number of characters.
    pub characters_max: usize,
    /// Checks the form, not the length.
    pub(crate) is_valid: fn(&str) -> bool,
    /// The form as an ECMA 262 regular expression.
    pub pattern: &'static str,
    /// The form in words.
    pub description: &'static str,
}

impl Text {
    /// Limited only by the size of the body.
    pub(crate) const ANY: Self = Self::Bytes(usize::MAX);
}
