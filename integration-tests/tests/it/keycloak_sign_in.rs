//! The program with a real Keycloak for its issuer and directory: people sign in at Keycloak's page, programs by code
//! and PKCE; both are out when they sign out, or when Keycloak's administrator ends their sessions; and what
//! holds while Keycloak is away.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::{Method, Url};
use riwaq_test_kit::{
    Backend, Browser, ChaosProxy, Client, Fault, Page, Program, ProgramBuilder, keycloak,
    retry_after, sign_in_at,
};
use serde_json::{Value, json};
use uuid::Uuid;

const LOGIN: &str = "student@riwaq.local";
/// How long is waited for what must come on a machine that is busy. Far below the 300 s that tokens live, so that none
/// is taken for refused because it has died by itself; how long it took is printed.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program, Keycloak, and the line between them.
struct Site {
    program: Program,
    keycloak: Keycloak,
    line: ChaosProxy,
}

struct Keycloak {
    server: String,
    user: String,
    password: String,
    realm: String,
}

impl Keycloak {
    async fn admin(&self) -> Result<Client> {
        let client = Client::new(&self.server);
        let form = format!(
            "grant_type=password&client_id=admin-cli&username={}&password={}",
            self.user, self.password
        );
        let request = client
            .request(Method::POST, "/realms/master/protocol/openid-connect/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let token = client.send(request).await?.expect(200)?;
        Ok(client.with_token(token["access_token"].as_str().context("no token")?))
    }

    fn path(&self, rest: &str) -> String {
        format!("/admin/realms/{}{rest}", self.realm)
    }

    async fn student(&self) -> Result<String> {
        let query = self.path(&format!("/users?exact=true&email={LOGIN}"));
        let found = self.admin().await?.get(&query).await?.expect(200)?;
        Ok(found[0]["id"].as_str().context("no student")?.to_owned())
    }

    async fn sessions(&self) -> Result<usize> {
        let path = self.path(&format!("/users/{}/sessions", self.student().await?));
        let sessions = self.admin().await?.get(&path).await?.expect(200)?;
        Ok(sessions.as_array().map_or(0, Vec::len))
    }

    /// Its guard against guessing turns somebody away while the outcome of their last attempt is being noted, which
    /// it does after it has answered: one after the other, as here, the same person's sign-ins may meet that.
    async fn do_not_guard(&self) -> Result<()> {
        let unguarded = json!({"bruteForceProtected": false});
        let path = self.path("");
        let answer = self.admin().await?.put(&path, &unguarded).await?;
        ensure!(answer.status == 204, "{}", answer.text());
        Ok(())
    }

    /// What an administrator does in Keycloak's console.
    async fn log_out_the_student(&self) -> Result<()> {
        let path = self.path(&format!("/users/{}/logout", self.student().await?));
        let answer = self.admin().await?.post(&path, &json!({})).await?;
        answer.expect(204)?;
        Ok(())
    }
}

impl Site {
    /// `None` where there is no Keycloak.
    async fn start() -> Result<Option<Self>> {
        let Backend::Ready(address) = keycloak() else {
            return Ok(None);
        };
        let url = Url::parse(&address)?;
        let host = url.host_str().context("no host")?;
        let port = url.port_or_known_default().context("no port")?;
        let keycloak = Keycloak {
            server: format!("http://{host}:{port}"),
            user: url.username().to_owned(),
            password: url.password().unwrap_or_default().to_owned(),
            realm: format!("it-sign-in-{}", Uuid::new_v4().simple()),
        };
        let at: SocketAddr = format!("{host}:{port}").parse()?;
        let line = ChaosProxy::start(vec![at], 0)?;
        let near = format!("http://{}", line.address());
        // It names itself by its own address, whichever way it is reached.
        let realm = json!({
            "realm": keycloak.realm, "enabled": true, "attributes": {"frontendUrl": keycloak.server},
        });
        let made = keycloak
            .admin()
            .await?
            .post("/admin/realms", &realm)
            .await?;
        made.expect(201).context("a new realm")?;
        let issuer = format!("{}/realms/{}", keycloak.server, keycloak.realm);
        let provision = ["keycloak", "provision", "--admin-user", &keycloak.user];
        let builder = ProgramBuilder::new()?;
        let public = builder.url();
        let program = builder
            .variable("RIWAQ_PUBLIC_URL", &public)
            .variable("RIWAQ_DIRECTORY_ENGINE", "keycloak")
            .variable("RIWAQ_DIRECTORY_KEYCLOAK_SERVER_URL", &near)
            .variable("RIWAQ_DIRECTORY_KEYCLOAK_REALM", &keycloak.realm)
            .variable("RIWAQ_IDENTITY_ISSUER", &issuer)
            .command(&provision, &keycloak.password)
            .start()
            .await?;
        keycloak.do_not_guard().await?;
        Ok(Some(Self {
            program,
            keycloak,
            line,
        }))
    }

