//! Answers by quotation: no language model, nothing invented.

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use riwaq_api::search::v1::{FindPassagesRequest, Passage};
use riwaq_api::{Channel, clients};
use riwaq_index::Language;
use riwaq_kit::Problem;
use uuid::Uuid;

use super::choose::{Limits, Source, choose};
use super::phrases::Phrases;
use super::question::Reading;
use super::{Answerer, Ended, Piece, Question};
use crate::Config;
use crate::domain::Citation;

/// The name under which its answers go.
const MODEL: &str = "extractive";

/// Quotes the best sentences of the best passages that the person may read.
#[derive(Debug)]
pub(crate) struct Extractive {
    search: Channel,
    passages: u32,
    limits: Limits,
}

impl Extractive {
    pub(crate) fn new(search: Channel, config: &Config) -> Self {
        let limits = Limits {
            coverage_min: config.coverage_min,
            quotes_max: config.quotes_max,
            quote_max_chars: config.quote_max_chars,
        };
        Self {
            search,
            passages: config.passages,
            limits,
        }
    }
}

impl Answerer for Extractive {
    fn answer(&self, question: Question) -> BoxStream<'static, Result<Piece, Problem>> {
        let search = self.search.clone().with_actor_token(&question.actor_token);
        let (passages, limits) = (self.passages, self.limits);
        let pieces = async move {
            let reading = Reading::of(&question.text);
            let found = find(&search, &reading, question.course_id, passages).await?;
            Ok(compose(
                &reading,
                &found,
                question.course_id.is_some(),
                limits,
            ))
        };
        stream::once(pieces)
            .flat_map(|pieces: Result<Vec<Piece>, Problem>| match pieces {
                Ok(pieces) => stream::iter(pieces.into_iter().map(Ok).collect::<Vec<_>>()),
                Err(problem) => stream::iter(vec![Err(problem)]),
            })
            .boxed()
    }
}

async fn find(
    search: &Channel,
    reading: &Reading,
    course_id: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Passage>, Problem> {
    if reading.terms.is_empty() {
        return Ok(Vec::new());
    }
    let request = FindPassagesRequest {
        query: reading.query.clone(),
        course_id: course_id.map(|id| id.to_string()).unwrap_or_default(),
        limit,
    };
    Ok(clients::search(search)
        .find_passages(request)
        .await?
        .into_inner()
        .passages)
}

/// The whole answer: a line that introduces, then each quotation with its number and its citation.
fn compose(reading: &Reading, passages: &[Passage], in_course: bool, limits: Limits) -> Vec<Piece> {
    let sources: Vec<Source<'_>> = passages.iter().map(source).collect();
    let quotes = choose(reading, &sources, limits);
    // Where the question does not tell its language, that of what is quoted will do.
    let language = reading
        .language
        .or_else(|| quotes.first().map(|quote| sources[quote.source].language));
    let phrases = Phrases::of(language);
    let mut pieces = Vec::with_capacity(2 * quotes.len() + 2);
    for quote in quotes {
        let n = u32::try_from(pieces.len() / 2 + 1).unwrap_or(u32::MAX);
        let text = &passages[quote.source].text[quote.range];
        let Some(citation) = citation(n, &passages[quote.source], text) else {
            continue;
        };
        let before = if n == 1 { phrases.introduction } else { "" };
        pieces.push(Piece::Text(format!(
            "{before}\n\n{}{text}{} [{n}]",
            phrases.open, phrases.close
        )));
        pieces.push(Piece::Citation(citation));
    }
    let answered = !pieces.is_empty();
    if !answered {
        let nothing = if in_course {
            phrases.nothing_in_course
        } else {
            phrases.nothing
        };
        pieces.push(Piece::Text(nothing.to_owned()));
    }
    pieces.push(Piece::Done(Ended {
        model: MODEL.to_owned(),
        answered,
        prompt_tokens: 0,
        completion_tokens: 0,
    }));
    pieces
}

fn source(passage: &Passage) -> Source<'_> {
    Source {
        text: &passage.text,
        heading: &passage.heading,
        language: Language::from_code(&passage.language),
    }
}

