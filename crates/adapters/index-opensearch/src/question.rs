//! The request for one question. Words come from [`riwaq_index::analysis`] and go into `match`
//! queries, which analyse and never parse: nothing a person types is an operator.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use riwaq_index::analysis::QueryTerms;
use riwaq_index::{Query, Readable};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stored::document_kind;

/// Most values of one `terms` query; the server's own limit is 65,536.
const TERMS: usize = 60_000;
/// How much a word counts as it was typed, beside its stem.
const EXACT_BOOST: f32 = 2.0;
/// How much a word counts in a title or heading, beside the text.
const HEAD_BOOST: f32 = 0.8;

/// The body of the request for one page, without passages of these writes.
pub(crate) fn body<'w>(
    query: &Query,
    terms: &QueryTerms,
    without: impl IntoIterator<Item = &'w Uuid>,
    timeout_ms: u128,
) -> Value {
    let (mut exact, mut spelt) = (Vec::new(), Vec::new());
    for word in terms.words() {
        exact.push(word.exact.as_str());
        spelt.push(word.spelt.as_str());
    }
    let (exact, spelt) = (exact.join(" "), spelt.join(" "));
    let any = |field: &str, words: &str, boost: f32| {
        let mut body = json!({"match": {}});
        body["match"][field] = json!({"query": words, "boost": boost});
        body
    };
    let mut filters = Vec::new();
    if let Some(course) = query.course_id {
        filters.push(json!({"term": {"course": course}}));
    }
    if let Some(kind) = query.kind {
        filters.push(json!({"term": {"kind": document_kind(kind)}}));
    }
    // One that is asked for is among those that may be read, or nothing is asked at all.
    if let (Readable::Courses(ids), None) = (&query.readable, query.course_id) {
        filters.push(one_of(&ids.iter().collect::<Vec<_>>()));
    }
    let without: Vec<&Uuid> = without.into_iter().collect();
    let mut body = json!({
        "size": query.limit + 1,
        "track_total_hits": false,
        "track_scores": true,
        "timeout": format!("{timeout_ms}ms"),
        "_source": ["source", "write", "written_at", "document"],
        "sort": [{"_score": "desc"}, {"id": "asc"}],
        "query": {"bool": {
            "must": [{"bool": {"should": [
                any("text_exact", &exact, EXACT_BOOST),
                any("text_words", &spelt, 1.0),
                any("head_exact", &exact, EXACT_BOOST * HEAD_BOOST),
                any("head_words", &spelt, HEAD_BOOST),
            ]}}],
            "filter": filters,
            "must_not": [{"terms": {"write": without}}],
        }},
    });
    if let Some(after) = query.after {
        body["search_after"] = json!([after.score, after.id]);
    }
    body
}

/// Documents of one of these courses, in terms queries of a size that the server takes.
fn one_of(ids: &[&Uuid]) -> Value {
    let mut parts: Vec<Value> = ids
        .chunks(TERMS)
        .map(|part| json!({"terms": {"course": part}}))
        .collect();
    match parts.len() {
        1 => parts.remove(0),
        _ => json!({"bool": {"should": parts}}),
    }
}

/// Sends the pages of one question to the same copies of the shards: copies count removed
/// documents differently, and scores with them.
pub(crate) fn preference(query: &Query) -> String {
    let mut hasher = DefaultHasher::new();
    query.text.hash(&mut hasher);
    query.course_id.hash(&mut hasher);
    format!("q{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_words_in_match_queries_and_nothing_else() {
        let hostile = r#"title:"x" OR /.*/ {"match_all":{}} *"#;
        let query = Query::new(hostile, Readable::All);
        let terms = QueryTerms::parse(&query.text);
        let body = body(&query, &terms, [], 1_000);
        let should = &body["query"]["bool"]["must"][0]["bool"]["should"];
        for clause in should.as_array().expect("clauses") {
            let fields = clause["match"].as_object().expect("a match query");
            for field in fields.values() {
                let words = field["query"].as_str().expect("words");
                assert!(
                    words.chars().all(|c| c.is_alphanumeric() || c == ' '),
                    "{words}"
                );
            }
        }
        assert_eq!(body["query"]["bool"]["filter"], json!([]));
    }

    #[test]
    fn a_large_set_of_courses_is_cut_into_parts_the_server_takes() {
        let ids: Vec<Uuid> = (0..100_000_u128).map(Uuid::from_u128).collect();
        let filter = one_of(&ids.iter().collect::<Vec<_>>());
        let parts = filter["bool"]["should"].as_array().expect("parts");
        let sizes: Vec<usize> = parts
            .iter()
            .map(|part| part["terms"]["course"].as_array().expect("ids").len())
            .collect();
        assert_eq!(sizes, [60_000, 40_000]);
        let one = one_of(&[&ids[0]]);
        assert_eq!(one["terms"]["course"], json!([ids[0]]));
    }
}
