//! Media types: what a name and a declared type promise, and whether the content keeps it.

mod table;

use file_format::FileFormat;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::name::extension;
use super::sniffed::{Shape, Sniffed};
use table::{KNOWN, OTHER_ZIPS, SAYS_NOTHING, TEXTS};

pub(crate) const DOCX: &str =
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
pub(crate) const PPTX: &str =
    "application/vnd.openxmlformats-officedocument.presentationml.presentation";
pub(crate) const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
pub(crate) const ANYTHING: &str = "application/octet-stream";

/// Whether a file may be handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = FileStatus)]
pub(crate) enum Status {
    /// It may.
    Available,
    /// Its content is not what its name or its declared type says: nobody gets a link.
    Quarantined,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Available => "available",
            Self::Quarantined => "quarantined",
        })
    }
}

/// What became of the promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// The media type under which it is listed and served.
    pub(crate) media_type: String,
    pub(crate) status: Status,
    /// Why it is quarantined.
    pub(crate) reason: Option<String>,
}

/// What a name or a declared type promises.
#[derive(Clone, Debug, PartialEq)]
enum Promise {
    /// Text of this media type.
    Text(&'static str),
    /// This media type.
    Known(&'static str),
    /// One of these formats.
    Formats(Vec<FileFormat>),
    /// An archive of which nothing more is known.
    SomeZip,
}

/// Holds the content against what the name and the declared type promise.
pub(crate) fn judge(name: &str, declared: Option<&str>, sniffed: &Sniffed) -> Verdict {
    let by_name = promise_of_name(&extension(name));
    let declared = declared.map(essence).unwrap_or_default();
    let by_type =
        promise_of_type(&declared).filter(|promise| !is_known_confusion(by_name.as_ref(), promise));
    let broken = [(&by_name, "name"), (&by_type, "declared type")]
        .into_iter()
        .find_map(|(promise, who)| {
            let promise = promise
                .as_ref()
                .filter(|promise| !promise.is_kept_by(sniffed))?;
            Some(format!(
                "the {who} says {}, the content is {}",
                promise.media_type(),
                sniffed.media_type
            ))
        });
    match broken {
        Some(reason) => Verdict {
            media_type: sniffed.media_type.clone(),
            status: Status::Quarantined,
            reason: Some(reason),
        },
        None => {
            let promised = by_name
                .or(by_type)
                .map(|promise| promise.kept_type(&declared, sniffed));
            // Who says nothing and sends bytes gets bytes: a chance signature is not a type.
            let found = if SAYS_NOTHING.contains(&declared.as_str()) && sniffed.shape != Shape::Text
            {
                ANYTHING.to_owned()
            } else {
                sniffed.media_type.clone()
            };
            Verdict {
                media_type: promised.unwrap_or(found),
                status: Status::Available,
                reason: None,
            }
        }
    }
}

/// The type and subtype in lower case, without parameters.
fn essence(media_type: &str) -> String {
    media_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

fn promise_of_name(extension: &str) -> Option<Promise> {
    if extension.is_empty() {
        return None;
    }
    if let Some((_, media_type)) = TEXTS
        .iter()
        .find(|(extensions, _)| extensions.contains(&extension))
    {
        return Some(Promise::Text(media_type));
    }
    if let Some((_, media_type, _)) = KNOWN
        .iter()
        .find(|(extensions, ..)| extensions.contains(&extension))
    {
        return Some(Promise::Known(media_type));
    }
    if OTHER_ZIPS.contains(&extension) {
        return Some(Promise::SomeZip);
    }
    formats(FileFormat::from_extension(extension))
}

fn promise_of_type(media_type: &str) -> Option<Promise> {
    if SAYS_NOTHING.contains(&media_type) {
        return None;
    }
    let known = KNOWN
        .iter()
        .find(|(_, name, others)| *name == media_type || others.contains(&media_type));
    if let Some((_, name, _)) = known {
        return Some(Promise::Known(name));
    }
    if let Some((_, name)) = TEXTS.iter().find(|(_, name)| *name == media_type) {
        return Some(Promise::Text(name));
    }
    if media_type.starts_with("text/") {
        return Some(Promise::Text("text/plain"));
    }
    formats(FileFormat::from_media_type(media_type))
}

/// Only formats that can be recognised: of what has no signature nothing can be said.
fn formats(formats: &[FileFormat]) -> Option<Promise> {
    let can_be_told = |format: &FileFormat| {
        !matches!(
            format,
            FileFormat::ArbitraryBinaryData | FileFormat::PlainText | FileFormat::Empty
        )
    };
    (!formats.is_empty() && formats.iter().all(can_be_told))
        .then(|| Promise::Formats(formats.to_vec()))
}

/// Browsers name the type after whatever program the system opens the extension with.
fn is_known_confusion(by_name: Option<&Promise>, by_type: &Promise) -> bool {
    match (by_name, by_type) {
        (
            Some(Promise::Text("text/csv" | "text/tab-separated-values")),
            Promise::Known(declared),
        ) => *declared == "application/vnd.ms-excel",
        (Some(Promise::Text("text/x-typescript")), Promise::Formats(formats)) => formats
            .iter()
            .any(|format| format.media_type() == "video/mp2t"),
        _ => false,
    }
}

impl Promise {
    fn media_type(&self) -> &str {
        match self {
            Self::Text(media_type) | Self::Known(media_type) => media_type,
            Self::Formats(formats) => formats.first().map_or(ANYTHING, FileFormat::media_type),
            Self::SomeZip => "application/zip",
        }
    }

    /// The media type of content that keeps the promise: an extension may stand for several.
    fn kept_type(&self, declared: &str, sniffed: &Sniffed) -> String {
        let named = |media_type: &str| match self {
            Self::Formats(formats) => formats
                .iter()
                .any(|format| format.media_type() == media_type),
            _ => false,
        };
        let candidates = [declared, sniffed.media_type.as_str()];
        let chosen = candidates.into_iter().find(|candidate| named(candidate));
        chosen.unwrap_or_else(|| self.media_type()).to_owned()
    }

    fn is_kept_by(&self, sniffed: &Sniffed) -> bool {
        let found = sniffed.media_type.as_str();
        match self {
            Self::Text(_) => matches!(sniffed.shape, Shape::Text | Shape::Empty),
            // A damaged archive is of its kind: what is wrong with it comes out when it is read.
            Self::Known(media_type) if is_zip(media_type) => {
                sniffed.shape == Shape::DamagedZip
                    || found == *media_type
                    || (*media_type == "application/zip" && is_zip(found))
            }
            Self::Known(media_type) => found == *media_type || is_old_office(media_type, found),
            Self::SomeZip => is_zip(found) || sniffed.shape == Shape::DamagedZip,
            Self::Formats(formats) => formats.iter().any(|format| fits(*format, found)),
        }
    }
}

fn fits(format: FileFormat, found: &str) -> bool {
    let media_type = format.media_type();
    // Containers of sound and film hold one or the other, or both.
    let is_media = |text: &str| text.starts_with("audio/") || text.starts_with("video/");
    media_type == found || (is_media(media_type) && is_media(found))
}

fn is_zip(media_type: &str) -> bool {
    [
        DOCX,
        PPTX,
        XLSX,
        "application/zip",
        "application/epub+zip",
        "application/java-archive",
    ]
    .contains(&media_type)
        || media_type.starts_with("application/vnd.oasis.opendocument.")
}

/// Programs write old office files without naming themselves in the directory.
fn is_old_office(promised: &str, found: &str) -> bool {
    matches!(
        promised,
        "application/msword" | "application/vnd.ms-excel" | "application/vnd.ms-powerpoint"
    ) && found == "application/x-cfb"
}

#[cfg(test)]
mod tests {
    use super::*;

    const PDF: &str = "application/pdf";

    fn text() -> Sniffed {
        Sniffed::by_head(b"some text").unwrap()
    }

    fn bytes() -> Sniffed {
        Sniffed::by_head(b"\x01\x02\x03\x04").unwrap()
    }

    fn png() -> Sniffed {
        Sniffed::known("image/png")
    }

    #[test]
    fn what_is_promised_and_kept_is_available_under_its_type() {
        for (name, declared, sniffed, media_type) in [
            ("a.pdf", Some(PDF), Sniffed::known(PDF), PDF),
            ("A.PDF", None, Sniffed::known(PDF), PDF),
            ("notes", Some(PDF), Sniffed::known(PDF), PDF),
            ("a.png", Some("image/png"), png(), "image/png"),
            (
                "a.txt",
                Some("text/plain; charset=utf-8"),
                text(),
                "text/plain",
            ),
            ("a.md", Some("text/plain"), text(), "text/markdown"),
            ("a.md", Some(ANYTHING), text(), "text/markdown"),
            (
                "a.ipynb",
                Some("application/json"),
                text(),
                "application/x-ipynb+json",
            ),
            (
                "a.csv",
                Some("application/vnd.ms-excel"),
                text(),
                "text/csv",
            ),
            ("a.ts", Some("video/mp2t"), text(), "text/x-typescript"),
            ("a.docx", Some(DOCX), Sniffed::known(DOCX), DOCX),
            ("a.docx", Some(DOCX), Sniffed::damaged_zip(), DOCX),
            (
                "a.zip",
                Some("application/x-zip-compressed"),
                Sniffed::known(DOCX),
                "application/zip",
            ),
            (
                "a.doc",
                Some("application/msword"),
                Sniffed::known("application/x-cfb"),
                "application/msword",
            ),
            (
                "a.mp4",
                Some("video/mp4"),
                Sniffed::known("audio/mp4"),
                "video/mp4",
            ),
            ("a.bin", Some(ANYTHING), bytes(), ANYTHING),
            ("a.bin", None, png(), ANYTHING),
            ("a.sav", Some("application/x-spss-sav"), bytes(), ANYTHING),
            ("README", None, text(), "text/plain"),
            (
                "empty.txt",
                None,
                Sniffed::by_head(b"").unwrap(),
                "text/plain",
            ),
            (
                "a.whl",
                None,
                Sniffed::known("application/zip"),
                "application/zip",
            ),
        ] {
            let verdict = judge(name, declared, &sniffed);
            assert_eq!(
                (verdict.status, verdict.media_type.as_str()),
                (Status::Available, media_type),
                "{name} {declared:?}"
            );
        }
    }

    #[test]
    fn what_is_not_what_it_says_is_quarantined() {
        for (name, declared, sniffed) in [
            ("a.pdf", Some(PDF), png()),
            ("a.pdf", None, png()),
            ("a.png", Some(PDF), png()),
            ("a", Some(PDF), png()),
            ("a.pdf", Some(PDF), text()),
            ("a.pdf", Some(PDF), bytes()),
            ("a.pdf", Some(PDF), Sniffed::by_head(b"").unwrap()),
            ("a.txt", Some("text/plain"), png()),
            ("a.txt", Some(PDF), text()),
            ("a.txt", Some("text/plain"), Sniffed::known(PDF)),
            ("a.docx", Some(DOCX), Sniffed::known("application/zip")),
            ("a.docx", Some(DOCX), Sniffed::known(PPTX)),
            (
                "a.jpg",
                Some("image/jpeg"),
                Sniffed::known("application/x-dosexec"),
            ),
            ("a.png", Some("image/png"), text()),
            ("a.mp3", Some("audio/mpeg"), png()),
        ] {
            let verdict = judge(name, declared, &sniffed);
            assert_eq!(
                verdict.status,
                Status::Quarantined,
                "{name} {declared:?} {sniffed:?}"
            );
            assert!(verdict.reason.is_some(), "{name}");
            assert_eq!(verdict.media_type, sniffed.media_type);
        }
    }
}
