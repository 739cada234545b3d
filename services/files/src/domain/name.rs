//! File names as people send them, made safe to store and to show.

use unicode_normalization::UnicodeNormalization;

/// The longest name, in bytes of UTF-8: what file systems take.
pub(crate) const MAX_NAME_BYTES: usize = 255;

/// Cleans a name: NFC, without path, without control and bidi characters; at most 255 bytes.
///
/// # Errors
/// What is wrong with it, as a message for the field.
pub(crate) fn clean(raw: &str) -> Result<String, String> {
    // The path goes first, so that no removed character can make a new one.
    let last = raw.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last.chars().filter(|c| !is_removed(*c)).nfc().collect();
    let name = kept.trim();
    if name.is_empty() || name.chars().all(|c| c == '.') {
        return Err("must have a name besides its path".into());
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(format!("must have at most {MAX_NAME_BYTES} bytes"));
    }
    Ok(name.to_owned())
}

/// Characters that have no place in a name: they hide or reorder what is read (Unicode TR 36, TR 55).
fn is_removed(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}')
}

/// The extension in lower case, without the dot; empty where there is none.
pub(crate) fn extension(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => extension.to_lowercase(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_dropped() {
        for (raw, name) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\Windows\\system32\\notes.txt", "notes.txt"),
            ("/absolute/a.pdf", "a.pdf"),
            ("a/../../b.pdf", "b.pdf"),
            ("..\\../c.pdf", "c.pdf"),
            ("cours.pdf", "cours.pdf"),
        ] {
            assert_eq!(clean(raw).unwrap(), name, "{raw}");
        }
    }

    #[test]
    fn what_hides_or_reorders_is_removed() {
        assert_eq!(clean("cours\u{202e}fdp.exe").unwrap(), "coursfdp.exe");
        assert_eq!(clean("a\0b\r\nc\u{7f}\u{85}.txt").unwrap(), "abc.txt");
        assert_eq!(
            clean("\u{feff}\u{2066}محاضرة\u{2069}.pdf").unwrap(),
            "محاضرة.pdf"
        );
        // Joiners are part of Persian and of emoji: they stay.
        assert_eq!(clean("می\u{200c}خواهم.pdf").unwrap(), "می\u{200c}خواهم.pdf");
    }

    #[test]
    fn names_are_composed() {
        assert_eq!(clean("e\u{301}te\u{301}.pdf").unwrap(), "été.pdf");
    }

    #[test]
    fn a_name_that_is_nothing_or_too_long_is_refused() {
        for raw in [
            "",
            "  ",
            ".",
            "..",
            "...",
            "a/",
            "a\\",
            "\0\u{202e}",
            "../..",
        ] {
            assert!(clean(raw).is_err(), "{raw:?}");
        }
        assert!(clean(&"é".repeat(127)).is_ok());
        assert!(clean(&"é".repeat(128)).is_err());
        assert!(clean(&format!("{}.pdf", "x".repeat(300))).is_err());
    }

    #[test]
    fn extensions_are_read_in_lower_case() {
        assert_eq!(extension("A.B.PDF"), "pdf");
        assert_eq!(extension(".bashrc"), "");
        assert_eq!(extension("Makefile"), "");
    }

    proptest! {
        #[test]
        fn a_clean_name_is_clean(raw in any::<String>()) {
            if let Ok(name) = clean(&raw) {
                prop_assert_eq!(&clean(&name).unwrap(), &name);
                prop_assert!(!name.contains(['/', '\\', '\0']) && name.len() <= MAX_NAME_BYTES);
                prop_assert!(name != "." && name != "..");
            }
        }
    }
}
