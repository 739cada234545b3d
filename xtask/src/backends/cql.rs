//! Just enough of Cassandra's native protocol (version 4) to run one statement as one role.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

const LIMIT: Duration = Duration::from_secs(20);
const ERROR: u8 = 0x00;
const STARTUP: u8 = 0x01;
const READY: u8 = 0x02;
const AUTHENTICATE: u8 = 0x03;
const QUERY: u8 = 0x07;
const RESULT: u8 = 0x08;
const AUTH_RESPONSE: u8 = 0x0F;
const AUTH_SUCCESS: u8 = 0x10;
const LONGEST: u32 = 1 << 20;
const CONSISTENCY_ONE: u16 = 0x0001;

/// A connection that is signed in.
pub(crate) struct Connection {
    stream: TcpStream,
}

impl Connection {
    pub(crate) fn open(address: &str, user: &str, password: &str) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address.parse()?, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        let mut connection = Self { stream };
        let mut options = 1_u16.to_be_bytes().to_vec();
        put_string(&mut options, "CQL_VERSION")?;
        put_string(&mut options, "3.0.0")?;
        match connection.ask(STARTUP, &options)? {
            READY => Ok(connection),
            AUTHENTICATE => {
                let token = format!("\0{user}\0{password}");
                let mut body = u32::try_from(token.len())?.to_be_bytes().to_vec();
                body.extend_from_slice(token.as_bytes());
                match connection.ask(AUTH_RESPONSE, &body)? {
                    AUTH_SUCCESS => Ok(connection),
                    other => bail!("signing in was answered by {other:#x}"),
                }
            }
            other => bail!("the start was answered by {other:#x}"),
        }
    }

    pub(crate) fn run(&mut self, statement: &str) -> Result<()> {
        let mut body = u32::try_from(statement.len())?.to_be_bytes().to_vec();
        body.extend_from_slice(statement.as_bytes());
        body.extend_from_slice(&CONSISTENCY_ONE.to_be_bytes());
        body.push(0);
        match self.ask(QUERY, &body)? {
            RESULT => Ok(()),
            other => bail!("`{statement}` was answered by {other:#x}"),
        }
    }

    /// Sends one frame; gives what kind the answer is. An answer that is an error is one here.
    fn ask(&mut self, kind: u8, body: &[u8]) -> Result<u8> {
        let mut frame = vec![0x04, 0, 0, 0, kind];
        frame.extend_from_slice(&u32::try_from(body.len())?.to_be_bytes());
        frame.extend_from_slice(body);
        self.stream.write_all(&frame)?;
        let mut head = [0_u8; 9];
        self.stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        if length > LONGEST {
            bail!("an answer of {length} bytes");
        }
        let mut answer = vec![0; usize::try_from(length)?];
        self.stream.read_exact(&mut answer)?;
        if head[4] == ERROR {
            bail!(
                "{}",
                message(&answer).context("an error without a message")?
            );
        }
        Ok(head[4])
    }
}

fn put_string(body: &mut Vec<u8>, text: &str) -> Result<()> {
    body.extend_from_slice(&u16::try_from(text.len())?.to_be_bytes());
    body.extend_from_slice(text.as_bytes());
    Ok(())
}

/// An error is a code and a text.
fn message(answer: &[u8]) -> Option<String> {
    let length = usize::from(u16::from_be_bytes([*answer.get(4)?, *answer.get(5)?]));
    Some(String::from_utf8_lossy(answer.get(6..6 + length)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each frame with the next of `answers`; gives what came.
    fn peer(answers: Vec<(u8, Vec<u8>)>) -> (String, std::thread::JoinHandle<Vec<Vec<u8>>>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bodies = Vec::new();
            for (kind, body) in answers {
                let mut head = [0; 9];
                stream.read_exact(&mut head).unwrap();
                let length = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                let mut received = vec![0; length as usize];
                stream.read_exact(&mut received).unwrap();
                bodies.push(received);
                let mut frame = vec![0x84, 0, 0, 0, kind];
                frame.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
                frame.extend_from_slice(&body);
                stream.write_all(&frame).unwrap();
            }
            bodies
        });
        (address, thread)
    }

    #[test]
    fn it_signs_in_and_runs_a_statement() {
        let (address, peer) = peer(vec![
            (AUTHENTICATE, vec![]),
            (AUTH_SUCCESS, vec![]),
            (RESULT, vec![0, 0, 0, 1]),
        ]);
        let mut connection = Connection::open(&address, "ann", "secret").unwrap();
        connection.run("CREATE ROLE x").unwrap();
        let bodies = peer.join().unwrap();
        assert_eq!(&bodies[1][4..], b"\0ann\0secret");
        assert_eq!(&bodies[2][..17], b"\0\0\0\x0dCREATE ROLE x");
    }

    #[test]
    fn what_the_server_refuses_is_told_in_its_words() {
        let mut refusal = vec![0, 0, 1, 0, 0, 3];
        refusal.extend_from_slice(b"bad");
        let (address, peer) = peer(vec![(AUTHENTICATE, vec![]), (ERROR, refusal)]);
        let error = Connection::open(&address, "ann", "wrong").err().unwrap();
        assert_eq!(error.to_string(), "bad");
        peer.join().unwrap();
    }
}
