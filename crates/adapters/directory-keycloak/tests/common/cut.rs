//! A way to the server on which answers get lost: the request arrives, the answer does not.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What happens to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The connection is closed in its place.
    Closed,
    /// Nothing comes.
    Silence,
}

struct Shared {
    server: SocketAddr,
    /// How the request begins whose answer is lost, once.
    armed: Mutex<Option<(String, Loss)>>,
    lost: AtomicUsize,
}

pub(crate) struct CutWay {
    shared: Arc<Shared>,
    pub(crate) url: String,
    _serving: JoinSet<()>,
}

impl CutWay {
    pub(crate) async fn to(server_url: &str) -> Self {
        let url = url::Url::parse(server_url).unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let shared = Arc::new(Shared {
            server: server.parse().unwrap(),
            armed: Mutex::default(),
            lost: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        let all = Arc::clone(&shared);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(connection(client, Arc::clone(&all)));
            }
        });
        Self {
            shared,
            url,
            _serving: serving,
        }
    }

    /// The next request that begins so will be carried out, and not be answered.
    pub(crate) fn lose(&self, request: &str, loss: Loss) {
        *self.shared.armed.lock().unwrap() = Some((request.to_owned(), loss));
    }

    /// Whether no such request has come yet.
    pub(crate) fn is_armed(&self) -> bool {
        self.shared.armed.lock().unwrap().is_some()
    }

    /// How many answers were lost.
    pub(crate) fn lost(&self) -> usize {
        self.shared.lost.load(Ordering::SeqCst)
    }
}

async fn connection(mut client: TcpStream, shared: Arc<Shared>) {
    let mut server = TcpStream::connect(shared.server).await.unwrap();
    let loss = Mutex::new(None);
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let asking = async {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
            if let Some(hit) = hit(&shared, &buffer[..n]) {
                *loss.lock().unwrap() = Some(hit);
            }
            if to_server.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
    };
    let answering = async {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
            let lost = *loss.lock().unwrap();
            match lost {
                Some(Loss::Closed) => {
                    shared.lost.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                Some(Loss::Silence) => {
                    shared.lost.fetch_add(1, Ordering::SeqCst);
                }
                None => {
                    if to_client.write_all(&buffer[..n]).await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    // Both sides are closed when either has had enough.
    futures::future::select(std::pin::pin!(asking), std::pin::pin!(answering)).await;
}

fn hit(shared: &Shared, request: &[u8]) -> Option<Loss> {
    let mut armed = shared.armed.lock().unwrap();
    let (begin, loss) = armed.clone()?;
    if !request.starts_with(begin.as_bytes()) {
        return None;
    }
    *armed = None;
    Some(loss)
}
