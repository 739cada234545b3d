//! Which language a text is in, as far as the index cares: French, Arabic, English, or another.

use whatlang::{Detector, Lang};

/// Texts with fewer letters say too little.
const LEAST_LETTERS: usize = 20;

/// `ar`, `fr`, `en`, or empty for another language; none where the text says too little.
#[must_use]
pub fn language_of(text: &str) -> Option<&'static str> {
    let (mut arabic, mut letters) = (0, 0);
    for c in text.chars().filter(|c| c.is_alphabetic()) {
        letters += 1;
        if matches!(c, '\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}' | '\u{fb50}'..='\u{fdff}'
            | '\u{fe70}'..='\u{feff}')
        {
            arabic += 1;
        }
    }
    if letters < LEAST_LETTERS {
        return None;
    }
    if arabic * 2 > letters {
        return Some("ar");
    }
    // Neighbours of French and English are listed so that they are not taken for them.
    let known = vec![
        Lang::Fra,
        Lang::Eng,
        Lang::Spa,
        Lang::Deu,
        Lang::Ita,
        Lang::Por,
        Lang::Nld,
    ];
    let found = Detector::with_allowlist(known).detect(text)?;
    match found.lang() {
        Lang::Fra if found.confidence() > 0.2 => Some("fr"),
        Lang::Eng if found.confidence() > 0.2 => Some("en"),
        _ if found.is_reliable() => Some(""),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_languages_are_told_apart() {
        for (text, expected) in [
            (
                "La complexité d'un algorithme se mesure en nombre d'opérations élémentaires.",
                Some("fr"),
            ),
            (
                "The complexity of an algorithm is measured in elementary operations.",
                Some("en"),
            ),
            (
                "يقاس تعقيد الخوارزمية بعدد العمليات الأولية التي تنفذها البرمجية",
                Some("ar"),
            ),
            (
                "La complejidad de un algoritmo se mide según el número de operaciones que hace.",
                Some(""),
            ),
            ("x = 1", None),
            ("", None),
        ] {
            assert_eq!(language_of(text), expected, "{text}");
        }
    }
}
