//! The schemas of all kinds of records, generated from the parser's fields.

use anyhow::{Context as _, Result, ensure};
use records::{Field, FieldType, KINDS, RecordKind, Text};
use serde_json::{Map, Value};
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, Object, ObjectBuilder, Schema, SchemaFormat, SchemaType,
    Type,
};

use crate::descriptions::{self, FieldDescription};

/// Any text without NUL, which PostgreSQL cannot store.
pub(crate) const ANY_TEXT: &str = r"^[^\u0000]*$";

const BASE64: &str = "^([A-Za-z0-9+/]{4})*\
                      ([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";

/// The schema of one kind's records.
pub(crate) struct RecordSchema {
    /// The kind in paths, for example `aianalysis`.
    pub(crate) kind: &'static str,
    /// The human-readable kind, for example `AI analysis`.
    pub(crate) title: &'static str,
    /// The schema's name in the document.
    pub(crate) name: &'static str,
    /// The schema.
    pub(crate) schema: Schema,
    /// A record with every field.
    pub(crate) example: Value,
}

/// The schemas of all kinds.
pub(crate) fn schemas() -> Result<Vec<RecordSchema>> {
    KINDS.into_iter().map(record_schema).collect()
}

fn record_schema(kind: RecordKind) -> Result<RecordSchema> {
    let (name, own) = descriptions::of_kind(kind.name)
        .with_context(|| format!("the kind {} is not described", kind.name))?;
    let descriptions = [descriptions::of_common_fields(), own].concat();
    let fields = (kind.schema)();
    let schema = object(&fields, &descriptions)
        .with_context(|| format!("describe the fields of {name}"))?
        .description(Some(format!(
            "State of one {} at one moment. Unlisted fields are refused. An optional field that is \
             null, an empty text or Go's zero time (0001-01-01T00:00:00Z) counts as absent; null in \
             a map counts as an empty text. The record is kept as sent.",
            kind.title
        )));
    let example: Map<_, _> = descriptions
        .into_iter()
        .map(|(name, _, example)| (name.to_owned(), example))
        .collect();
    Ok(RecordSchema {
        kind: kind.name,
        title: kind.title,
        name,
        schema: Schema::Object(schema.build()),
        example: Value::Object(example),
    })
}

/// The schema of an object with exactly these fields.
pub(crate) fn object(fields: &[Field], descriptions: &[FieldDescription]) -> Result<ObjectBuilder> {
    for (name, ..) in descriptions {
        let is_there = fields.iter().any(|field| field.name == *name);
        ensure!(is_there, "{name} is described, but no record has it");
    }
    let mut object = ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    for field in fields {
        let name = field.name.as_str();
        let (_, description, example) = descriptions
            .iter()
            .find(|(described, ..)| *described == name)
            .with_context(|| format!("{name} is not described"))?;
        object = object.property(name, property(field, description, example)?);
        if field.is_required {
            object = object.required(name);
        }
    }
    Ok(object)
}

fn property(field: &Field, description: &str, example: &Value) -> Result<Schema> {
    let typed = |own: Type| match field.is_required {
        true => SchemaType::Type(own),
        false => SchemaType::Array(vec![own, Type::Null]),
    };
    let of = |own: Type| ObjectBuilder::new().schema_type(typed(own));
    let builder = match &field.field_type {
        FieldType::Text(rule) if field.is_required => text(of(Type::String), rule),
        // Empty means absent.
        FieldType::Text(rule) => {
            let builder = text(of(Type::String), rule).min_length(None);
            match rule {
                Text::Form(form) => builder.pattern(Some(format!("^$|{}", form.pattern))),
                Text::Characters(..) | Text::Bytes(_) => builder,
            }
        }
        FieldType::Choice(names) => {
            let null = (!field.is_required).then_some(Value::Null);
            let values = names.iter().copied().map(Value::from).chain(null);
            of(Type::String).enum_values(Some(values))
        }
        FieldType::Timestamp => timestamp(of(Type::String)),
        FieldType::Base64(bytes_max) => of(Type::String)
            .content_encoding("base64")
            .max_length(Some(bytes_max.div_ceil(3) * 4))
            .pattern(Some(BASE64)),
        FieldType::TextMap {
            entries_max,
            key,
            value,
        } => {
            let bare = || ObjectBuilder::new().schema_type(Type::String);
            of(Type::Object)
                .max_properties(limit(*entries_max))
                .property_names(Some(text(bare(), key)))
                .additional_properties(Some(text(bare(), value)))
        }
        FieldType::Object => of(Type::Object),
        FieldType::Boolean => of(Type::Boolean),
        FieldType::Number(range) => of(Type::Number)
            .minimum(Some(*range.start()))
            .maximum(Some(*range.end())),
        FieldType::Integer(range) => integer(of(Type::Integer), *range.start(), *range.end()),
        FieldType::Texts | FieldType::Objects(_) => {
            let items = match &field.field_type {
                FieldType::Objects(fields) => object(fields, &descriptions::of_step())?
                    .description(Some("A workflow step."))
                    .build(),
                _ => any_text(),
            };
            let array = ArrayBuilder::new()
                .schema_type(typed(Type::Array))
                .items(items)
                .description(Some(description))
                .examples([example.clone()]);
            return Ok(Schema::Array(array.build()));
        }
    };
    let object = builder
        .description(Some(description))
        .examples([example.clone()]);
    Ok(Schema::Object(object.build()))
}

/// Applies a text rule. A schema can express only characters, so a limit in bytes becomes the same
/// limit in characters; the description states the bytes.
pub(crate) fn text(builder: ObjectBuilder, rule: &Text) -> ObjectBuilder {
    match rule {
        Text::Characters(min, max) => builder
            .min_length(Some(*min).filter(|min| *min > 0))
            .max_length(limit(*max))
            .pattern(Some(ANY_TEXT)),
        Text::Bytes(max) => builder.max_length(limit(*max)).pattern(Some(ANY_TEXT)),
        Text::Form(form) => builder
            .min_length(Some(1))
            .max_length(Some(form.characters_max))
            .pattern(Some(form.pattern)),
    }
}

/// Makes the schema a timestamp.
pub(crate) fn timestamp(builder: ObjectBuilder) -> ObjectBuilder {
    builder.format(Some(SchemaFormat::Custom("date-time".to_owned())))
}

/// Makes the schema an integer within limits.
pub(crate) fn integer(builder: ObjectBuilder, min: i64, max: i64) -> ObjectBuilder {
    builder
        .format(Some(SchemaFormat::Custom("int64".to_owned())))
        .minimum(Some(min))
        .maximum(Some(max))
}

fn any_text() -> Object {
    let builder = ObjectBuilder::new().schema_type(Type::String);
    builder.pattern(Some(ANY_TEXT)).build()
}

/// The limit, or none where only the body's size bounds the value.
fn limit(max: usize) -> Option<usize> {
    Some(max).filter(|max| *max < usize::MAX)
}
