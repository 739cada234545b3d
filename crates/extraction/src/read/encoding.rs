//! Bytes of unknown encoding as text.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

use crate::{Failure, Reason};

/// How many bytes the guess looks at.
const LOOK_BYTES: usize = 256 * 1024;
/// What a text may hold of control characters other than white space.
const CONTROL_SHARE: f32 = 0.02;

/// The text; refuses what is not text.
pub(super) fn decode(bytes: &[u8]) -> Result<String, Failure> {
    decode_as(bytes, None)
}

/// The text, with an encoding that the document names where there is no better evidence.
pub(super) fn decode_as(bytes: &[u8], named: Option<&'static Encoding>) -> Result<String, Failure> {
    let encoding = match Encoding::for_bom(bytes) {
        Some((encoding, _)) => Some(encoding),
        // Before UTF-8: text in UTF-16 with ASCII letters is valid UTF-8 with NULs.
        None => utf16_without_mark(bytes),
    };
    let text = match encoding {
        Some(encoding) => encoding.decode(bytes).0.into_owned(),
        None => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => named
                .unwrap_or_else(|| guess(bytes))
                .decode(bytes)
                .0
                .into_owned(),
        },
    };
    if is_binary(&text) {
        return Err(Failure::new(Reason::Unsupported, "not a text"));
    }
    Ok(text)
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(&bytes[..bytes.len().min(LOOK_BYTES)], true);
    detector.guess(None, Utf8Detection::Allow)
}

/// UTF-16 gives itself away by a zero in every other byte, or by Arabic's high byte 6.
fn utf16_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    let look = &bytes[..bytes.len().min(4_096)];
    if look.len() < 4 || look.len() % 2 == 1 && look.len() == bytes.len() {
        return None;
    }
    let high = |parity: usize| {
        let high = look
            .iter()
            .skip(parity)
            .step_by(2)
            .filter(|byte| matches!(byte, 0 | 6));
        (
            high.count() * 20,
            look.iter()
                .skip(parity)
                .step_by(2)
                .filter(|byte| **byte == 0)
                .count(),
        )
    };
    let pairs = look.len() / 2;
    let ((even, even_zeros), (odd, odd_zeros)) = (high(0), high(1));
    if odd >= pairs * 18 && odd_zeros > 0 && even < pairs * 10 {
        Some(UTF_16LE)
    } else if even >= pairs * 18 && even_zeros > 0 && odd < pairs * 10 {
        Some(UTF_16BE)
    } else {
        None
    }
}

fn is_binary(text: &str) -> bool {
    let (mut controls, mut all) = (0_u32, 0_u32);
    for c in text.chars().take(LOOK_BYTES) {
        all += 1;
        let odd = c == '\u{fffd}' || c.is_control() && !c.is_whitespace();
        controls += u32::from(odd && c != '\u{1b}' && c != '\u{8}');
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of at most LOOK_BYTES")]
    let share = controls as f32 / all.max(1) as f32;
    share > CONTROL_SHARE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, little: bool) -> Vec<u8> {
        text.encode_utf16()
            .flat_map(|unit| {
                if little {
                    unit.to_le_bytes()
                } else {
                    unit.to_be_bytes()
                }
            })
            .collect()
    }

    #[test]
    fn texts_are_read_in_the_encoding_they_are_in() {
        let french = "L'élève a réussi à l'épreuve de français où il était noté.";
        let arabic = "تعلم البرمجة بلغة رست في الجامعة، وهذا درس عن الخوارزميات والبيانات.";
        let (windows_french, ..) = encoding_rs::WINDOWS_1252.encode(french);
        let (windows_arabic, ..) = encoding_rs::WINDOWS_1256.encode(arabic);
        for (bytes, text) in [
            (french.as_bytes().to_vec(), french),
            (windows_french.into_owned(), french),
            (windows_arabic.into_owned(), arabic),
            (utf16(french, true), french),
            (utf16(french, false), french),
            (utf16(arabic, true), arabic),
            (
                [&[0xff, 0xfe], utf16(arabic, true).as_slice()].concat(),
                arabic,
            ),
            (
                [&[0xfe, 0xff], utf16(french, false).as_slice()].concat(),
                french,
            ),
            ([b"\xef\xbb\xbf", french.as_bytes()].concat(), french),
        ] {
            assert_eq!(decode(&bytes).expect("is text"), text);
        }
    }

    #[test]
    fn what_is_not_text_is_refused() {
        let mut noise = Vec::new();
        let mut state = 1_u32;
        for _ in 0..4_096 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            noise.push((state >> 24) as u8);
        }
        for bytes in [
            &noise[..],
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02",
            &[0; 100],
        ] {
            assert_eq!(
                decode(bytes).expect_err("is no text").reason,
                Reason::Unsupported
            );
        }
    }
}