    fn address(&self, path: &str) -> Result<Url> {
        Ok(Url::parse(&format!("{}{path}", self.program.url()))?)
    }

    fn issuer(&self) -> String {
        format!("{}/realms/{}", self.keycloak.server, self.keycloak.realm)
    }

    /// Signs in by the gateway, at Keycloak's page. What comes back is the session as the portal reads it.
    async fn sign_in(&self, browser: &mut Browser) -> Result<Value> {
        let login = self.address("/api/auth/session/login?return_to=/api/auth/session")?;
        let page = browser.open(login, "").await?;
        ensure!(
            page.url.as_str().starts_with(&self.keycloak.server),
            "not at Keycloak's page: {}",
            page.url
        );
        let mut form = page.form().context("no form")?;
        ensure!(form.asks_password, "{}", page.answer.text());
        form.fields.insert("username".into(), LOGIN.into());
        let password = self.program.demo_password().to_owned();
        form.fields.insert("password".into(), password);
        let back = browser.submit(&page, &form, "").await?;
        ensure!(
            back.url.as_str().starts_with(&self.program.url()),
            "{}",
            back.url
        );
        back.answer.expect(200).context("back at the gateway")
    }

    async fn session(&self, browser: &mut Browser) -> Result<Page> {
        browser.open(self.address("/api/auth/session")?, "").await
    }

    /// The access token of a program that signed in by code and PKCE.
    async fn program_signed_in(&self) -> Result<Client> {
        let password = self.program.demo_password();
        let tokens = sign_in_at(&self.issuer(), LOGIN, password).await?;
        let token = tokens["access_token"].as_str().context("no access token")?;
        Ok(self.program.client().with_token(token))
    }

