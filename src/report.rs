//! How a long job tells what it is doing. The library never prints: it calls a [`Report`],
//! and the command line decides whether that becomes a progress bar, a log line or nothing.

/// Receives the progress of a job.
pub trait Report: Sync {
    /// A step begins, for example "building mpy-cross".
    fn step(&self, message: &str);

    /// Something the user should know that is no error.
    fn warn(&self, message: &str);

    /// Something is transferred or worked through: `what`, and how many bytes in all when known.
    fn bytes(&self, what: &str, total: Option<u64>) -> Box<dyn Gauge>;
}

/// The progress of one transfer. Dropping it ends it.
pub trait Gauge: Send {
    /// Sets how many bytes are done.
    fn set(&self, bytes: u64);
}

/// A report that says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Report for Silent {
    fn step(&self, _message: &str) {}

    fn warn(&self, _message: &str) {}

    fn bytes(&self, _what: &str, _total: Option<u64>) -> Box<dyn Gauge> {
        Box::new(Silent)
    }
}

impl Gauge for Silent {
    fn set(&self, _bytes: u64) {}
}
