//! A certificate by ACME, from Pebble, the test authority of Let's Encrypt's makers.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use riwaq_clock::{ManualClock, SystemClock};
use riwaq_kit::Secret;
use riwaq_kit::service::{AcmeConfig, TlsConfig, inspect_certificate};
use riwaq_test_kit::ReservedPort;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use support::{
    Authority, folder, hello, hello_again, metric, roots_of, shake, shown, start, start_on, until,
};

/// Where the program is; none where it is not installed and nobody required it.
fn pebble() -> Option<PathBuf> {
    match riwaq_test_kit::pebble_program() {
        riwaq_test_kit::Backend::Ready(path) => Some(path.into()),
        riwaq_test_kit::Backend::NotRun => None,
    }
}

/// Tests count orders in the metrics of this process, so they go one by one.
static ONE_BY_ONE: Mutex<()> = Mutex::const_new(());

const ISSUED: &str = "riwaq_tls_acme_orders_total{outcome=\"issued\"}";
const FAILED: &str = "riwaq_tls_acme_orders_total{outcome=\"failed\"}";

fn count(outcome: &str) -> f64 {
    metric(outcome).unwrap_or_default()
}

/// Where an authority listens: still its own after its end.
struct Ports {
    listen: ReservedPort,
    management: ReservedPort,
}

impl Ports {
    fn new() -> Self {
        Self {
            listen: ReservedPort::new().expect("a port"),
            management: ReservedPort::new().expect("a port"),
        }
    }
}

/// A running authority that looks at names on one port of this machine.
struct Pebble {
    directory_url: String,
    management: SocketAddr,
    ca_file: PathBuf,
    authority: Authority,
    child: Child,
}

impl Pebble {
    async fn start(program: &Path, folder: &Path, ports: &Ports, looks_at: u16) -> Self {
        Self::start_for(program, folder, ports, looks_at, None).await
    }

    /// One that serves the customer of this key only, where there is one.
    async fn start_for(
        program: &Path,
        folder: &Path,
        ports: &Ports,
        looks_at: u16,
        customer: Option<(&str, &str)>,
    ) -> Self {
        let authority = Authority::new();
        let (chain, key) = authority.issue("localhost", 2100);
        let ca_file = folder.join("pebble-ca.pem");
        std::fs::write(&ca_file, authority.pem()).expect("is written");
        std::fs::write(folder.join("pebble.pem"), chain).expect("is written");
        std::fs::write(folder.join("pebble.key"), key).expect("is written");
        let (listen, management) = (ports.listen.address(), ports.management.address());
        let config = serde_json::json!({"pebble": {
            "listenAddress": listen.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": folder.join("pebble.pem"),
            "privateKey": folder.join("pebble.key"),
            "httpPort": 1,
            "tlsPort": looks_at,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": customer.is_some(),
            "externalAccountMACKeys": customer.into_iter().collect::<HashMap<_, _>>(),
            "retryAfter": {"authz": 1, "order": 1},
            "keyAlgorithm": "ecdsa",
            "profiles": {"default": {"description": "ninety days", "validityPeriod": 7_776_000}},
        }});
        let file = folder.join("pebble.json");
        std::fs::write(&file, config.to_string()).expect("is written");
        let child = Command::new(program)
            .arg("-config")
            .arg(&file)
            .env("PEBBLE_VA_NOSLEEP", "1")
            // Names are proved anew every time.
            .env("PEBBLE_AUTHZREUSE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("starts");
        until("Pebble listens", || async {
            TcpStream::connect(listen).await.is_ok() && TcpStream::connect(management).await.is_ok()
        })
        .await;
        Self {
            directory_url: format!("https://localhost:{}/dir", listen.port()),
            management,
            ca_file,
            authority,
            child,
        }
    }

    /// The root of what it issues.
    async fn roots(&self) -> RootCertStore {
        let stream = shake_as(self.management, &self.authority.roots()).await;
        let mut stream = stream.expect("shakes hands");
        let request = b"GET /roots/0 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.expect("is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("is read");
        roots_of(answer.as_bytes())
    }

    fn config(&self, folder: &Path) -> TlsConfig {
        let acme = AcmeConfig {
            domains: vec!["localhost".into()],
            contact: vec!["mailto:it@school.example".into()],
            accept_terms: true,
            directory_url: self.directory_url.clone(),
            ca_file: Some(self.ca_file.clone()),
            folder: folder.join("acme"),
            ..AcmeConfig::default()
        };
        TlsConfig {
            acme: Some(acme),
            ..TlsConfig::default()
        }
    }

    async fn end(mut self) {
        self.child.kill().await.expect("ends");
    }
}

async fn shake_as(
    address: SocketAddr,
    roots: &RootCertStore,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    shake(address, roots, &[&TLS12, &TLS13], b"http/1.1").await
}

/// Waits for a certificate of `roots` that is not `before`, while time goes by.
async fn renewed(
    address: SocketAddr,
    roots: &RootCertStore,
    clock: &ManualClock,
    before: Option<&CertificateDer<'static>>,
) -> CertificateDer<'static> {
    let found = RefCell::new(None);
    until("there is a new certificate", || async {
        if before.is_some() {
            clock.advance(Duration::from_secs(600));
        }
        let stream = shake_as(address, roots).await;
        *found.borrow_mut() = stream.ok().map(|stream| shown(&stream));
        found.borrow().is_some() && found.borrow().as_ref() != before
    })
    .await;
    found.into_inner().expect("was found")
}

