//! From an event to what can be found: repeats, disorder, failures, crashes in between.

mod support;

use riwaq_api::files::v1::File;
use riwaq_index::{Source, Stats};
use riwaq_search::Rebuilt;
use support::{World, until};
use uuid::Uuid;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + number)
}

const STUDENT: u128 = 900;

/// A world with a course that the student reads.
fn world() -> World {
    let world = World::new();
    world
        .courses
        .put(id(1), 1, "Algorithmique", "Graphes et arbres");
    world.courses.admit(id(STUDENT), id(1));
    world
}

#[tokio::test]
async fn a_file_becomes_passages_with_pages_and_a_report() {
    let world = world();
    let service = world.start().await;
    world.files.put(
        id(1),
        id(10),
        3,
        "Les graphes orientés\nالخوارزميات وهياكل البيانات في الجامعة\nLe tri rapide",
    );
    world.file_changed(id(10), 3).await;
    world.settled().await;
    let found = service.found(id(STUDENT), "q=tris").await;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0]["page"].as_u64(), found[0]["title"].as_str()),
        (Some(3), Some("Cours d'algorithmique"))
    );
    assert_eq!(found[0]["file_id"], id(10).to_string());
    let arabic = service
        .found(
            id(STUDENT),
            &format!("q={}", support::encoded("الخوارزمية")),
        )
        .await;
    assert_eq!(arabic[0]["page"], 2);
    let report = (id(10).to_string(), 3, "done".to_owned(), String::new(), 3);
    assert_eq!(world.files.reports(), [report]);
    service.stop().await;
}

#[tokio::test]
async fn repeated_and_reordered_events_end_alike_and_read_once() {
    let world = world();
    let service = world.start().await;
    world.files.put(id(1), id(10), 4, "graphe");
    for version in [4, 2, 4, 1, 3, 4] {
        world.file_changed(id(10), version).await;
        world.settled().await;
    }
    assert_eq!(
        service
            .found(id(STUDENT), "q=graphe&kind=passage")
            .await
            .len(),
        1
    );
    assert_eq!(world.files.reads(), 1, "the present state was read once");
    assert!(
        world
            .files
            .reports()
            .iter()
            .all(|report| report.2 == "done" && report.1 == 4)
    );
    service.stop().await;
}

#[tokio::test]
async fn a_new_upload_replaces_and_a_deletion_removes_for_good() {
    let world = world();
    let service = world.start().await;
    world.files.put(id(1), id(10), 1, "premier");
    world.file_changed(id(10), 1).await;
    world.settled().await;
    world.files.put(id(1), id(10), 2, "second");
    world.file_changed(id(10), 2).await;
    world.settled().await;
    assert!(service.found(id(STUDENT), "q=premier").await.is_empty());
    assert_eq!(service.found(id(STUDENT), "q=second").await.len(), 1);
    world.files.delete(id(10), 3);
    world.file_changed(id(10), 3).await;
    world.settled().await;
    world.file_changed(id(10), 1).await;
    world.settled().await;
    assert!(service.found(id(STUDENT), "q=second").await.is_empty());
    let state = world
        .index
        .source(Source::file(id(10)))
        .await
        .expect("asks")
        .expect("is known");
    assert!(state.deleted && state.version == 3);
    service.stop().await;
}

#[tokio::test]
async fn a_file_that_its_owner_forgot_is_removed() {
    let world = world();
    let service = world.start().await;
    world.files.put(id(1), id(10), 1, "graphe");
    world.file_changed(id(10), 1).await;
    world.settled().await;
    world.files.forget(id(10));
    world.file_changed(id(10), 2).await;
    world.settled().await;
    assert!(
        service
            .found(id(STUDENT), "q=graphe&kind=passage")
            .await
            .is_empty()
    );
    service.stop().await;
}

#[tokio::test]
async fn a_document_that_cannot_be_read_is_reported_and_not_tried_again() {
    let world = world();
    let service = world.start().await;
    world.files.put(id(1), id(10), 1, "FAIL:encrypted");
    world
        .files
        .put(id(1), id(11), 1, "une page\nFAIL:timed_out");
    for number in [10, 11] {
        world.file_changed(id(number), 1).await;
    }
    world.settled().await;
    let mut reports = world.files.reports();
    reports.sort();
    let report = |number, reason: &str, pages| {
        (
            id(number).to_string(),
            1,
            "failed".to_owned(),
            reason.to_owned(),
            pages,
        )
    };
    assert_eq!(
        reports,
        [report(10, "encrypted", 0), report(11, "timed_out", 1)]
    );
    assert_eq!(
        service.found(id(STUDENT), "q=page").await.len(),
        1,
        "what came before the end is kept"
    );
    assert_eq!(world.files.reads(), 2);
    assert!(world.dead_letters().await.is_empty());
    service.stop().await;
}

#[tokio::test]
async fn files_without_text_and_quarantined_ones_are_reported_as_none() {
    let world = world();
    let service = world.start().await;
    let image = File {
        media_type: "image/png".into(),
        name: "photo.png".into(),
        ..world.files.put(id(1), id(10), 1, "x")
    };
    world.files.put_file(image, "graphe");
    let quarantined = File {
        status: "quarantined".into(),
        ..world.files.put(id(1), id(11), 1, "x")
    };
    world.files.put_file(quarantined, "graphe");
    for number in [10, 11] {
        world.file_changed(id(number), 1).await;
    }
    world.settled().await;
    assert!(
        service
            .found(id(STUDENT), "q=graphe&kind=passage")
            .await
            .is_empty()
    );
    assert!(
        world
            .files
            .reports()
            .iter()
            .all(|report| report.2 == "none")
    );
    assert_eq!((world.files.reports().len(), world.files.reads()), (2, 0));
    service.stop().await;
}

