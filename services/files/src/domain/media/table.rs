//! What extensions and declared types stand for.

use super::{ANYTHING, DOCX, PPTX, XLSX};

/// Kinds of text by extension. Which of them a text is cannot be seen in the text.
pub(super) const TEXTS: &[(&[&str], &str)] = &[
    (
        &[
            "txt", "text", "log", "ini", "cfg", "conf", "org", "rst", "srt",
        ],
        "text/plain",
    ),
    (&["md", "markdown"], "text/markdown"),
    (&["csv"], "text/csv"),
    (&["tsv", "tab"], "text/tab-separated-values"),
    (&["html", "htm"], "text/html"),
    (&["xhtml"], "application/xhtml+xml"),
    (&["xml", "xsl", "xsd"], "text/xml"),
    (&["svg"], "image/svg+xml"),
    (&["css"], "text/css"),
    (&["js", "mjs"], "text/javascript"),
    (&["json", "geojson"], "application/json"),
    (&["ipynb"], "application/x-ipynb+json"),
    (&["yaml", "yml"], "application/yaml"),
    (&["toml"], "application/toml"),
    (&["py"], "text/x-python"),
    (&["r", "rmd"], "text/x-r"),
    (&["c", "h"], "text/x-c"),
    (&["cpp", "cc", "hpp", "cxx"], "text/x-c++"),
    (&["java"], "text/x-java"),
    (&["rs"], "text/x-rust"),
    (&["go"], "text/x-go"),
    (&["ts", "tsx", "jsx"], "text/x-typescript"),
    (&["sh", "bash"], "application/x-sh"),
    (&["sql"], "application/sql"),
    (&["tex", "sty", "cls", "ltx"], "text/x-tex"),
    (&["bib"], "text/x-bibtex"),
    (&["vtt"], "text/vtt"),
    (&["ics"], "text/calendar"),
    (&["vcf"], "text/vcard"),
    (&["rtf"], "application/rtf"),
    (
        &[
            "m", "f90", "f", "hs", "ml", "pl", "rb", "php", "lua", "scala", "kt", "jl", "asm", "s",
            "vhd", "v",
        ],
        "text/plain",
    ),
];

/// Formats with a signature of our own reading: extensions, media type, other names of it.
pub(super) const KNOWN: &[(&[&str], &str, &[&str])] = &[
    (&["pdf"], "application/pdf", &["application/x-pdf"]),
    (&["docx", "docm", "dotx"], DOCX, &[]),
    (&["pptx", "pptm", "ppsx", "potx"], PPTX, &[]),
    (&["xlsx", "xlsm", "xltx"], XLSX, &[]),
    (&["odt"], "application/vnd.oasis.opendocument.text", &[]),
    (
        &["odp"],
        "application/vnd.oasis.opendocument.presentation",
        &[],
    ),
    (
        &["ods"],
        "application/vnd.oasis.opendocument.spreadsheet",
        &[],
    ),
    (&["odg"], "application/vnd.oasis.opendocument.graphics", &[]),
    (&["epub"], "application/epub+zip", &[]),
    (
        &["zip"],
        "application/zip",
        &["application/x-zip-compressed", "application/x-zip"],
    ),
    (
        &["jar"],
        "application/java-archive",
        &["application/x-java-archive"],
    ),
    (&["png"], "image/png", &["image/x-png"]),
    (
        &["jpg", "jpeg", "jfif"],
        "image/jpeg",
        &["image/jpg", "image/pjpeg"],
    ),
    (&["gif"], "image/gif", &[]),
    (&["webp"], "image/webp", &[]),
    (&["doc"], "application/msword", &[]),
    (&["xls"], "application/vnd.ms-excel", &[]),
    (&["ppt"], "application/vnd.ms-powerpoint", &[]),
];

/// Types that say nothing about the content.
pub(super) const SAYS_NOTHING: &[&str] = &[
    "",
    ANYTHING,
    "binary/octet-stream",
    "application/x-download",
    "application/force-download",
    "application/unknown",
];

/// ZIP archives that are only known by name here.
pub(super) const OTHER_ZIPS: &[&str] = &[
    "3mf", "aar", "apk", "appx", "cbz", "ear", "egg", "ggb", "idml", "key", "kmz", "nupkg",
    "numbers", "oxps", "pages", "sb3", "usdz", "vsix", "war", "whl", "xpi", "xps",
];
