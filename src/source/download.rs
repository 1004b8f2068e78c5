//! Downloading one file over HTTP: resumed, retried, bounded, and interruptible at any moment.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_RANGE, LAST_MODIFIED, RANGE};
use ureq::http::{HeaderName, Response};
use ureq::{Agent, Body, Timeout};

use crate::error::{Error, Result, describe};
use crate::interrupt;
use crate::report::Report;

/// How often a waiting download looks at the interrupt flag.
const POLL: Duration = Duration::from_millis(50);

/// How patient a download is.
#[derive(Debug, Clone)]
pub struct Patience {
    /// How long finding the host and connecting to it may take, each. A host that cannot be
    /// reached is not tried again.
    pub connect: Duration,
    /// How long the server may be silent, before its answer and in it.
    pub stall: Duration,
    /// How many attempts in a row may fail without bringing the download any further.
    pub attempts: u32,
    /// The pause before the second attempt; doubled before each further one.
    pub pause: Duration,
    /// How many redirects are followed.
    pub redirects: u32,
    /// How large a file may be, in bytes.
    pub size: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(60),
            attempts: 5,
            pause: Duration::from_secs(1),
            redirects: 5,
            size: 2 << 30,
        }
    }
}

/// Downloads `url` into the file `part`. What an earlier run left there is continued if the server
/// still has the same file, and whatever arrives stays there for the next run.
///
/// Returns whether the file was put together from several answers.
///
/// # Errors
/// [`Error::source`] when the file cannot be had; others when it cannot be written, or the user
/// interrupts.
pub fn fetch(
    url: &str,
    part: &Path,
    what: &str,
    patience: &Patience,
    report: &dyn Report,
) -> Result<bool> {
    let found = find(url, part, what, patience, report)?;
    found.ok_or_else(|| {
        Error::source(format!("cannot download {url}: the server answered 404 Not Found"))
    })
}

/// As [`fetch`], but `None` when the server says that there is no such file.
///
/// # Errors
/// As [`fetch`].
pub fn find(
    url: &str,
    part: &Path,
    what: &str,
    patience: &Patience,
    report: &dyn Report,
) -> Result<Option<bool>> {
    let mut part = Part { path: part.to_owned(), url };
    let (mut failures, mut furthest, mut resumed) = (0, part.length(), false);
    loop {
        let have = part.resumable();
        let failure = match attempt(&mut part, have, what, patience, report)? {
            Outcome::Complete { continued } => return Ok(Some(resumed || continued)),
            Outcome::Missing => return Ok(None),
            Outcome::Failed(failure) => failure,
        };
        let length = part.length();
        resumed |= have > 0 && length > have;
        if length > furthest {
            (failures, furthest) = (0, length);
        }
        failures += 1;
        if !failure.passing || failures >= patience.attempts {
            let mut error = Error::source(format!("cannot download {url}: {}", failure.message));
            if failure.passing && length > 0 {
                error = error.hint(format!(
                    "run the same command again: it continues after the {length} bytes that arrived"
                ));
            }
            return Err(error);
        }
        let pause = patience.pause.saturating_mul(1 << (failures - 1).min(16));
        report.step(&format!("{}; trying again in {} s", failure.message, pause.as_secs()));
        sleep(pause)?;
    }
}

/// The file that is being downloaded, and beside it, in `….from`, where it comes from: the URL and
/// on a second line what tells the server's versions of it apart.
struct Part<'a> {
    path: PathBuf,
    url: &'a str,
}

impl Part<'_> {
    fn length(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |data| data.len())
    }

    fn from(&self) -> PathBuf {
        note(&self.path)
    }

    /// How many bytes can be continued from.
    fn resumable(&self) -> u64 {
        let text = fs::read_to_string(self.from()).unwrap_or_default();
        if text.lines().next() == Some(self.url) { self.length() } else { 0 }
    }

    fn validator(&self) -> Option<String> {
        let text = fs::read_to_string(self.from()).ok()?;
        text.lines().nth(1).map(str::to_owned)
    }

    fn restart(&self) -> Result<()> {
        remove(&self.path)
    }

    /// Opens the file to append at `offset`, after noting where it comes from.
    fn open(&self, offset: u64, validator: Option<&str>) -> Result<File> {
        let from = self.from();
        let fail = |error: io::Error| Error::io("write", &self.path, &error);
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&self.path)
            .map_err(fail)?;
        // In this order a kill in between leaves a short file, never a wrong note about a long one.
        file.set_len(offset).map_err(fail)?;
        if offset == 0 {
            fs::write(&from, format!("{}\n{}", self.url, validator.unwrap_or_default()))
                .map_err(|error| Error::io("write", &from, &error))?;
        }
        file.seek(SeekFrom::Start(offset)).map_err(fail)?;
        Ok(file)
    }
}