#[tokio::test]
async fn failures_of_others_are_tried_again() {
    let world = world();
    let service = world.start().await;
    world.files.put(id(1), id(10), 1, "graphe");
    world.files.fail_next(3);
    world.file_changed(id(10), 1).await;
    world.settled().await;
    assert_eq!(
        service
            .found(id(STUDENT), "q=graphe&kind=passage")
            .await
            .len(),
        1
    );
    assert_eq!(world.files.reports().len(), 1);
    assert!(world.dead_letters().await.is_empty());
    service.stop().await;
}

#[tokio::test]
async fn a_report_that_was_lost_is_made_again_without_reading_again() {
    let world = world();
    world.files.put(id(1), id(10), 1, "graphe");
    let service = world.start().await;
    world.file_changed(id(10), 1).await;
    world.settled().await;
    service.stop().await;
    // As after a crash between the commit and the report: the event comes again.
    let service = world.start().await;
    world.file_changed(id(10), 1).await;
    world.settled().await;
    assert_eq!((world.files.reports().len(), world.files.reads()), (2, 1));
    service.stop().await;
}

#[tokio::test]
async fn a_machine_that_cannot_read_documents_leaves_a_dead_letter() {
    let world = world();
    let service = world.start().await;
    world.files.put(id(1), id(10), 1, "MACHINE");
    world.file_changed(id(10), 1).await;
    world.course_changed(Uuid::nil(), -1).await;
    world.settled().await;
    let reasons = world.dead_letters().await;
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(
        reasons.iter().any(|reason| reason.contains("extraction")),
        "{reasons:?}"
    );
    assert!(
        reasons.iter().any(|reason| reason.contains("data")),
        "{reasons:?}"
    );
    assert!(world.files.reports().is_empty());
    service.stop().await;
}

#[tokio::test]
async fn a_course_is_found_changes_and_goes() {
    let world = world();
    let service = world.start().await;
    world.course_changed(id(1), 1).await;
    world.settled().await;
    let found = service.found(id(STUDENT), "q=arbres").await;
    assert_eq!(
        (found[0]["kind"].as_str(), found[0]["id"].as_str()),
        (Some("course"), Some(id(1).to_string().as_str()))
    );
    assert!(found[0]["file_id"].is_null() && found[0]["page"].is_null());
    world.courses.put(id(1), 2, "Réseaux", "Protocoles");
    world.course_changed(id(1), 2).await;
    world.settled().await;
    assert!(service.found(id(STUDENT), "q=arbres").await.is_empty());
    assert_eq!(service.found(id(STUDENT), "q=protocole").await.len(), 1);
    world.courses.delete(id(1), 3);
    world.course_changed(id(1), 3).await;
    world.settled().await;
    assert!(service.found(id(STUDENT), "q=protocole").await.is_empty());
    service.stop().await;
}

#[tokio::test]
async fn a_rebuild_makes_the_same_index_again_and_drops_what_is_gone() {
    let world = world();
    world.courses.put(id(2), 1, "Sans fichier", "graphe");
    let service = world.start().await;
    for number in 10..15 {
        world.files.put(id(1), id(number), 1, "graphe");
        world.file_changed(id(number), 1).await;
    }
    for number in 1..=2 {
        world.course_changed(id(number), 1).await;
    }
    world.settled().await;
    let before = world.index.stats().await.expect("counts");
    assert_eq!((before.passages, before.courses), (5, 2));
    // Somebody lost an event.
    world.files.delete(id(14), 2);
    let rebuilt = world.rebuild().run().await.expect("rebuilds");
    assert_eq!(
        rebuilt,
        Rebuilt {
            files: 4,
            courses: 2,
            failed: 0
        }
    );
    let after = world.index.stats().await.expect("counts");
    assert_eq!(
        after,
        Stats {
            passages: 4,
            courses: 2,
            sources: 6,
            tombstones: 0
        }
    );
    service.stop().await;
}

#[tokio::test]
async fn a_rebuild_counts_what_it_could_not_write() {
    let world = world();
    world.files.put(id(1), id(10), 1, "MACHINE");
    world.files.put(id(1), id(11), 1, "graphe");
    let rebuilt = world.rebuild().run().await.expect("rebuilds");
    assert_eq!(
        rebuilt,
        Rebuilt {
            files: 1,
            courses: 1,
            failed: 1
        }
    );
    world.files.fail_next(usize::MAX);
    assert!(world.rebuild().run().await.is_err());
}

#[tokio::test]
async fn an_empty_index_is_filled_at_the_start_and_another_is_left_alone() {
    let mut world = world();
    world.config.rebuild_when_empty = true;
    world.files.put(id(1), id(10), 1, "graphe");
    let service = world.start().await;
    until("the index is filled", async || {
        world.index.stats().await.expect("counts").sources == 2
    })
    .await;
    service.stop().await;
    world.files.put(id(1), id(11), 1, "graphe");
    let service = world.start().await;
    world.file_changed(id(10), 1).await;
    world.settled().await;
    assert_eq!(world.index.stats().await.expect("counts").sources, 2);
    service.stop().await;
}
