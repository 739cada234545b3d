//! The normalised form of a word.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::segment::RawWord;
use super::{WORD_CHARS, arabic};

/// A word after normalisation.
pub(super) struct Normalised {
    /// Lower case with accents, for stemmers and stop words.
    pub(super) accented: String,
    /// Accents folded.
    pub(super) exact: String,
    /// Whether it is written in Arabic script.
    pub(super) arabic: bool,
}

/// Normalises a word; none when nothing is left of it or when it is too long to be one.
pub(super) fn word(raw: &RawWord<'_>) -> Option<Normalised> {
    let bytes: usize = raw.parts.iter().map(|part| part.len()).sum();
    // No character is longer than four bytes, and marks count generously.
    if bytes > WORD_CHARS * 16 {
        return None;
    }
    if raw.parts.iter().all(|part| part.is_ascii()) {
        let exact = raw.parts.concat().to_ascii_lowercase();
        let fits = exact.len() <= WORD_CHARS;
        return fits.then(|| Normalised {
            accented: exact.clone(),
            exact,
            arabic: false,
        });
    }
    let joined = raw.parts.concat();
    let mut accented = String::with_capacity(joined.len());
    let mut is_arabic = false;
    for c in joined.nfkc().flat_map(char::to_lowercase) {
        let c = arabic::digit(c);
        if arabic::is_arabic(c) {
            is_arabic = true;
            accented.extend(arabic::letter(c));
        } else if c.is_alphanumeric() || is_combining_mark(c) {
            accented.push(c);
        }
    }
    let exact = fold(&accented);
    let fits = !exact.is_empty() && exact.chars().count() <= WORD_CHARS;
    fits.then_some(Normalised {
        accented,
        exact,
        arabic: is_arabic,
    })
}

/// The letters, digits and marks of a word as they are spelt, composed (NFKC) and in lower case:
/// for an engine that normalises and stems by rules of its own.
pub(super) fn spelt(raw: &RawWord<'_>) -> String {
    if raw.parts.iter().all(|part| part.is_ascii()) {
        return raw.parts.concat().to_ascii_lowercase();
    }
    let joined = raw.parts.concat();
    let letters = joined.nfkc().flat_map(char::to_lowercase);
    letters
        .filter(|c| c.is_alphanumeric() || is_combining_mark(*c))
        .collect()
}

/// Folds accents and the letters that decomposition leaves whole.
pub(super) fn fold(word: &str) -> String {
    if word.is_ascii() {
        return word.to_owned();
    }
    let mut folded = String::with_capacity(word.len());
    for c in word.chars() {
        // Decomposing a hamza would undo what the Arabic rules kept.
        if arabic::is_arabic(c) {
            folded.push(c);
            continue;
        }
        for part in std::iter::once(c)
            .nfkd()
            .filter(|part| !is_combining_mark(*part))
        {
            match part {
                'œ' => folded.push_str("oe"),
                'æ' => folded.push_str("ae"),
                'ß' => folded.push_str("ss"),
                'ø' => folded.push('o'),
                'ł' => folded.push('l'),
                'đ' | 'ð' => folded.push('d'),
                'ı' => folded.push('i'),
                other => folded.push(other),
            }
        }
    }
    folded
}
