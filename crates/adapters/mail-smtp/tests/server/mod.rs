//! A small SMTP server (RFC 5321) for tests: threads and blocking sockets, answers by script.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::{ServerConnection, StreamOwned};

/// Where in the conversation an answer is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Greeting,
    MailFrom,
    RcptTo,
    Data,
    EndOfData,
}

/// What the server does instead of its usual answer.
#[derive(Debug, Clone)]
pub(crate) enum Instead {
    Say(&'static str),
    Late(&'static str, Duration),
    Hang,
    Close,
}

/// A message that was taken.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) data: Vec<u8>,
    pub(crate) encrypted: bool,
    pub(crate) signed_in: bool,
}

/// How the server is made.
#[derive(Clone, Default)]
pub(crate) struct Options {
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    /// TLS from the first byte; otherwise STARTTLS is offered where there is a certificate.
    pub(crate) implicit_tls: bool,
    pub(crate) password: Option<(&'static str, &'static str)>,
}

#[derive(Default)]
struct Shared {
    options: Options,
    script: Mutex<VecDeque<(Stage, Instead)>>,
    taken: Mutex<Vec<Taken>>,
    said: Mutex<Vec<String>>,
    connections: AtomicUsize,
    stopping: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

pub(crate) struct Server {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(options: Options) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            options,
            ..Shared::default()
        });
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || accept(&listener, &shared))
        };
        Self {
            port,
            shared,
            thread: Some(thread),
        }
    }

    /// The next time that the conversation comes to this stage, this happens.
    pub(crate) fn next(&self, stage: Stage, instead: Instead) {
        self.shared
            .script
            .lock()
            .unwrap()
            .push_back((stage, instead));
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.shared.taken.lock().unwrap().clone()
    }

    /// Every line that a client said before its data.
    pub(crate) fn said(&self) -> Vec<String> {
        self.shared.said.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// As a server does with those that are idle for too long.
    pub(crate) fn close_connections(&self) {
        for connection in self.shared.open.lock().unwrap().drain(..) {
            let _closed = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.close_connections();
        let _woken = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    for stream in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            break;
        }
        let stream = stream.unwrap();
        shared.connections.fetch_add(1, Ordering::SeqCst);
        shared
            .open
            .lock()
            .unwrap()
            .push(stream.try_clone().unwrap());
        let shared = Arc::clone(shared);
        threads.push(std::thread::spawn(move || {
            // A client that goes away ends the conversation: that is what some tests are about.
            let _ended =
                Conversation::new(&shared, stream).and_then(|mut conversation| conversation.run());
        }));
    }
    shared
        .open
        .lock()
        .unwrap()
        .drain(..)
        .for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

struct Conversation<'s> {
    shared: &'s Shared,
    wire: BufReader<Box<dyn Wire>>,
    /// To put TLS on.
    raw: TcpStream,
    encrypted: bool,
    signed_in: bool,
    from: String,
    to: Vec<String>,
}

impl<'s> Conversation<'s> {
    fn new(shared: &'s Shared, raw: TcpStream) -> std::io::Result<Self> {
        let mut conversation = Self {
            shared,
            wire: BufReader::new(Box::new(raw.try_clone()?)),
            raw,
            encrypted: false,
            signed_in: false,
            from: String::new(),
            to: Vec::new(),
        };
        if shared.options.implicit_tls {
            conversation.encrypt()?;
        }
        Ok(conversation)
    }

    fn encrypt(&mut self) -> std::io::Result<()> {
        let config = self.shared.options.tls.clone().unwrap();
        let tls = StreamOwned::new(
            ServerConnection::new(config).unwrap(),
            self.raw.try_clone()?,
        );
        self.wire = BufReader::new(Box::new(tls));
        self.encrypted = true;
        Ok(())
    }

