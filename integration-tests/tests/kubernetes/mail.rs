//! A mail server (RFC 5321) that takes everything and keeps nothing, on this machine's loopback.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Below the ports that the system hands out by itself: only those are lent to pods.
const PORT: u16 = 19_095;

pub(crate) struct MailServer {
    pub(crate) address: SocketAddr,
    _server: JoinSet<()>,
}

impl MailServer {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", PORT)).await?;
        let address = listener.local_addr()?;
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut talking = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                // Whoever goes away ends the conversation.
                talking.spawn(async move { talk(stream).await.unwrap_or_default() });
            }
        });
        Ok(Self {
            address,
            _server: server,
        })
    }
}

async fn talk(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mail.test ESMTP\r\n").await?;
    let (mut line, mut in_message) = (String::new(), false);
    while stream.read_line(&mut line).await? > 0 {
        let command = line.trim().to_ascii_uppercase();
        let answer = match command.as_str() {
            "." if in_message => "250 taken\r\n",
            _ if in_message => "",
            "DATA" => "354 go on\r\n",
            "QUIT" => return stream.write_all(b"221 bye\r\n").await,
            _ => "250 ok\r\n",
        };
        in_message = command == "DATA" || (in_message && command != ".");
        stream.write_all(answer.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}
