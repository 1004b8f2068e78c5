//! A person at the friendly REPL of a target.

use std::time::{Duration, Instant};

use super::Console;
use super::decoder::{Decoder, Event, Lines};
use super::fault::Fault;
use super::raw::Repl;
use super::terminal::Keyboard;
use super::transport::Transport;
use crate::interrupt;

/// The key that ends a session: Ctrl-].
pub const ESCAPE: u8 = 0x1d;

/// How long keys wait at most before they are passed on.
const LATENCY: Duration = Duration::from_millis(10);

/// How long a target gets to answer when a directory is mounted anew.
const REMOUNT: Duration = Duration::from_secs(10);

/// What a target says when the interpreter starts anew, and the prompt that follows.
const SOFT_RESET: &[u8] = b"soft reboot\r\n";
const PROMPT: &[u8] = b">>> ";

/// Passes keys to the target and its output to the console until [`ESCAPE`] is typed, the keys end
/// or the target does. The target must be in its friendly REPL, or on the way there.
///
/// Where `mounted` is set, the shared directory is mounted anew after every soft reset.
///
/// # Errors
/// When the target fails or the user interrupts; [`Fault::Closed`] when the target ended.
pub fn interact<T: Transport>(
    repl: &mut Repl<T>,
    keyboard: &Keyboard,
    mounted: bool,
    console: &mut dyn Console,
) -> Result<(), Fault> {
    let mut decoder = Decoder::new(&repl.marker(), Lines::Verbatim, false);
    let mut watch = Watch::default();
    loop {
        interrupt::check()?;
        match keyboard.typed() {
            None => return Ok(()),
            Some(keys) if keys.is_empty() => {}
            Some(keys) => {
                let end = keys.iter().position(|key| *key == ESCAPE);
                repl.line.send(keys.get(..end.unwrap_or(keys.len())).unwrap_or_default())?;
                if end.is_some() {
                    return Ok(());
                }
            }
        }
        let mut text = Vec::new();
        for byte in repl.line.take_within(LATENCY)? {
            if let Some(Event::Message(message)) = decoder.push(byte, &mut text) {
                repl.hear(&message, &mut decoder.ends)?;
                decoder.ends = false;
            }
        }
        repl.line.tail.push(&text);
        console.output(&text)?;
        if mounted && watch.saw_reset(&text) {
            console.output(b"\r\nmounting again\r\n")?;
            repl.forget();
            let end = Instant::now() + REMOUNT;
            repl.set_deadline(Some(end));
            repl.call_raw(end)?;
            let outcome = repl.remount();
            repl.set_deadline(None);
            repl.leave_raw()?;
            outcome?;
        }
    }
}

/// Looks for a soft reset, and for the prompt after it, in text that comes in pieces.
#[derive(Debug, Default)]
struct Watch {
    last: Vec<u8>,
    reset: bool,
}

impl Watch {
    /// Whether the text completes a soft reset: the prompt is there again.
    fn saw_reset(&mut self, text: &[u8]) -> bool {
        for byte in text {
            self.last.push(*byte);
            if self.last.ends_with(SOFT_RESET) {
                self.reset = true;
                self.last.clear();
            } else if self.last.ends_with(PROMPT) {
                self.last.clear();
                if std::mem::take(&mut self.reset) {
                    return true;
                }
            } else if self.last.len() > 64 {
                self.last.drain(..32);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soft_reset_is_complete_with_its_prompt() {
        let mut watch = Watch::default();
        assert!(!watch.saw_reset(b">>> 1\r\n>>> "));
        assert!(!watch.saw_reset(b"MPY: soft reb"));
        assert!(!watch.saw_reset(b"oot\r\nMicroPython v1 on a board with a very long name indeed, longer than what is kept\r\n>>"));
        assert!(watch.saw_reset(b"> "));
        assert!(!watch.saw_reset(b">>> "));
    }
}
