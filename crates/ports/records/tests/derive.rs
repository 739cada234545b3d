//! What `#[derive(Table)]` makes of a struct.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use riwaq_records::{
    Column, ColumnType, Order, RecordsError, Row, Table, TableSchema, Value, WriteMode,
    field_newtype,
};
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq)]
struct CourseId(Uuid);
field_newtype!(CourseId, Uuid);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Draft,
    Published,
}

impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if *self == Self::Draft {
            "draft"
        } else {
            "published"
        })
    }
}

impl FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "draft" => Ok(Self::Draft),
            "published" => Ok(Self::Published),
            other => Err(format!("{other} is no phase")),
        }
    }
}

// The fields are not in the order of the key on purpose.
#[derive(Table, Clone, Debug, PartialEq)]
#[table(
    name = "lessons",
    since = 2,
    write = "conditional",
    partition(course, year),
    clustering(starts_at desc, slug),
    ttl = until
)]
struct Lesson {
    title: String,
    slug: String,
    year: i32,
    course: CourseId,
    starts_at: DateTime<Utc>,
    #[column(text)]
    phase: Phase,
    #[column(text, name = "earlier")]
    earlier_phase: Option<Phase>,
    #[column(json)]
    tags: Vec<String>,
    #[column(json, since = 3)]
    notes: Option<Vec<u8>>,
    until: DateTime<Utc>,
    r#type: Option<Bytes>,
    seats: Option<u64>,
    weight: f64,
}

fn lesson() -> Lesson {
    Lesson {
        title: "Analyse".into(),
        slug: "analyse-1".into(),
        year: 2026,
        course: CourseId(Uuid::from_u128(7)),
        starts_at: DateTime::from_timestamp_millis(1_785_000_000_123).unwrap(),
        phase: Phase::Published,
        earlier_phase: Some(Phase::Draft),
        tags: vec!["a".into()],
        notes: None,
        until: DateTime::from_timestamp_millis(1_985_000_000_000).unwrap(),
        r#type: Some(Bytes::from_static(b"x")),
        seats: Some(30),
        weight: -0.0,
    }
}

#[test]
fn the_declaration_has_key_columns_first() {
    let column = |name, kind, nullable, since| Column {
        name,
        kind,
        nullable,
        since,
    };
    let columns = [
        column("course", ColumnType::Uuid, false, 2),
        column("year", ColumnType::BigInt, false, 2),
        column("starts_at", ColumnType::Timestamp, false, 2),
        column("slug", ColumnType::Text, false, 2),
        column("title", ColumnType::Text, false, 2),
        column("phase", ColumnType::Text, false, 2),
        column("earlier", ColumnType::Text, true, 2),
        column("tags", ColumnType::Json, false, 2),
        column("notes", ColumnType::Json, true, 3),
        column("until", ColumnType::Timestamp, false, 2),
        column("type", ColumnType::Blob, true, 2),
        column("seats", ColumnType::BigInt, true, 2),
        column("weight", ColumnType::Double, false, 2),
    ];
    let schema: &TableSchema = Lesson::schema();
    assert_eq!(schema.columns, columns);
    assert_eq!(
        (schema.name, schema.since, schema.partition_columns),
        ("lessons", 2, 2)
    );
    assert_eq!(schema.clustering, [Order::Descending, Order::Ascending]);
    assert_eq!(schema.write_mode, WriteMode::Conditional);
    assert_eq!(schema.ttl_column, Some("until"));
    riwaq_records::validate::schema(schema).unwrap();
}

#[test]
fn a_row_becomes_the_struct_again() {
    let row = lesson().to_row().unwrap();
    assert_eq!(row.values()[0], Value::Uuid(Uuid::from_u128(7)));
    assert_eq!(row.values()[5], Value::Text("published".into()));
    assert_eq!(row.values()[7], Value::Text("[\"a\"]".into()));
    // Minus zero is stored as zero.
    assert!(matches!(row.values()[12], Value::Double(zero) if zero.is_sign_positive()));
    riwaq_records::validate::row(Lesson::schema(), &row).unwrap();
    assert_eq!(Lesson::from_row(row).unwrap(), lesson());
}

#[test]
fn a_value_that_does_not_fit_names_its_column() {
    let too_many = Lesson {
        seats: Some(u64::MAX),
        ..lesson()
    };
    let error = too_many.to_row().unwrap_err();
    assert!(
        matches!(&error, RecordsError::InvalidInput { field, .. } if field == "lessons.seats"),
        "{error}"
    );
}

#[test]
fn a_stored_value_that_cannot_be_read_names_its_column() {
    let broken = |at: usize, value: Value| {
        let mut values = lesson().to_row().unwrap().into_values();
        values[at] = value;
        Lesson::from_row(Row::new(values)).unwrap_err().to_string()
    };
    for (at, value, expected) in [
        (1, Value::BigInt(i64::MAX), "column year"),
        (
            5,
            Value::Text("lost".into()),
            "column phase: lost is no phase",
        ),
        (7, Value::Text("{".into()), "column tags"),
        (9, Value::Null, "column until: is null"),
    ] {
        let message = broken(at, value);
        assert!(message.contains(expected), "{message}");
    }
}