/// Where it is noted what a file is a part of.
fn note(part: &Path) -> PathBuf {
    let mut path = part.as_os_str().to_owned();
    path.push(".from");
    PathBuf::from(path)
}

/// Removes a downloaded file and the note beside it.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn remove(part: &Path) -> Result<()> {
    for path in [part.to_owned(), note(part)] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &path, &error));
            }
            _ => {}
        }
    }
    Ok(())
}

enum Outcome {
    Complete { continued: bool },
    Missing,
    Failed(Failure),
}

/// Why an attempt failed, and whether the next one may do better.
struct Failure {
    message: String,
    passing: bool,
}

impl Failure {
    fn passing(message: impl Into<String>) -> Self {
        Failure { message: message.into(), passing: true }
    }

    fn lasting(message: impl Into<String>) -> Self {
        Failure { message: message.into(), passing: false }
    }
}

/// What the thread that talks to the server tells.
enum Event {
    Head(Head),
    Data(Vec<u8>),
    End,
    Failed(Failure),
}

struct Head {
    status: u16,
    /// Bytes of this answer.
    length: Option<u64>,
    /// Where this answer begins in the file, and how long the file is (`Content-Range`).
    range: Option<(Option<u64>, Option<u64>)>,
    validator: Option<String>,
}

fn attempt(
    part: &mut Part<'_>,
    have: u64,
    what: &str,
    patience: &Patience,
    report: &dyn Report,
) -> Result<Outcome> {
    let events = request(part, have, patience);
    let head = match next(&events)? {
        Event::Head(head) => head,
        Event::Failed(failure) => return Ok(Outcome::Failed(failure)),
        Event::Data(_) | Event::End => return Err(Error::internal("an answer without a head")),
    };
    let offset = match head.status {
        200 => 0,
        206 if have > 0 && head.range.is_some_and(|(start, _)| start == Some(have)) => have,
        206 => {
            part.restart()?;
            return Ok(Outcome::Failed(Failure::passing("the server answered with another part")));
        }
        416 if have > 0 => {
            if head.range.is_some_and(|(_, total)| total == Some(have)) {
                return Ok(Outcome::Complete { continued: true });
            }
            part.restart()?;
            return Ok(Outcome::Failed(Failure::passing("the server has another file by now")));
        }
        404 | 410 => return Ok(Outcome::Missing),
        status => return Ok(Outcome::Failed(refusal(status))),
    };
    let total = head.length.map(|length| length.saturating_add(offset));
    if let Some(total) = total.filter(|total| *total > patience.size) {
        return Ok(Outcome::Failed(too_large(total, patience)));
    }
    let mut file = part.open(offset, head.validator.as_deref())?;
    let gauge = report.bytes(&format!("downloading {what}"), total);
    let mut done = offset;
    gauge.set(done);
    loop {
        match next(&events)? {
            Event::Data(bytes) => {
                file.write_all(&bytes).map_err(|error| Error::io("write", &part.path, &error))?;
                done = done.saturating_add(bytes.len() as u64);
                gauge.set(done);
                if done > patience.size {
                    return Ok(Outcome::Failed(too_large(done, patience)));
                }
            }
            Event::End if total.is_some_and(|total| done != total) => {
                return Ok(Outcome::Failed(Failure::passing("the answer ended too early")));
            }
            Event::End => return Ok(Outcome::Complete { continued: offset > 0 }),
            Event::Failed(failure) => return Ok(Outcome::Failed(failure)),
            Event::Head(_) => return Err(Error::internal("an answer with two heads")),
        }
    }
}

fn too_large(bytes: u64, patience: &Patience) -> Failure {
    Failure::lasting(format!(
        "it has {bytes} bytes or more, expected at most {} for a source archive",
        patience.size
    ))
}

fn refusal(status: u16) -> Failure {
    let message = match ureq::http::StatusCode::from_u16(status).ok() {
        Some(code) => format!("the server answered {code}"),
        None => format!("the server answered {status}"),
    };
    Failure { message, passing: matches!(status, 408 | 425 | 429 | 500..=599) }
}

/// Waits for the next event, watching for an interrupt.
fn next(events: &Receiver<Event>) -> Result<Event> {
    loop {
        interrupt::check()?;
        match events.recv_timeout(POLL) {
            Ok(event) => return Ok(event),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::internal("the download ended without a word"));
            }
        }
    }
}

fn sleep(pause: Duration) -> Result<()> {
    let end = Instant::now() + pause;
    while Instant::now() < end {
        interrupt::check()?;
        thread::sleep(POLL.min(pause));
    }
    interrupt::check()
}