    async fn end(self) -> Result<()> {
        drop(self.program);
        let admin = self.keycloak.admin().await?;
        let removed = admin.delete(&self.keycloak.path("")).await?;
        ensure!(removed.status == 204, "{}", removed.text());
        Ok(())
    }
}

/// Asks until the answer has this status, for as long as `limit`; gives how long that took.
async fn until<F>(status: u16, limit: Duration, mut ask: impl FnMut() -> F) -> Result<Duration>
where
    F: Future<Output = Result<u16>>,
{
    let began = Instant::now();
    loop {
        let found = ask().await?;
        if found == status {
            return Ok(began.elapsed());
        }
        ensure!(
            began.elapsed() < limit,
            "{found} after {limit:?}, not {status}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_at_keycloak_and_are_out_when_it_says_so() -> Result<()> {
    let _machine = crate::machine::shared().await;
    let Some(site) = Site::start().await? else {
        return Ok(());
    };
    let done = steps(&site).await;
    let log = site.program.log_end();
    site.end().await?;
    done.with_context(|| log)
}

async fn steps(site: &Site) -> Result<()> {
    names_its_issuer(site)
        .await
        .context("what is answered in its stead")?;
    signs_out(site).await.context("signing out")?;
    is_told_by_back_channel(site)
        .await
        .context("the back channel")?;
    programs_sign_out(site)
        .await
        .context("a program signs out")?;
    holds_while_it_is_away(site).await.context("Keycloak away")
}

async fn names_its_issuer(site: &Site) -> Result<()> {
    let client = site.program.client();
    let config = client.get("/api/auth/config").await?.expect(200)?;
    ensure!(config["issuer"] == site.issuer(), "{config}");
    let password = json!({"email": LOGIN, "password": site.program.demo_password()});
    let answer = client.post("/api/auth/login", &password).await?;
    let problem = answer.expect_problem(404, "not_found")?;
    let detail = problem["detail"].as_str().unwrap_or_default();
    ensure!(detail.contains(&site.issuer()), "{detail}");
    let answer = client.get("/.well-known/openid-configuration").await?;
    answer.expect_problem(404, "not_found")?;
    Ok(())
}

async fn signs_out(site: &Site) -> Result<()> {
    let mut browser = Browser::new();
    let session = site.sign_in(&mut browser).await?;
    ensure!(session["user"]["email"] == LOGIN, "{session}");
    ensure!(
        session["user"]["roles"].to_string().contains("student"),
        "{session}"
    );
    let me = browser.open(site.address("/api/users/me")?, "").await?;
    me.answer.expect(200)?;
    ensure!(site.keycloak.sessions().await? == 1);

    let csrf = session["csrf_token"].as_str().context("no CSRF token")?;
    let here = site.address("/api/auth/session")?;
    let out = browser.change(Method::DELETE, here, csrf).await?;
    out.answer.expect(204)?;
    site.session(&mut browser)
        .await?
        .answer
        .expect_problem(401, "unauthenticated")?;
    ensure!(
        site.keycloak.sessions().await? == 0,
        "the session at Keycloak goes on"
    );
    // Its page asks for the password again: `sign_in` insists on that.
    site.sign_in(&mut browser).await?;
    Ok(())
}

async fn is_told_by_back_channel(site: &Site) -> Result<()> {
    let mut browser = Browser::new();
    site.sign_in(&mut browser).await?;
    let program = site.program_signed_in().await?;
    program.get("/api/auth/me").await?.expect(200)?;
    site.keycloak.log_out_the_student().await?;
    let told = Instant::now();
    let refused = until(401, PATIENCE, || async {
        Ok(program.get("/api/users/me").await?.status)
    });
    println!(
        "a program's token was refused {} ms after",
        refused.await?.as_millis()
    );
    while site.session(&mut browser).await?.answer.status != 401 {
        ensure!(told.elapsed() < PATIENCE, "the browser's session goes on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!(
        "a browser's session was over within {} ms",
        told.elapsed().as_millis()
    );
    // And nobody is kept from coming back, be it within the same second.
    site.sign_in(&mut browser).await?;
    Ok(())
}

async fn programs_sign_out(site: &Site) -> Result<()> {
    let program = site.program_signed_in().await?;
    program.get("/api/auth/me").await?.expect(200)?;
    let out = program.post("/api/auth/logout", &json!({})).await?;
    out.expect(204)?;
    let asked = || async { Ok(program.get("/api/users/me").await?.status) };
    until(401, PATIENCE, asked).await?;
    Ok(())
}

async fn holds_while_it_is_away(site: &Site) -> Result<()> {
    let mut browser = Browser::new();
    site.sign_in(&mut browser).await?;
    let program = site.program_signed_in().await?;
    for fault in [Fault::Cut, Fault::HalfOpen] {
        site.line.set(fault).await;
        program.get("/api/users/me").await?.expect(200)?;
        site.session(&mut browser).await?.answer.expect(200)?;
        let login = async || site.program.client().get("/api/auth/session/login").await;
        let status = || async { Ok(login().await?.status) };
        // What was said of it a moment ago is believed for that long.
        until(503, PATIENCE, status).await?;
        let answer = login().await?;
        answer.expect_problem(503, "unavailable")?;
        ensure!(retry_after(&answer).is_some(), "when to come back");
        site.line.set(Fault::None).await;
        until(303, PATIENCE, status).await?;
        let mut another = Browser::new();
        site.sign_in(&mut another).await?;
    }
    Ok(())
}
