//! Mappings and analysers: strict, one index a language, Lucene's stop words and stemmers.
//!
//! Where words begin and end, and how they look without accents and vowel marks (`exact`), is decided by
//! [`riwaq_index::analysis`], as in every adapter. What a word is the inflection of (`words`) is
//! Lucene's: stop words, normalisation and the light10 stemmer of Arabic, Snowball's French and
//! English. Words in Arabic script are Arabic in a text of any language, as the port says; words in
//! Latin script are French in the Arabic index and in the one of no language.

use riwaq_index::Language;
use serde_json::{Value, json};

use crate::config::Config;

/// Part of every name; count up when mappings, analysers or [`riwaq_index::analysis::VERSION`]
/// change. Each format has its own indexes: programs of two formats do not disturb each other.
pub(crate) const FORMAT: u32 = 1;

/// The languages, each with an index of its own.
pub(crate) const LANGUAGES: [Language; 4] = [
    Language::French,
    Language::Arabic,
    Language::English,
    Language::Other,
];

/// How often what nobody waits for becomes visible to those who look at the indexes by hand.
const REFRESH: &str = "30s";

/// The last part of the name of a language's index.
pub(crate) fn part(language: Language) -> &'static str {
    match language {
        Language::Other => "other",
        known => known.code(),
    }
}

/// What comes between the words and their stems, in order.
fn filters(language: Language) -> Vec<&'static str> {
    let (stop, stem): (&str, &[&str]) = match language {
        Language::English => ("stop_english", &["stem_english"]),
        Language::French | Language::Arabic | Language::Other => ("stop_french", &["stem_french"]),
    };
    let mut all = vec![
        "decimal_digit",
        stop,
        "stop_arabic",
        "arabic_normalization",
        "persian_normalization",
    ];
    all.extend(stem);
    all.extend(["stem_arabic", "asciifolding"]);
    if language != Language::English {
        // Snowball leaves the plural of short words: tris, lois, jeux.
        all.extend(["plural_s", "plural_eux"]);
    }
    all
}

/// Settings and mappings of a language's index of passages and courses.
pub(crate) fn passages(config: &Config, language: Language) -> Value {
    let words = json!({"type": "text", "analyzer": "stems", "index_options": "freqs"});
    let exact = json!({"type": "text", "analyzer": "words", "index_options": "freqs"});
    let key = json!({"type": "keyword"});
    let mut body = settings(config);
    body["settings"]["index"]["number_of_shards"] = config.shards.into();
    body["settings"]["analysis"] = json!({
        "filter": {
            "stop_french": {"type": "stop", "stopwords": "_french_"},
            "stop_english": {"type": "stop", "stopwords": "_english_"},
            "stop_arabic": {"type": "stop", "stopwords": "_arabic_"},
            "stem_french": {"type": "snowball", "language": "French"},
            "stem_english": {"type": "snowball", "language": "English"},
            "stem_arabic": {"type": "stemmer", "language": "arabic"},
            "plural_s": {"type": "pattern_replace", "pattern": "^(.{3,})s$", "replacement": "$1"},
            "plural_eux": {"type": "pattern_replace", "pattern": "^(.+eu)x$", "replacement": "$1"},
        },
        "analyzer": {
            "words": {"type": "custom", "tokenizer": "whitespace"},
            "stems": {"type": "custom", "tokenizer": "whitespace", "filter": filters(language)},
        },
    });
    body["mappings"] = json!({
        "dynamic": "strict",
        // What was analysed can be made again from the document.
        "_source": {"excludes": ["text_exact", "text_words", "head_exact", "head_words"]},
        "properties": {
            "id": key,
            "source": key,
            "write": key,
            "written_at": {"type": "date", "format": "epoch_millis"},
            "kind": key,
            "course": key,
            "text_exact": exact,
            "text_words": words,
            "head_exact": exact,
            "head_words": words,
            "document": {"type": "object", "enabled": false},
        },
    });
    body
}

/// Settings and mappings of the index of sources.
pub(crate) fn sources(config: &Config) -> Value {
    let key = json!({"type": "keyword"});
    let kept = json!({"type": "keyword", "index": false, "doc_values": false});
    let mut body = settings(config);
    body["settings"]["index"]["number_of_shards"] = 1.into();
    body["mappings"] = json!({
        "dynamic": "strict",
        "properties": {
            "kind": key,
            "id": key,
            "state": key,
            "version": kept,
            "write": kept,
            "note": kept,
            "documents": {"type": "integer"},
        },
    });
    body
}

fn settings(config: &Config) -> Value {
    json!({"settings": {"index": {
        "number_of_replicas": config.replicas,
        "refresh_interval": REFRESH,
        // Acknowledged is on the disk of every copy.
        "translog.durability": "request",
    }}})
}
