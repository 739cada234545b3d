//! The lines to the backends become slow, are cut, or go silent.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use riwaq_integration_tests::{Load, LoadKind, Person, School, World, rounds};
use riwaq_test_kit::{Answer, Client, Fault, Patience, retry_after};
use serde_json::json;

/// Rounds where nothing else is said: in one, each of the lines is broken.
const ROUNDS: u64 = 3;
/// As far as from one end of a country to the other.
const SLOW: Fault = Fault::Latency {
    delay: Duration::from_millis(20),
    jitter: Duration::from_millis(10),
};
/// The longest that anybody waits for an error.
const BOUND: Duration = Duration::from_secs(20);
/// Everything works again by then.
const RECOVERY: Duration = Duration::from_secs(60);

pub(crate) async fn the_main_job_over_slow_lines(world: &mut World) -> Result<()> {
    for round in 0..rounds(ROUNDS) {
        set_each_line(world, SLOW).await?;
        let began = Instant::now();
        let done = crate::main_job::the_main_job(world).await;
        set_each_line(world, Fault::None).await?;
        done.with_context(|| format!("round {round}"))?;
        println!(
            "the main job over slow lines: {} ms",
            began.elapsed().as_millis()
        );
    }
    Ok(())
}

async fn set_each_line(world: &World, fault: Fault) -> Result<()> {
    let names: Vec<_> = world.backends()?.names().collect();
    set_lines(world, &names, fault).await
}

async fn set_lines(world: &World, names: &[&str], fault: Fault) -> Result<()> {
    let backends = world.backends()?;
    for name in names {
        backends.line(name)?.set(fault).await;
    }
    Ok(())
}

pub(crate) async fn requests_fail_cleanly_while_a_line_is_cut_and_recover(
    world: &mut World,
) -> Result<()> {
    break_each_line(world, Fault::Cut).await
}

pub(crate) async fn requests_fail_cleanly_while_a_line_is_half_open_and_recover(
    world: &mut World,
) -> Result<()> {
    break_each_line(world, Fault::HalfOpen).await
}

/// Files' content and the index are away: whoever does not stand on them starts as always.
pub(crate) async fn a_role_starts_while_backends_that_others_need_are_away(
    world: &mut World,
) -> Result<()> {
    let school = School::open(world).await?;
    set_lines(world, &["s3", "opensearch"], Fault::Cut).await?;
    let started = start_again(world, &["gateway", "auth", "users", "courses", "chatbot"]).await;
    set_lines(world, &["s3", "opensearch"], Fault::None).await?;
    started?;
    recovers(world, &school).await?;
    Ok(())
}

async fn start_again(world: &World, roles: &[&str]) -> Result<()> {
    let installation = world.processes()?;
    for role in roles {
        installation.replica(role, 0)?.terminate().await?;
        let ready_in = installation.restart(role, 0).await?;
        println!("{role} is ready in {} ms", ready_in.as_millis());
    }
    Ok(())
}

/// Breaks the lines one after the other. While one is broken, whatever needs it fails as it should and nothing
/// hangs; then everything works again, and everything acknowledged is there.
async fn break_each_line(world: &mut World, fault: Fault) -> Result<()> {
    let mut school = School::open(world).await?;
    let names: Vec<_> = world.backends()?.names().collect();
    for name in (0..rounds(ROUNDS)).flat_map(|_| names.clone()) {
        school.sign_in_again(world).await?;
        let load = Load::on_a_new_course(&school, Patience::default()).await?;
        let working = load.start(
            &school,
            &[LoadKind::Upload, LoadKind::Edit, LoadKind::Section],
        );
        working.progress(6).await?;
        let line = world.backends()?.line(name)?;
        line.set(fault).await;
        let failed = everything_ends(world, &school).await;
        line.set(Fault::None).await;
        let failed = failed.with_context(|| format!("{name}, {fault:?}"))?;
        let recovered = recovers(world, &school)
            .await
            .with_context(|| format!("{name}, after {fault:?}"))?;
        working.stop().await?;
        let verdicts = load.holds(&school).await;
        verdicts.with_context(|| format!("{name}, after {fault:?}"))?;
        println!(
            "{name}, {fault:?}: {failed}; all well after {} ms",
            recovered.as_millis()
        );
    }
    Ok(())
}

/// What people asked for while a line was broken.
#[derive(Default)]
struct Asked {
    served: u32,
    failed: u32,
    longest: Duration,
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} requests served, {} failed cleanly, the longest after {} ms",
            self.served,
            self.failed,
            self.longest.as_millis()
        )
    }
}

