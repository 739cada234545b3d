//! Arabic letters and the light10 stemmer (Larkey, Ballesteros, Connell 2007), as Lucene applies it.

/// Whether the character belongs to the Arabic script (presentation forms are decomposed before).
pub(super) fn is_arabic(c: char) -> bool {
    matches!(c, '\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}' | '\u{8a0}'..='\u{8ff}')
}

/// Arabic-Indic and Persian digits as ASCII; everything else as it is.
pub(super) fn digit(c: char) -> char {
    let value = match c {
        '\u{660}'..='\u{669}' => u32::from(c) - 0x660,
        '\u{6f0}'..='\u{6f9}' => u32::from(c) - 0x6f0,
        _ => return c,
    };
    char::from_digit(value, 10).unwrap_or(c)
}

/// One form for letters that are written in several; none for marks and for the tatweel.
pub(super) fn letter(c: char) -> Option<char> {
    match c {
        'أ' | 'إ' | 'آ' | 'ٱ' => Some('ا'),
        'ى' | 'ی' => Some('ي'),
        'ة' => Some('ه'),
        'ک' => Some('ك'),
        // tatweel; vowel signs; superscript alef; signs of the Quran; letter mark
        '\u{640}'
        | '\u{64b}'..='\u{65f}'
        | '\u{670}'
        | '\u{6d6}'..='\u{6ed}'
        | '\u{610}'..='\u{61a}'
        | '\u{61c}' => None,
        other if other.is_alphanumeric() => Some(other),
        _ => None,
    }
}

const PREFIXES: [&str; 7] = ["ال", "وال", "بال", "كال", "فال", "لل", "و"];
const SUFFIXES: [&str; 10] = ["ها", "ان", "ات", "ون", "ين", "يه", "ية", "ه", "ة", "ي"];
/// What must be left of a word, in letters.
const LEAST_LEFT: usize = 2;
/// What must be left where only the conjunction is taken away: many words begin with it.
const LEAST_LEFT_AFTER_CONJUNCTION: usize = 3;

/// The stem of a normalised word.
pub(super) fn light10(word: &str) -> String {
    let mut rest = word;
    for prefix in PREFIXES {
        let least = if prefix.chars().count() == 1 {
            LEAST_LEFT_AFTER_CONJUNCTION
        } else {
            LEAST_LEFT
        };
        if let Some(left) = rest
            .strip_prefix(prefix)
            .filter(|left| left.chars().count() >= least)
        {
            rest = left;
            break;
        }
    }
    for suffix in SUFFIXES {
        if let Some(left) = rest
            .strip_suffix(suffix)
            .filter(|left| left.chars().count() >= LEAST_LEFT)
        {
            rest = left;
        }
    }
    rest.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_suffixes_go_and_short_words_stay() {
        for (word, stem) in [
            ("الكتاب", "كتاب"),
            ("والطالبات", "طالب"),
            ("بالجامعه", "جامع"),
            ("للطالب", "طالب"),
            ("وعد", "وعد"),
            ("ولد", "ولد"),
            ("يد", "يد"),
            ("ماء", "ماء"),
            ("كتابها", "كتاب"),
        ] {
            assert_eq!(light10(word), stem, "{word}");
        }
    }
}
