//! The byte stream between host and target.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How many received bytes are held for a slow reader before the target is made to wait.
const HELD: usize = 16 << 20;

/// A byte stream to a target: an emulated UART, a serial port, a socket.
pub trait Transport {
    /// Receives what has arrived, waiting no longer than `wait` for the first byte.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] when nothing arrived. `Ok(0)` means that the stream has ended.
    fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize>;

    /// Sends all bytes, or hands them over to be sent.
    ///
    /// # Errors
    /// When the stream has ended or failed.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Whether a target that does not read makes the sender wait. Where it does not (a UART
    /// without handshake), long sends are cut into pieces with pauses between them.
    fn has_flow_control(&self) -> bool {
        false
    }
}

/// A [`Transport`] over two blocking pipes, for example those of a child process.
///
/// One thread empties the incoming pipe as bytes arrive, because some emulated UARTs drop what the
/// host does not take at once; another writes, so that a target that does not read blocks nobody.
#[derive(Debug)]
pub struct Pipes {
    incoming: Arc<Incoming>,
    outgoing: mpsc::Sender<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Incoming {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: VecDeque<u8>,
    ended: bool,
}

impl Pipes {
    /// A transport that reads from one pipe and writes to the other.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(from: impl Read + Send + 'static, to: impl Write + Send + 'static) -> Result<Pipes> {
        let incoming = Arc::new(Incoming::default());
        let (outgoing, queue) = mpsc::channel();
        let shared = Arc::clone(&incoming);
        thread::Builder::new()
            .spawn(move || shared.fill(from))
            .and_then(|_| thread::Builder::new().spawn(move || drain(&queue, to)))
            .map_err(|error| Error::internal(format!("cannot start a thread: {error}")))?;
        Ok(Pipes { incoming, outgoing })
    }
}

impl Transport for Pipes {
    fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
        let until = Instant::now() + wait;
        let mut state = self.incoming.lock();
        loop {
            if !state.bytes.is_empty() {
                let count = state.bytes.read(buffer)?;
                self.incoming.changed.notify_all();
                return Ok(count);
            }
            if state.ended {
                return Ok(0);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            state = self
                .incoming
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.outgoing.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn has_flow_control(&self) -> bool {
        true
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        self.incoming.lock().ended = true;
        self.incoming.changed.notify_all();
    }
}

impl Incoming {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads until the pipe ends or nobody listens any more.
    fn fill(&self, mut from: impl Read) {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = match from.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => 0,
            };
            let mut state = self.lock();
            while state.bytes.len() >= HELD && !state.ended {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.bytes.extend(buffer.iter().take(count));
            state.ended |= count == 0;
            self.changed.notify_all();
            if state.ended {
                return;
            }
        }
    }
}

/// Writes what is queued until the queue or the pipe is closed.
fn drain(queue: &mpsc::Receiver<Vec<u8>>, mut to: impl Write) {
    while let Ok(bytes) = queue.recv() {
        if to.write_all(&bytes).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn bytes_arrive_in_order_then_the_end() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut pipes = Pipes::new(reader, io::sink()).unwrap();
        let mut buffer = [0; 4];
        let error = pipes.receive(&mut buffer, SOON).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        writer.write_all(b"abcdef").unwrap();
        drop(writer);
        let mut all = Vec::new();
        loop {
            let count = pipes.receive(&mut buffer, LONG).unwrap();
            if count == 0 {
                break;
            }
            all.extend_from_slice(&buffer[..count]);
        }
        assert_eq!(all, b"abcdef");
    }

    #[test]
    fn a_target_that_does_not_read_does_not_block_the_sender() {
        let (held, writer) = io::pipe().unwrap();
        let mut pipes = Pipes::new(io::empty(), writer).unwrap();
        // Far more than a pipe holds.
        pipes.send(&vec![b'x'; 4 << 20]).unwrap();
        drop(held);
    }

    #[test]
    fn a_slow_reader_makes_the_writer_wait_and_loses_nothing() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut pipes = Pipes::new(reader, io::sink()).unwrap();
        let sent = 2 * HELD + 12345;
        let sender = thread::spawn(move || writer.write_all(&vec![b'y'; sent]));
        let (mut buffer, mut received) = (vec![0; 1 << 20], 0);
        loop {
            match pipes.receive(&mut buffer, LONG).unwrap() {
                0 => break,
                count => received += count,
            }
        }
        sender.join().unwrap().unwrap();
        assert_eq!(received, sent);
    }
}
