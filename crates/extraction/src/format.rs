//! Which reader a file needs.

use serde::{Deserialize, Serialize};

/// A kind of document that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// PDF.
    Pdf,
    /// Office Open XML text document.
    Docx,
    /// Office Open XML presentation.
    Pptx,
    /// HTML.
    Html,
    /// Markdown (CommonMark with tables).
    Markdown,
    /// Plain text in any encoding.
    Text,
    /// Jupyter notebook.
    Notebook,
}

impl Format {
    /// The format of a file by its media type, and by its name where the media type says little;
    /// none where it holds no text that can be read.
    #[must_use]
    pub fn of(media_type: &str, name: &str) -> Option<Self> {
        let essence = media_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let extension = name
            .rsplit_once('.')
            .map(|(_, last)| last.to_ascii_lowercase());
        let extension = extension.as_deref().unwrap_or_default();
        match essence.as_str() {
            "application/pdf" => Some(Self::Pdf),
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => {
                Some(Self::Docx)
            }
            "application/vnd.openxmlformats-officedocument.presentationml.presentation" => {
                Some(Self::Pptx)
            }
            "text/html" | "application/xhtml+xml" => Some(Self::Html),
            "text/markdown" | "text/x-markdown" => Some(Self::Markdown),
            "application/x-ipynb+json" => Some(Self::Notebook),
            "application/json" if extension == "ipynb" => Some(Self::Notebook),
            "application/json" => Some(Self::Text),
            "text/rtf" => None,
            text if text.starts_with("text/") => Some(match extension {
                "md" | "markdown" => Self::Markdown,
                "ipynb" => Self::Notebook,
                "html" | "htm" | "xhtml" => Self::Html,
                _ => Self::Text,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_type_decides_and_the_name_helps_where_it_says_little() {
        for (media_type, name, format) in [
            ("application/pdf", "x.docx", Some(Format::Pdf)),
            ("Text/HTML; charset=utf-8", "x", Some(Format::Html)),
            ("text/plain", "cours.MD", Some(Format::Markdown)),
            ("text/plain; charset=utf-8", "notes", Some(Format::Text)),
            ("application/json", "tp.ipynb", Some(Format::Notebook)),
            ("application/json", "data.json", Some(Format::Text)),
            ("text/x-python", "tp.py", Some(Format::Text)),
            ("image/png", "x.pdf", None),
            ("application/octet-stream", "x.pdf", None),
            ("", "", None),
        ] {
            assert_eq!(Format::of(media_type, name), format, "{media_type} {name}");
        }
    }
}
