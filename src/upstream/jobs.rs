//! Several makes at once that together keep a number of processors busy, and no more.
//!
//! Every make is one job. What is left, because fewer makes run than there may be jobs, they get as the
//! tokens of one GNU make jobserver: a make that runs alone compiles with all of them. A make that is
//! ended may take its tokens with it; then those that follow have fewer, and none ever waits for them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::thread;

use jobserver::Client;

use crate::error::{Error, Result};

/// Works through items, as many at a time as there are jobs, and returns the results in the items' order.
///
/// # Errors
/// When the jobserver cannot be made, or a worker dies.
pub(crate) fn for_each<T: Send, R: Send>(
    jobs: usize,
    items: Vec<T>,
    work: impl Fn(T, &Client) -> R + Sync,
) -> Result<Vec<R>> {
    let workers = jobs.clamp(1, items.len().max(1));
    let spare = Client::new(jobs.saturating_sub(workers))
        .map_err(|error| Error::internal(format!("cannot make a jobserver: {error}")))?;
    let queue: Mutex<VecDeque<(usize, T)>> = Mutex::new(items.into_iter().enumerate().collect());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let worker = || {
        let mut done = Vec::new();
        while let Some((index, item)) = next() {
            done.push((index, work(item, &spare)));
        }
        // Nothing is left for this worker: its job goes to the others.
        let _ = spare.release_raw();
        done
    };
    let mut results = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        let mut results = Vec::new();
        for thread in threads {
            let done = thread.join().map_err(|_| Error::internal("a worker ended unexpectedly"))?;
            results.extend(done);
        }
        Ok::<_, Error>(results)
    })?;
    results.sort_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_more_run_than_there_are_jobs_and_all_are_done_in_order() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let results = for_each(3, (0..20).collect(), |number: usize, _| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(5));
            now.fetch_sub(1, Ordering::SeqCst);
            number * 2
        });
        assert_eq!(results.unwrap(), (0..20).map(|number| number * 2).collect::<Vec<_>>());
        assert_eq!(most.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn idle_jobs_are_tokens_for_those_that_run() {
        let tokens = for_each(4, vec![()], |(), spare| spare.available().unwrap());
        assert_eq!(tokens.unwrap(), [3]);
        let none: Vec<()> = for_each(4, Vec::<()>::new(), |(), _| ()).unwrap();
        assert!(none.is_empty());
    }
}