/// A listener, and an authority that looks at it.
async fn both(program: &Path, folder: &Path) -> (TcpListener, Ports, Pebble) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let ports = Ports::new();
    let pebble = Pebble::start(program, folder, &ports, port).await;
    (listener, ports, pebble)
}

fn now() -> Arc<ManualClock> {
    ManualClock::at(SystemClock::shared().now())
}

#[tokio::test]
async fn a_certificate_is_ordered_kept_and_renewed() {
    let Some(program) = pebble() else { return };
    let _alone = ONE_BY_ONE.lock().await;
    let (_kept, folder) = folder();
    let (listener, _ports, pebble) = both(&program, &folder).await;
    let roots = pebble.roots().await;
    let tls = pebble.config(&folder);
    let clock = now();
    let running = start_on(listener, tls.clone(), clock.clone());
    let address = running.address;
    let ordered = renewed(address, &roots, &clock, None).await;
    for version in [&TLS12, &TLS13] {
        let stream = shake(address, &roots, &[version], b"http/1.1").await;
        let answer = hello(stream.expect("shakes hands")).await;
        assert!(answer.ends_with("salam"), "{answer}");
    }
    let looked = inspect_certificate(&tls).await.expect("can be used");
    assert_eq!(looked.expect("is there").names, ["localhost"]);
    assert_only_we_read_it(&folder.join("acme"));
    // A second process is told why not.
    let second = start(tls.clone(), SystemClock::shared()).await;
    let error = second.ended().await.expect_err("is refused").to_string();
    assert!(
        error.contains("acme.folder") && error.contains("another process"),
        "{error}"
    );

    // Two thirds of its life are over; who is connected stays so.
    let mut open = shake_as(address, &roots).await.expect("shakes hands");
    assert!(hello_again(&mut open).await);
    clock.advance(Duration::from_secs(63 * 24 * 3600));
    let renewed = renewed(address, &roots, &clock, Some(&ordered)).await;
    assert!(hello_again(&mut open).await);
    drop(open);
    running.stop().await;
    pebble.end().await;

    // What was kept serves after a restart, while the authority is away.
    let again = start(tls, SystemClock::shared()).await;
    let stream = shake_as(again.address, &roots).await.expect("shakes hands");
    assert_eq!(shown(&stream), renewed);
    again.stop().await;
}

/// The folder of the one authority in `folder` and what is in it.
fn assert_only_we_read_it(folder: &Path) {
    let of_authority = std::fs::read_dir(folder).expect("is there");
    let of_authority = of_authority.flatten().next().expect("a folder").path();
    let mode = |path: &Path| {
        let metadata = std::fs::metadata(path).expect("is there");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode(&of_authority), 0o700);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&of_authority).expect("is there") {
        let entry = entry.expect("an entry");
        assert_eq!(mode(&entry.path()), 0o600, "{}", entry.path().display());
        names.push(entry.file_name().into_string().expect("Unicode"));
    }
    names.sort();
    assert_eq!(names, ["account.json", "certificate.pem", "lock"]);
}

