//! A server on loopback that answers as a test scripts it.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What a request asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    /// Where the range that was asked for begins.
    pub range: Option<usize>,
    pub if_range: Option<String>,
}

/// One answer.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A whole file, whatever range was asked for.
    Whole(Vec<u8>),
    /// A file as a good server serves it: by range, if the tag is still the file's.
    Served { body: Vec<u8>, tag: &'static str },
    /// As `Served`, but the connection breaks after so many bytes.
    Broken { body: Vec<u8>, tag: &'static str, after: usize },
    /// As `Broken`, but the server falls silent instead.
    Silent { body: Vec<u8>, tag: &'static str, after: usize },
    /// The rest of a file from the range asked for, without a word on which version it is.
    Rest(Vec<u8>),
    /// Only a status.
    Status(u16),
    /// A redirect to a path.
    Redirect(String),
    /// No answer at all.
    Hang,
}

/// Replies by path; a test may change them while the server runs.
pub type Routes = Arc<Mutex<HashMap<String, VecDeque<Reply>>>>;

pub struct Server {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers the first request with the first reply, and so on; the last one again and again.
    pub fn start(replies: Vec<Reply>) -> Server {
        let replies = Mutex::new(VecDeque::from(replies));
        Self::with(move |_| take(&mut replies.lock().unwrap()))
    }

    /// Answers each path with its own replies, likewise; others with 404.
    pub fn routes(routes: Routes) -> Server {
        Self::with(move |asked| {
            let mut routes = routes.lock().unwrap();
            routes.get_mut(&asked.path).map_or(Reply::Status(404), take)
        })
    }

    fn with(choose: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (log, end) = (Arc::clone(&asked), Arc::clone(&stop));
        let choose: Arc<dyn Fn(&Asked) -> Reply + Send + Sync> = Arc::new(choose);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::Relaxed) {
                    break;
                }
                let (log, end) = (Arc::clone(&log), Arc::clone(&end));
                let choose = Arc::clone(&choose);
                thread::spawn(move || answer(stream.unwrap(), &*choose, &log, &end));
            }
        });
        Server { address, asked, stop, thread: Some(thread) }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The first reply; the last one stays.
fn take(replies: &mut VecDeque<Reply>) -> Reply {
    if replies.len() > 1 { replies.pop_front().unwrap() } else { replies[0].clone() }
}

fn answer(
    stream: TcpStream,
    choose: &dyn Fn(&Asked) -> Reply,
    log: &Mutex<Vec<Asked>>,
    end: &AtomicBool,
) {
    let Some(asked) = read_request(&stream) else { return };
    log.lock().unwrap().push(asked.clone());
    let reply = choose(&asked);
    let out = &stream;
    let sent = match reply {
        Reply::Whole(body) => send(out, "200 OK", "", &body, body.len()),
        Reply::Served { body, tag } => serve(out, &asked, &body, tag, usize::MAX),
        Reply::Broken { body, tag, after } => serve(out, &asked, &body, tag, after),
        Reply::Silent { body, tag, after } => {
            serve(out, &asked, &body, tag, after).map(|()| hang(end))
        }
        Reply::Rest(body) => {
            let start = asked.range.unwrap_or(0);
            let range =
                format!("Content-Range: bytes {start}-{}/{}\r\n", body.len() - 1, body.len());
            send(out, "206 Partial Content", &range, &body[start..], body.len() - start)
        }
        Reply::Status(code) => send(out, &format!("{code} Scripted"), "", b"", 0),
        Reply::Redirect(to) => send(out, "302 Found", &format!("Location: {to}\r\n"), b"", 0),
        Reply::Hang => {
            hang(end);
            Ok(())
        }
    };
    // Clients that give up are part of the tests.
    let _ = sent;
}

fn hang(end: &AtomicBool) {
    while !end.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(10));
    }
}

fn read_request(stream: &TcpStream) -> Option<Asked> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let mut asked = Asked { path, range: None, if_range: None };
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let start = value.strip_prefix("bytes=").and_then(|it| it.strip_suffix('-'));
                asked.range = start.and_then(|start| start.parse().ok());
            }
            "if-range" => asked.if_range = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(asked)
}

fn serve(
    out: &TcpStream,
    asked: &Asked,
    body: &[u8],
    tag: &str,
    most: usize,
) -> std::io::Result<()> {
    let same = asked.if_range.as_ref().is_none_or(|wanted| wanted == tag);
    let tag = format!("ETag: {tag}\r\n");
    match asked.range.filter(|_| same) {
        Some(start) if start >= body.len() => {
            let range = format!("{tag}Content-Range: bytes */{}\r\n", body.len());
            send(out, "416 Range Not Satisfiable", &range, b"", 0)
        }
        Some(start) => {
            let range =
                format!("{tag}Content-Range: bytes {start}-{}/{}\r\n", body.len() - 1, body.len());
            let rest = &body[start..];
            send(out, "206 Partial Content", &range, &rest[..rest.len().min(most)], rest.len())
        }
        None => send(out, "200 OK", &tag, &body[..body.len().min(most)], body.len()),
    }
}

fn send(
    mut out: &TcpStream,
    status: &str,
    headers: &str,
    body: &[u8],
    length: usize,
) -> std::io::Result<()> {
    write!(
        out,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
    )?;
    out.write_all(body)?;
    out.flush()
}

// Each test program uses some of these.
const _: fn(Routes) -> Server = Server::routes;
const _: fn(Vec<Reply>) -> Server = Server::start;
const _: fn() -> [Reply; 6] = || {
    let (body, tag, after) = (Vec::new(), "", 0);
    [
        Reply::Whole(body.clone()),
        Reply::Broken { body: body.clone(), tag, after },
        Reply::Silent { body: body.clone(), tag, after },
        Reply::Rest(body),
        Reply::Redirect(String::new()),
        Reply::Hang,
    ]
};
