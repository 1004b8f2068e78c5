//! One board or several at once.

use std::thread;
use std::time::Instant;

use serde::Serialize;

use super::device::{Device, Found};
use super::firmware::Firmware;
use super::ports::Port;
use super::session::{ROM_BAUD, Session, Settings};
use super::write::{Done, Options, Plan};
use crate::error::{Error, Kind, Result};
use crate::report::{Gauge, Report};

/// How often a board is tried whose connection fails while it is written.
const ATTEMPTS: u32 = 3;

/// What is to be done to every board.
#[derive(Debug, Clone)]
pub struct Job {
    /// What is written.
    pub firmware: Firmware,
    /// What is done besides.
    pub options: Options,
    /// How the devices are spoken to.
    pub settings: Settings,
    /// Whether it is only shown what would be done.
    pub dry_run: bool,
}

/// How it went with one board.
#[derive(Debug, Clone, Serialize)]
pub struct Flashed {
    /// Its port.
    pub port: String,
    /// What was found out about it.
    #[serde(flatten)]
    pub found: Found,
    /// Whether nothing was written because nothing had to be.
    pub up_to_date: bool,
    /// Whether nothing was written because it was only to be shown.
    pub dry_run: bool,
    /// Whether all of the flash was erased, or would be.
    pub erased: bool,
    /// Whether the user's files were erased, or would be.
    pub filesystem_erased: bool,
    /// What was done, or would be.
    #[serde(flatten)]
    pub done: Done,
}

impl Job {
    /// Flashes the board on a port. A connection that fails on the way is tried again, slower.
    ///
    /// # Errors
    /// When the board cannot be reached, does not suit, or fails.
    pub fn run(&self, port: &Port, report: &dyn Report) -> Result<Flashed> {
        let begun = Instant::now();
        let mut settings = self.settings;
        let mut attempt = 1;
        let mut reached = port.clone();
        loop {
            let mut session = Session::open(&reached, &settings)?;
            reached = session.port().clone();
            let plan = Plan::new(self.firmware.clone(), &self.options, &mut session, report)
                .map_err(
                    |error| {
                        if attempt == 1 { error.hint("nothing was written") } else { error }
                    },
                )?;
            let needless = self.dry_run || plan.is_empty();
            let done = if needless { Ok(()) } else { plan.carry_out(&mut session, report) };
            match done {
                Ok(()) => return self.conclude(port, session, &plan, begun),
                Err(error)
                    if error.kind() == Kind::Device
                        && session.can_reset()
                        && attempt < ATTEMPTS =>
                {
                    report.warn(&format!("{error}; trying again, slower"));
                    settings.baud = ROM_BAUD;
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn conclude(
        &self,
        port: &Port,
        session: Session,
        plan: &Plan,
        begun: Instant,
    ) -> Result<Flashed> {
        let found = session.found().clone();
        session.leave()?;
        Ok(Flashed {
            port: port.path.clone(),
            found,
            up_to_date: plan.is_empty(),
            dry_run: self.dry_run,
            erased: plan.erase,
            filesystem_erased: plan.erase_filesystem.is_some(),
            done: Done::new(plan, begun),
        })
    }

    /// Flashes the boards on several ports at once; the results in the order of the ports.
    pub fn run_all(&self, ports: &[Port], report: &dyn Report) -> Vec<Result<Flashed>> {
        if let [port] = ports {
            return vec![self.run(port, report)];
        }
        thread::scope(|scope| {
            let begin = |port| scope.spawn(move || self.run(port, &Named { port, report }));
            let all: Vec<_> = ports.iter().map(begin).collect();
            all.into_iter()
                .map(|thread| {
                    thread.join().unwrap_or_else(|_| {
                        Err(Error::internal("the thread of this port ended early"))
                    })
                })
                .collect()
        })
    }
}

/// A report that says of which port it speaks.
struct Named<'a> {
    port: &'a Port,
    report: &'a dyn Report,
}

impl Report for Named<'_> {
    fn step(&self, message: &str) {
        self.report.step(&format!("{}: {message}", self.port.path));
    }

    fn warn(&self, message: &str) {
        self.report.warn(&format!("{}: {message}", self.port.path));
    }

    fn bytes(&self, what: &str, total: Option<u64>) -> Box<dyn Gauge> {
        self.report.bytes(&format!("{}: {what}", self.port.path), total)
    }
}