#[tokio::test]
async fn what_cannot_be_proved_is_tried_again_later() {
    let Some(program) = pebble() else { return };
    let _alone = ONE_BY_ONE.lock().await;
    let (_kept, folder) = folder();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    // It looks at a port where nobody is at first.
    let elsewhere = ReservedPort::new().expect("a port");
    let pebble = Pebble::start(&program, &folder, &Ports::new(), elsewhere.port()).await;
    let roots = pebble.roots().await;
    let clock = now();
    let before = count(FAILED);
    let running = start_on(listener, pebble.config(&folder), clock.clone());
    until("an order failed", || async { count(FAILED) > before }).await;
    assert!(
        shake_as(address, &roots).await.is_err(),
        "there is none yet"
    );
    // The name leads here now: what comes there is passed on.
    let passing = TcpListener::bind(elsewhere.address()).await;
    let passing = passing.expect("a port");
    let mut passed = tokio::task::JoinSet::new();
    passed.spawn(async move {
        loop {
            let (mut from, _) = passing.accept().await.expect("accepts");
            let mut to = TcpStream::connect(address).await.expect("connects");
            let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
        }
    });
    until("there is a certificate", || async {
        clock.advance(Duration::from_secs(600));
        shake_as(address, &roots).await.is_ok()
    })
    .await;
    running.stop().await;
    pebble.end().await;
}

#[tokio::test]
async fn a_renewal_that_fails_leaves_the_certificate_and_goes_on_trying() {
    let Some(program) = pebble() else { return };
    let _alone = ONE_BY_ONE.lock().await;
    let (_kept, folder) = folder();
    let (listener, ports, pebble) = both(&program, &folder).await;
    let roots = pebble.roots().await;
    let clock = now();
    let running = start_on(listener, pebble.config(&folder), clock.clone());
    let address = running.address;
    let ordered = renewed(address, &roots, &clock, None).await;
    pebble.end().await;
    let failed = count(FAILED);
    clock.advance(Duration::from_secs(63 * 24 * 3600));
    until("two renewals failed", || async {
        clock.advance(Duration::from_secs(600));
        let stream = shake_as(address, &roots).await.expect("shakes hands");
        assert_eq!(shown(&stream), ordered);
        let answer = hello(stream).await;
        assert!(answer.ends_with("salam"), "{answer}");
        count(FAILED) >= failed + 2.0
    })
    .await;

    // It comes back with nothing of before, our account neither.
    let pebble = Pebble::start(&program, &folder, &ports, address.port()).await;
    let issued = count(ISSUED);
    let roots = pebble.roots().await;
    renewed(address, &roots, &clock, Some(&ordered)).await;
    assert!(count(ISSUED) > issued);
    running.stop().await;
    pebble.end().await;
}

#[tokio::test]
async fn a_name_that_cannot_be_proved_takes_nothing_from_the_others() {
    let Some(program) = pebble() else { return };
    let _alone = ONE_BY_ONE.lock().await;
    let (_kept, folder) = folder();
    let (listener, _ports, pebble) = both(&program, &folder).await;
    let roots = pebble.roots().await;
    let mut tls = pebble.config(&folder);
    let clock = now();
    let running = start_on(listener, tls.clone(), clock.clone());
    let ordered = renewed(running.address, &roots, &clock, None).await;
    running.stop().await;

    let failed = count(FAILED);
    let acme = tls.acme.as_mut().expect("is set");
    acme.domains.push("nowhere.invalid".into());
    let running = start(tls, clock).await;
    until("the order of both failed", || async {
        count(FAILED) > failed
    })
    .await;
    let stream = shake_as(running.address, &roots).await;
    assert_eq!(shown(&stream.expect("shakes hands")), ordered);
    running.stop().await;
    pebble.end().await;
}

#[tokio::test]
async fn an_authority_that_serves_its_customers_only_is_told_which_we_are() {
    let Some(program) = pebble() else { return };
    let _alone = ONE_BY_ONE.lock().await;
    let (_kept, folder) = folder();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let customer = Some(("school-7", key));
    let pebble = Pebble::start_for(&program, &folder, &Ports::new(), port, customer).await;
    let roots = pebble.roots().await;
    let mut tls = pebble.config(&folder);
    let failed = count(FAILED);
    let unknown = start(tls.clone(), SystemClock::shared()).await;
    until("it is refused", || async { count(FAILED) > failed }).await;
    unknown.stop().await;

    let acme = tls.acme.as_mut().expect("is set");
    acme.eab_key_id = Some("school-7".into());
    acme.eab_key = Some(Secret::new(key));
    let running = start_on(listener, tls, SystemClock::shared());
    renewed(running.address, &roots, &now(), None).await;
    running.stop().await;
    pebble.end().await;
}
