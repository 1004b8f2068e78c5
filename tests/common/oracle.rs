//! The component manager's code, and other Python, as an oracle; and made-up questions for it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Numbers that are the same in every run.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }

    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len())]
    }

    pub fn some<T: Clone>(&mut self, of: &[T], most: usize) -> Vec<T> {
        let mut chosen: Vec<T> = Vec::new();
        for _ in 0..self.roll(most + 1) {
            chosen.push(self.one(of).clone());
        }
        chosen
    }
}

/// Runs a script of the oracle on a JSON value and reads what it prints.
pub fn ask(python: &Path, script: &str, question: &Value) -> Value {
    let mut child = Command::new(python)
        .args(["-W", "ignore", "-c", script])
        .env("IDF_TARGET", "esp32s3")
        // The manager would write into the user's home directory.
        .env("IDF_COMPONENT_CACHE_PATH", concat!(env!("CARGO_TARGET_TMPDIR"), "/component-manager"))
        .env("IDF_VERSION", "5.5.1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = question.to_string();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

// Each test program uses some of these.
const _: fn(&Path, &str, &Value) -> Value = ask;
const _: fn(&mut Dice, usize) -> usize = Dice::roll;
const _: fn(&mut Dice, &[u8], usize) -> Vec<u8> = Dice::some;