    fn say(&mut self, line: &str) -> std::io::Result<()> {
        self.wire
            .get_mut()
            .write_all(format!("{line}\r\n").as_bytes())?;
        self.wire.get_mut().flush()
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.wire.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches("\r\n").to_owned())
    }

    /// The usual answer, or what the script has for this stage. True: it was the usual one.
    fn answer(&mut self, stage: Stage, usual: &str) -> std::io::Result<bool> {
        let scripted = {
            let mut script = self.shared.script.lock().unwrap();
            script
                .iter()
                .position(|(at, _)| *at == stage)
                .and_then(|index| script.remove(index))
        };
        match scripted {
            None => self.say(usual).map(|()| true),
            Some((_, Instead::Say(line))) => self.say(line).map(|()| false),
            Some((_, Instead::Late(line, after))) => {
                std::thread::sleep(after);
                self.say(line).map(|()| true)
            }
            Some((_, Instead::Close)) => {
                self.raw.shutdown(Shutdown::Both)?;
                Err(std::io::ErrorKind::UnexpectedEof.into())
            }
            Some((_, Instead::Hang)) => {
                while !self.shared.stopping.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(std::io::ErrorKind::TimedOut.into())
            }
        }
    }

    fn run(&mut self) -> std::io::Result<()> {
        if !self.answer(Stage::Greeting, "220 test.example ESMTP")? {
            return Ok(());
        }
        loop {
            let line = self.line()?;
            self.shared.said.lock().unwrap().push(line.clone());
            let command = line
                .split([' ', ':'])
                .next()
                .unwrap_or_default()
                .to_ascii_uppercase();
            match command.as_str() {
                "EHLO" => self.hello()?,
                "STARTTLS" => {
                    self.say("220 go ahead")?;
                    self.encrypt()?;
                }
                "AUTH" => self.sign_in(&line)?,
                "MAIL" => {
                    if self.answer(Stage::MailFrom, "250 ok")? {
                        (self.from, self.to) = (path(&line), Vec::new());
                    }
                }
                "RCPT" => {
                    if self.answer(Stage::RcptTo, "250 ok")? {
                        self.to.push(path(&line));
                    }
                }
                "DATA" => self.data()?,
                "NOOP" | "RSET" => self.say("250 ok")?,
                "QUIT" => return self.say("221 bye"),
                _ => self.say("502 what?")?,
            }
        }
    }

    fn hello(&mut self) -> std::io::Result<()> {
        let offers_tls = self.shared.options.tls.is_some() && !self.encrypted;
        let mut lines = vec!["test.example"];
        lines.extend(offers_tls.then_some("STARTTLS"));
        lines.extend(self.shared.options.password.map(|_| "AUTH PLAIN LOGIN"));
        let last = lines.len() - 1;
        for (n, line) in lines.into_iter().enumerate() {
            self.say(&format!("250{}{line}", if n == last { ' ' } else { '-' }))?;
        }
        Ok(())
    }

    fn sign_in(&mut self, line: &str) -> std::io::Result<()> {
        let given = line
            .rsplit(' ')
            .next()
            .and_then(|text| STANDARD.decode(text).ok())
            .unwrap_or_default();
        let expected = self
            .shared
            .options
            .password
            .map(|(user, password)| format!("\0{user}\0{password}"));
        self.signed_in = expected.is_some_and(|expected| expected.as_bytes() == given);
        self.say(if self.signed_in {
            "235 welcome"
        } else {
            "535 5.7.8 wrong"
        })
    }

    fn data(&mut self) -> std::io::Result<()> {
        if !self.answer(Stage::Data, "354 go on")? {
            return Ok(());
        }
        let mut data = Vec::new();
        loop {
            let line = self.line()?;
            if line == "." {
                break;
            }
            data.extend_from_slice(line.strip_prefix('.').unwrap_or(&line).as_bytes());
            data.extend_from_slice(b"\r\n");
        }
        let (encrypted, signed_in) = (self.encrypted, self.signed_in);
        let taken = Taken {
            from: self.from.clone(),
            to: self.to.clone(),
            data,
            encrypted,
            signed_in,
        };
        // Responsibility is taken with the answer, so the message is kept before it.
        let refused = self.shared.script.lock().unwrap().iter().any(|entry| {
            matches!(entry, (Stage::EndOfData, Instead::Say(line)) if !line.starts_with('2'))
        });
        if !refused {
            self.shared.taken.lock().unwrap().push(taken);
        }
        self.answer(Stage::EndOfData, "250 taken").map(drop)
    }
}

fn path(line: &str) -> String {
    let start = line.find('<').map_or(0, |at| at + 1);
    let end = line.find('>').unwrap_or(line.len());
    line[start..end].to_owned()
}
