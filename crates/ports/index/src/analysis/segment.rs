//! Where words begin and end, in the text as it stands: offsets stay those of the original.

use std::ops::Range;

use unicode_normalization::char::is_combining_mark;

/// One word as it stands.
pub(super) struct RawWord<'t> {
    /// Its parts; more than one where an apostrophe is inside (`aujourd'hui`). Never empty.
    pub(super) parts: Vec<&'t str>,
    /// From its first to behind its last character, in bytes.
    pub(super) span: Range<usize>,
}

/// What French puts before an apostrophe, and is not part of the word.
const ELISIONS: [&str; 15] = [
    "l", "d", "j", "m", "t", "s", "c", "n", "qu", "jusqu", "lorsqu", "puisqu", "quoiqu", "presqu",
    "quelqu",
];

/// Calls `each` for every word.
pub(super) fn for_each_word<'t>(text: &'t str, mut each: impl FnMut(RawWord<'t>)) {
    let mut parts: Vec<Range<usize>> = Vec::new();
    // The start and the end so far of the part being read.
    let mut open: Option<Range<usize>> = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let end = at + c.len_utf8();
        if is_ideograph(c) {
            flush(text, &mut parts, &mut open, &mut each);
            each(RawWord {
                parts: vec![&text[at..end]],
                span: at..end,
            });
        } else if is_apostrophe(c) {
            let inside = chars
                .peek()
                .is_some_and(|(_, next)| next.is_alphabetic() && !is_apostrophe(*next));
            match open.take() {
                Some(part) if inside => parts.push(part),
                part => {
                    open = part;
                    flush(text, &mut parts, &mut open, &mut each);
                }
            }
        } else if c.is_alphanumeric() {
            open = Some(open.map_or(at, |part| part.start)..end);
        } else if is_combining_mark(c) {
            if let Some(part) = &mut open {
                part.end = end;
            }
        } else if !is_invisible(c) {
            flush(text, &mut parts, &mut open, &mut each);
        }
    }
    flush(text, &mut parts, &mut open, &mut each);
}

fn flush<'t>(
    text: &'t str,
    parts: &mut Vec<Range<usize>>,
    open: &mut Option<Range<usize>>,
    each: &mut impl FnMut(RawWord<'t>),
) {
    parts.extend(open.take());
    let mut kept = parts.as_slice();
    while kept.len() > 1 && is_elision(&text[kept[0].clone()]) {
        kept = &kept[1..];
    }
    if kept.len() > 1 && matches!(&text[kept[kept.len() - 1].clone()], "s" | "S") {
        kept = &kept[..kept.len() - 1];
    }
    if let (Some(first), Some(last)) = (kept.first(), kept.last()) {
        each(RawWord {
            parts: kept.iter().map(|part| &text[part.clone()]).collect(),
            span: first.start..last.end,
        });
    }
    parts.clear();
}

fn is_elision(part: &str) -> bool {
    ELISIONS
        .iter()
        .any(|elision| part.eq_ignore_ascii_case(elision))
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}' | '\u{2018}' | '\u{2bc}' | '\u{ff07}')
}

/// Characters that may stand inside a word without being part of it: soft hyphen, joiners,
/// direction marks, byte order mark.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Scripts written without spaces: every character is a word, or a sentence would be one.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{2fdf}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}')
}
