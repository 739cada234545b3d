//! One connection through the proxy.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::{Fault, Shared, Weather};

/// Small, so that throttling is smooth.
const PIECE: usize = 16 * 1024;
/// Pieces on their way; more than that waits in the kernel, as on a real line.
const UNDER_WAY: usize = 64;

/// What is on its way, and when it arrives.
type Piece = (Instant, Vec<u8>);

/// Counts a connection as open as long as it lives.
struct Open<'a>(&'a watch::Sender<usize>);

impl<'a> Open<'a> {
    fn count(open: &'a watch::Sender<usize>) -> Self {
        open.send_modify(|open| *open += 1);
        Self(open)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

/// Serves one client until either end closes, or the weather resets it.
pub(super) async fn serve(mut client: TcpStream, shared: Arc<Shared>, number: u64) {
    let open = Open::count(&shared.open);
    let mut weather = shared.weather.subscribe();
    let born = weather.borrow().epoch;
    let mut server = None;
    let ended = tokio::select! {
        _ = weather.wait_for(|weather| weather.epoch > born) => Err(io::ErrorKind::ConnectionReset.into()),
        ended = talk(&mut client, &mut server, &shared, born, number) => ended,
    };
    if ended.is_err() {
        let _ = client.set_zero_linger();
        if let Some(server) = &server {
            let _ = server.set_zero_linger();
        }
    }
    drop((client, server));
    drop(open);
}

async fn talk(
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    shared: &Shared,
    born: u64,
    number: u64,
) -> io::Result<()> {
    let mut random =
        StdRng::seed_from_u64(shared.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let weather = shared.weather.subscribe();
    let fault = weather.borrow().fault;
    match fault {
        // Nobody behind learns of the client; this ends when the weather changes.
        Fault::HalfOpen => return swallow(client).await,
        // Accepted just before the cut.
        Fault::Cut => return Err(io::ErrorKind::ConnectionReset.into()),
        Fault::Latency { delay, jitter } => sleep(late(delay, jitter, &mut random)).await,
        _ => {}
    }
    let server = server.insert(connect(shared).await?);
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let back = StdRng::seed_from_u64(random.random());
    tokio::try_join!(
        pump(from_client, to_server, shared, born, random),
        pump(from_server, to_client, shared, born, back),
    )?;
    Ok(())
}

/// The first that does not refuse.
async fn connect(shared: &Shared) -> io::Result<TcpStream> {
    let mut last = io::ErrorKind::ConnectionRefused.into();
    for upstream in shared.in_turn() {
        match TcpStream::connect(upstream).await {
            Ok(server) => return Ok(server),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn swallow(client: &mut TcpStream) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    while client.read(&mut piece).await? > 0 {}
    // The client closed; a half-open line would not tell anybody.
    Ok(())
}

/// Moves one direction. Reading goes on while pieces are on their way, so that latency is not a throttle.
///
/// A connection that is to be reset moves nothing any more: after what a dead line swallowed, the rest would be a gap that TCP
/// does not have.
async fn pump(
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    shared: &Shared,
    born: u64,
    mut random: StdRng,
) -> io::Result<()> {
    let weather = shared.weather.subscribe();
    let (sender, receiver) = mpsc::channel(UNDER_WAY);
    let read = async {
        let mut free = Instant::now();
        let mut buffer = vec![0; PIECE];
        loop {
            let length = reader.read(&mut buffer).await?;
            if length == 0 {
                break;
            }
            let now = *weather.borrow();
            now.still(born)?;
            let Some(arrives) = arrival(now, length, free, &mut random) else {
                continue;
            };
            free = arrives;
            let piece = buffer.get(..length).unwrap_or_default().to_vec();
            if sender.send((arrives, piece)).await.is_err() {
                break;
            }
        }
        drop(sender);
        io::Result::Ok(())
    };
    tokio::try_join!(read, deliver(&mut writer, receiver, shared, born))?;
    Ok(())
}

async fn deliver(
    writer: &mut (impl AsyncWrite + Unpin),
    mut pieces: mpsc::Receiver<Piece>,
    shared: &Shared,
    born: u64,
) -> io::Result<()> {
    let weather = shared.weather.subscribe();
    while let Some((arrives, piece)) = pieces.recv().await {
        if arrives > Instant::now() {
            sleep_until(arrives).await;
        }
        let now = *weather.borrow();
        now.still(born)?;
        // What was under way when the line went dead does not arrive either.
        if now.fault == Fault::HalfOpen {
            continue;
        }
        writer.write_all(&piece).await?;
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        shared.bytes.fetch_add(length, Ordering::Relaxed);
    }
    let now = *weather.borrow();
    // An end in good order would say that everything came.
    now.still(born)?;
    if now.fault == Fault::HalfOpen {
        std::future::pending::<()>().await;
    }
    writer.shutdown().await
}

/// When a piece that was read now arrives, not before the one ahead of it; never on a dead line.
fn arrival(
    weather: Weather,
    length: usize,
    ahead: Instant,
    random: &mut StdRng,
) -> Option<Instant> {
    let now = Instant::now();
    match weather.fault {
        Fault::HalfOpen | Fault::Cut => None,
        Fault::None => Some(now.max(ahead)),
        Fault::Latency { delay, jitter } => Some((now + late(delay, jitter, random)).max(ahead)),
        Fault::Throttle { bytes_per_second } => {
            let micros = u64::try_from(length)
                .unwrap_or(u64::MAX)
                .saturating_mul(1_000_000)
                / bytes_per_second.max(1);
            Some(now.max(ahead) + Duration::from_micros(micros))
        }
    }
}

fn late(delay: Duration, jitter: Duration, random: &mut StdRng) -> Duration {
    let spread = u64::try_from(jitter.as_micros()).unwrap_or(u64::MAX / 4);
    let drift = Duration::from_micros(random.random_range(0..=spread.saturating_mul(2)));
    (delay + drift).saturating_sub(jitter)
}