/// One request of each kind, all at once, twice: each is served, or is a problem that says when to come again, soon.
async fn everything_ends(world: &World, school: &School) -> Result<Asked> {
    let mut asked = Asked::default();
    for _ in 0..2 {
        let requests = requests(school)?;
        let answers = requests
            .into_iter()
            .map(|(what, client, request)| async move {
                let began = Instant::now();
                let answer = tokio::time::timeout(BOUND, client.send(request)).await;
                (what, answer, began.elapsed())
            });
        for (what, answer, took) in futures::future::join_all(answers).await {
            let answer = answer.with_context(|| format!("{what}: nothing in {BOUND:?}"))?;
            let answer = answer.with_context(|| what.to_owned())?;
            asked.longest = asked.longest.max(took);
            if answer.status < 400 {
                asked.served += 1;
            } else {
                is_clean(&answer).with_context(|| what.to_owned())?;
                asked.failed += 1;
            }
        }
    }
    // Whether it lives has nothing to do with its backends.
    world.client().get("/livez").await?.expect(200)?;
    Ok(asked)
}

/// 503 or 504 with a time to come again, and nothing of the inside.
fn is_clean(answer: &Answer) -> Result<()> {
    let problem = answer.json();
    ensure!(
        matches!(answer.status, 503 | 504),
        "{} {}",
        answer.status,
        answer.text()
    );
    ensure!(problem["code"].is_string(), "{}", answer.text());
    ensure!(
        retry_after(answer).is_some(),
        "no Retry-After: {}",
        answer.text()
    );
    let text = answer.text();
    ensure!(
        !text.contains("127.0.0.1") && !text.contains("panicked"),
        "{text}"
    );
    Ok(())
}

type Asking = (&'static str, Client, reqwest::RequestBuilder);

fn requests(school: &School) -> Result<Vec<Asking>> {
    let (teacher, student) = (&school.teacher, &school.student);
    let get = |client: &Client, path| (path, client.clone(), client.request(Method::GET, path));
    let body = json!({"title": "Pendant la panne", "description": ""});
    Ok(vec![
        get(student, "/api/courses"),
        get(student, "/api/users/me"),
        get(student, "/api/auth/me"),
        get(student, "/api/search?q=texte"),
        get(student, "/api/chatbot/conversations"),
        get(&school.admin, "/api/admin/users"),
        (
            "POST /api/courses",
            teacher.clone(),
            teacher.request(Method::POST, "/api/courses").json(&body),
        ),
    ])
}

/// Asks until everything is served, and an upload is found; gives how long that took.
async fn recovers(world: &World, school: &School) -> Result<Duration> {
    let began = Instant::now();
    loop {
        let mut served = true;
        for (_, client, request) in requests(school)? {
            let answer = tokio::time::timeout(BOUND, client.send(request)).await;
            served &= answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status < 400));
        }
        served &= Person::make(&school.admin, "student").await.is_ok();
        let signed_in = &school.student_account;
        served &= world
            .sign_in(&signed_in.email, &signed_in.password)
            .await
            .is_ok();
        if served {
            return Ok(began.elapsed());
        }
        ensure!(began.elapsed() < RECOVERY, "not recovered in {RECOVERY:?}");
    }
}

pub(crate) async fn without_the_issuer_tokens_in_hand_hold_and_signing_in_says_why_it_cannot(
    world: &mut World,
) -> Result<()> {
    let mut school = School::open(world).await?;
    for fault in (0..rounds(ROUNDS)).flat_map(|_| [Fault::Cut, Fault::HalfOpen]) {
        school.sign_in_again(world).await?;
        let line = world.backends()?.line("keycloak")?;
        line.set(fault).await;
        let held = without_the_issuer(world, &school).await;
        line.set(Fault::None).await;
        held.with_context(|| format!("{fault:?}"))?;
        let recovered = recovers(world, &school).await?.as_millis();
        println!("issuer, {fault:?}: tokens in hand held; all well after {recovered} ms");
    }
    Ok(())
}

async fn without_the_issuer(world: &World, school: &School) -> Result<()> {
    // In hand: verified with keys that every process has.
    for path in ["/api/courses", "/api/users/me", "/api/search?q=texte"] {
        let answer = tokio::time::timeout(BOUND, school.student.get(path)).await??;
        answer.expect(200).with_context(|| path.to_owned())?;
    }
    school.course("Sans l'émetteur").await?;
    signing_in_says_why_it_cannot(world).await
}

/// Nobody is sent to a page that does not answer: the gateway says so itself, to programs and to people.
async fn signing_in_says_why_it_cannot(world: &World) -> Result<()> {
    let login = "/api/auth/session/login?return_to=/";
    let client = world.client();
    let began = Instant::now();
    let mut refused = 0;
    // Connections go to the gateways in turn: by each of them.
    while refused < 2 {
        let answer = tokio::time::timeout(BOUND, client.get(login)).await??;
        if answer.status >= 400 {
            is_clean(&answer)?;
            refused += 1;
            continue;
        }
        // What the issuer said a moment ago is believed for that long.
        ensure!(began.elapsed() < BOUND, "still sent to the issuer");
        refused = 0;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let request = client.request(Method::GET, login);
    let request = request
        .header("accept", "text/html")
        .header("accept-language", "fr");
    let page = tokio::time::timeout(BOUND, client.send(request)).await??;
    ensure!(page.status == 503, "{} {}", page.status, page.text());
    ensure!(retry_after(&page).is_some(), "no Retry-After");
    ensure!(page.text().contains("ne répond pas"), "{}", page.text());
    Ok(())
}