/// Asks for a file in a thread of its own: resolving, connecting and reading block, and an
/// interrupt must not wait for them. The thread ends by itself when nobody listens any more or the
/// server is silent for too long.
fn request(part: &Part<'_>, have: u64, patience: &Patience) -> Receiver<Event> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .https_only(part.url.starts_with("https://"))
        .max_redirects(patience.redirects)
        .max_redirects_will_error(true)
        .timeout_resolve(Some(patience.connect))
        .timeout_connect(Some(patience.connect))
        .timeout_send_request(Some(patience.stall))
        .timeout_recv_response(Some(patience.stall))
        .timeout_per_read(Some(patience.stall))
        .user_agent(concat!("micropython-builder/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut request = agent.get(part.url);
    if have > 0 {
        request = request.header(RANGE, format!("bytes={have}-"));
        if let Some(validator) = part.validator().filter(|validator| !validator.is_empty()) {
            request = request.header(IF_RANGE, validator);
        }
    }
    let (sender, receiver) = sync_channel(8);
    thread::spawn(move || {
        let failure = match request.call() {
            Ok(response) => match stream(response, &sender) {
                Ok(()) => return,
                Err(error) => failure(error.into()),
            },
            Err(error) => failure(error),
        };
        // Nobody listens after an interrupt.
        let _ = sender.send(Event::Failed(failure));
    });
    receiver
}

fn stream(response: Response<Body>, sender: &SyncSender<Event>) -> io::Result<()> {
    let header = |name: HeaderName| response.headers().get(name)?.to_str().ok().map(str::to_owned);
    // A weak tag may stand for files that differ in their bytes.
    let strong = header(ETAG).filter(|tag| !tag.starts_with("W/"));
    let head = Head {
        status: response.status().as_u16(),
        length: header(CONTENT_LENGTH).and_then(|text| text.parse().ok()),
        range: header(CONTENT_RANGE).map(|text| content_range(&text)),
        validator: strong.or_else(|| header(LAST_MODIFIED)),
    };
    if sender.send(Event::Head(head)).is_err() {
        return Ok(());
    }
    let mut body = response.into_body().into_reader();
    loop {
        let mut bytes = vec![0; 64 * 1024];
        match body.read(&mut bytes)? {
            0 => break,
            count => bytes.truncate(count),
        }
        if sender.send(Event::Data(bytes)).is_err() {
            return Ok(());
        }
    }
    let _ = sender.send(Event::End);
    Ok(())
}

/// Start and total of `bytes 100-199/200` or `bytes */200`.
fn content_range(text: &str) -> (Option<u64>, Option<u64>) {
    let Some((range, total)) = text.trim().strip_prefix("bytes ").and_then(|it| it.split_once('/'))
    else {
        return (None, None);
    };
    let start = range.split_once('-').and_then(|(start, _)| start.trim().parse().ok());
    (start, total.trim().parse().ok())
}

fn failure(error: ureq::Error) -> Failure {
    use io::ErrorKind as K;
    use ureq::Error as E;
    match error {
        // The system has repeated its own attempts to connect by then; more would only take longer.
        E::Timeout(Timeout::Resolve | Timeout::Connect) => unknown_host(),
        E::Timeout(_) => Failure::passing("the server did not answer in time"),
        E::TooManyRedirects => Failure::lasting("it redirects in circles"),
        E::HostNotFound => unknown_host(),
        E::Io(error) => match error.kind() {
            K::UnexpectedEof | K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe => {
                Failure::passing("the connection was cut off")
            }
            K::TimedOut | K::WouldBlock => Failure::passing("the server did not answer in time"),
            K::ConnectionRefused => Failure::lasting("the connection was refused"),
            K::HostUnreachable | K::NetworkUnreachable | K::NetworkDown => unknown_host(),
            // Name resolution has no kind of its own; these are the standard library's words.
            _ if error.to_string().starts_with("failed to lookup address") => unknown_host(),
            _ => match error.downcast::<ureq::Error>() {
                Ok(inner) => failure(inner),
                Err(error) => Failure::passing(describe(&error)),
            },
        },
        error @ (E::Protocol(_) | E::ConnectionFailed) => Failure::passing(error.to_string()),
        error => Failure::lasting(error.to_string()),
    }
}

fn unknown_host() -> Failure {
    Failure::lasting("its host cannot be found or reached; is there a network?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(content_range("bytes 100-199/200"), (Some(100), Some(200)));
        assert_eq!(content_range("bytes */200"), (None, Some(200)));
        assert_eq!(content_range("bytes 5-9/*"), (Some(5), None));
        assert_eq!(content_range("items 1-2/3"), (None, None));
    }
}