/// None for a passage of no file, which the contract does not have.
fn citation(n: u32, passage: &Passage, quote: &str) -> Option<Citation> {
    let (file_id, course_id) = (passage.file_id.parse().ok(), passage.course_id.parse().ok());
    let (Some(file_id), Some(course_id)) = (file_id, course_id) else {
        tracing::warn!(
            passage = passage.id,
            "a passage without file or course cannot be cited"
        );
        return None;
    };
    Some(Citation {
        n,
        file_id,
        course_id,
        title: passage.title.clone(),
        page: (passage.page > 0).then_some(passage.page),
        quote: quote.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        coverage_min: 0.6,
        quotes_max: 3,
        quote_max_chars: 400,
    };

    fn passage(text: &str, language: &str, page: u32) -> Passage {
        Passage {
            id: "p".to_owned(),
            course_id: Uuid::from_u128(1).to_string(),
            file_id: Uuid::from_u128(2).to_string(),
            file_version: 1,
            title: "cours.pdf".to_owned(),
            page,
            heading: String::new(),
            text: text.to_owned(),
            language: language.to_owned(),
            score: 1.0,
            coverage: 1.0,
        }
    }

    fn content(pieces: &[Piece]) -> String {
        let text = |piece: &Piece| {
            if let Piece::Text(text) = piece {
                Some(text.clone())
            } else {
                None
            }
        };
        pieces.iter().filter_map(text).collect()
    }

    #[test]
    fn each_quotation_has_its_number_and_its_citation() {
        let passages = [
            passage(
                "Un graphe est un couple formé de sommets et d'arêtes. Rien d'autre ici.",
                "fr",
                3,
            ),
            passage(
                "Dans un graphe orienté, chaque arête a un sens et devient un arc.",
                "fr",
                0,
            ),
        ];
        let pieces = compose(
            &Reading::of("Qu'est-ce qu'un graphe ?"),
            &passages,
            false,
            LIMITS,
        );
        let citations: Vec<&Citation> = pieces
            .iter()
            .filter_map(|p| {
                if let Piece::Citation(c) = p {
                    Some(c)
                } else {
                    None
                }
            })
            .collect();
        assert_eq!(citations.iter().map(|c| c.n).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(
            citations.iter().map(|c| c.page).collect::<Vec<_>>(),
            [Some(3), None]
        );
        let content = content(&pieces);
        for citation in citations {
            assert!(
                passages
                    .iter()
                    .any(|passage| passage.text.contains(&citation.quote))
            );
            assert!(
                content.contains(&format!("« {} » [{}]", citation.quote, citation.n)),
                "{content}"
            );
        }
        assert!(content.starts_with("Voici ce que disent vos cours :"));
        let Some(Piece::Done(ended)) = pieces.last() else {
            panic!("{pieces:?}")
        };
        assert_eq!(
            (ended.model.as_str(), ended.answered, ended.prompt_tokens),
            ("extractive", true, 0)
        );
    }

    #[test]
    fn without_an_answer_it_says_so_in_the_language_of_the_question() {
        for (question, in_course, expected) in [
            (
                "Quelle heure est-il ?",
                false,
                "Je n'ai rien trouvé dans vos cours",
            ),
            ("What time is it?", true, "I found nothing in this course"),
            ("كم الساعة الآن؟", false, "لم أجد في دروسك"),
            ("???", false, "Je n'ai rien trouvé"),
        ] {
            let pieces = compose(&Reading::of(question), &[], in_course, LIMITS);
            assert!(
                content(&pieces).starts_with(expected),
                "{question}: {pieces:?}"
            );
            assert!(matches!(pieces.last(), Some(Piece::Done(ended)) if !ended.answered));
        }
    }

    #[test]
    fn a_question_without_language_takes_that_of_the_quotation() {
        let passages = [passage(
            "REST is an architectural style for an API over HTTP.",
            "en",
            1,
        )];
        let pieces = compose(&Reading::of("API REST"), &passages, false, LIMITS);
        assert!(
            content(&pieces).starts_with("Here is what your courses say:"),
            "{pieces:?}"
        );
    }
}
