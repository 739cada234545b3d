//! Turns an error of serde, and the path at which it happened, into a field and a sentence.

use serde_path_to_error::{Path, Segment};

use crate::problem::{FieldError, Problem};

/// The 422 for a value that did not fit at `path`.
pub(super) fn does_not_fit(path: &Path, message: &str) -> Problem {
    let mut field = written(path);
    let message = strip_position(message);
    let sentence = if let Some(name) = quoted_after(message, "missing field ") {
        append(&mut field, name);
        "is required".to_owned()
    } else if let Some(name) = quoted_after(message, "unknown field ") {
        append(&mut field, name);
        "is not known here".to_owned()
    } else if let Some(name) = quoted_after(message, "duplicate field ") {
        append(&mut field, name);
        "is given twice".to_owned()
    } else {
        sentence(message)
    };
    Problem::validation(vec![FieldError {
        field,
        message: sentence,
    }])
}

/// `sections[2].title`; the root of a body is `.`.
fn written(path: &Path) -> String {
    let mut out = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => {
                out.push('[');
                out.push_str(&index.to_string());
                out.push(']');
            }
            Segment::Map { key } => append(&mut out, key),
            Segment::Enum { variant } => append(&mut out, variant),
            Segment::Unknown => {}
        }
    }
    if out.is_empty() { ".".to_owned() } else { out }
}

fn append(field: &mut String, name: &str) {
    // serde names an unknown field both in the path and in the message.
    if field == "." {
        field.clear();
    }
    if field == name
        || field
            .strip_suffix(name)
            .is_some_and(|parent| parent.ends_with('.'))
    {
        return;
    }
    if !field.is_empty() {
        field.push('.');
    }
    field.push_str(name);
}

fn quoted_after<'a>(message: &'a str, prefix: &str) -> Option<&'a str> {
    message
        .strip_prefix(prefix)?
        .strip_prefix('`')?
        .split('`')
        .next()
}

fn strip_position(message: &str) -> &str {
    match message.rfind(" at line ") {
        Some(at) => &message[..at],
        None => message,
    }
}

/// serde's own words, bounded: they repeat the value, which may be long.
fn sentence(message: &str) -> String {
    const LONGEST: usize = 200;
    if message.len() <= LONGEST {
        return message.to_owned();
    }
    let end = (0..=LONGEST)
        .rev()
        .find(|at| message.is_char_boundary(*at))
        .unwrap_or(0);
    format!("{}…", &message[..end])
}
