//! One trace from the request at the gateway to the last consumer of the event that it caused.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use reqwest::Method;
use riwaq_integration_tests::{School, World};
use riwaq_test_kit::multipart;
use uuid::Uuid;

pub(crate) async fn one_trace_holds_the_upload_and_the_indexing_that_it_caused(
    world: &mut World,
) -> Result<()> {
    let school = School::open(world).await?;
    let course = school.course("Trace").await?.id;
    let trace = Uuid::new_v4().simple().to_string();
    let request = school
        .teacher
        .request(Method::POST, &format!("/api/courses/{course}/files"))
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
        .multipart(multipart(
            "a.txt",
            "text/plain",
            b"une trace traverse tout",
        )?);
    school.teacher.send(request).await?.expect(201)?;

    let wanted = ["gateway", "files", "courses", "search"];
    let started = Instant::now();
    loop {
        let seen = world.collector().services(&trace);
        if wanted.iter().all(|service| seen.contains(*service)) {
            return Ok(());
        }
        ensure!(
            started.elapsed() < Duration::from_secs(30),
            "{wanted:?} were wanted, only {seen:?} came"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
