//! How long a filtered search takes over 100,000 passages. Build with optimisation:
//! `cargo run --release -p riwaq-index-tantivy --example search_latency`.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a measuring program"
)]

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use riwaq_index::{Change, Content, Document, Index, Kind, Language, Query, Readable, Source};
use riwaq_index_tantivy::{Config, TantivyIndex};
use uuid::Uuid;

const COURSES: u64 = 1_000;
const FILES: u64 = 4_000;
const PASSAGES_PER_FILE: u64 = 25;
const WORDS_PER_PASSAGE: u64 = 150;
const VOCABULARY: u64 = 60_000;
const QUERIES: usize = 2_000;
/// The hundred most frequent words; the next one is in every seventh passage.
const STOP_WORDS: u64 = 100;

/// A small generator of numbers (SplitMix64), so that every run measures the same.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A word by Zipf's law: the n-th word about as often as 1/n.
    fn word(&mut self) -> String {
        spell(self.rank())
    }

    /// A word that people look for: not one of the most frequent, which are stop words.
    fn content_word(&mut self) -> String {
        loop {
            let rank = self.rank();
            if rank > STOP_WORDS {
                return spell(rank);
            }
        }
    }

    fn rank(&mut self) -> u64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rough distribution"
        )]
        let rank = {
            let share = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
            (VOCABULARY as f64).powf(share) as u64
        };
        rank
    }
}

fn spell(mut rank: u64) -> String {
    const SYLLABLES: [&str; 16] = [
        "ba", "cé", "di", "fo", "gu", "la", "mé", "ni", "po", "ru", "sa", "té", "vi", "zo", "chu",
        "tra",
    ];
    let mut word = String::new();
    loop {
        word.push_str(SYLLABLES[(rank % 16) as usize]);
        rank /= 16;
        if rank == 0 {
            return word;
        }
    }
}

fn file(numbers: &mut Numbers, number: u64) -> Change {
    let id = Uuid::from_u128(u128::from(number) + 1);
    let course_id = Uuid::from_u128(u128::from(number % COURSES) + (1 << 100));
    let documents = (0..PASSAGES_PER_FILE).map(|place| Document {
        id: Uuid::from_u128((u128::from(number) + 1) << 64 | u128::from(place)),
        kind: Kind::Passage,
        course_id,
        file_id: Some(id),
        file_version: 1,
        title: format!("{} {}", numbers.word(), numbers.word()),
        page: 1,
        heading: numbers.word(),
        text: (0..WORDS_PER_PASSAGE)
            .map(|_| numbers.word())
            .collect::<Vec<_>>()
            .join(" "),
        language: Language::French,
    });
    Change {
        source: Source::file(id),
        version: 1,
        content: Content::Documents(documents.collect()),
        note: String::new(),
    }
}

fn readable(share: u64) -> Readable {
    let ids: HashSet<Uuid> = (0..COURSES)
        .filter(|course| course % share == 0)
        .map(|course| Uuid::from_u128(u128::from(course) + (1 << 100)))
        .collect();
    Readable::Courses(Arc::new(ids))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let folder = std::env::temp_dir().join(format!("riwaq-latency-{}", std::process::id()));
    let index = TantivyIndex::open(&Config::in_folder(&folder)).expect("opens");
    let mut numbers = Numbers(1);
    let begun = Instant::now();
    for batch in 0..FILES / 100 {
        let changes = (0..100)
            .map(|place| file(&mut numbers, batch * 100 + place))
            .collect();
        index.write(changes).await.expect("writes");
    }
    println!(
        "{:?} in {:.1?}",
        index.stats().await.expect("counts"),
        begun.elapsed()
    );
    for (name, readable) in [
        ("all courses", Readable::All),
        ("every course, by set", readable(1)),
        ("1 course in 10", readable(10)),
        ("1 course in 200", readable(200)),
    ] {
        for words in [1, 3, 8] {
            measure(&index, &mut numbers, name, &readable, words).await;
        }
    }
    drop(index);
    std::fs::remove_dir_all(folder).expect("tidies up");
}

async fn measure(
    index: &TantivyIndex,
    numbers: &mut Numbers,
    name: &str,
    readable: &Readable,
    words: u64,
) {
    let mut times: Vec<Duration> = Vec::with_capacity(QUERIES);
    let mut hits = 0;
    for _ in 0..QUERIES {
        let text = (0..words)
            .map(|_| numbers.content_word())
            .collect::<Vec<_>>()
            .join(" ");
        let query = Query::new(text, readable.clone());
        let begun = Instant::now();
        hits += index.search(&query).await.expect("searches").hits.len();
        times.push(begun.elapsed());
    }
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    println!(
        "{name}, {words} words: p50 {:.2?} p95 {:.2?} p99 {:.2?} ({hits} hits)",
        at(50),
        at(95),
        at(99)
    );
}
