//! Envoy's main thread: what concerns configurations happens there, one after the other.

use std::cell::Cell;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;

static CURRENT: Mutex<Weak<MainThread>> = Mutex::new(Weak::new());

thread_local! {
    static IS_MAIN: Cell<bool> = const { Cell::new(false) };
}

type Job = Box<dyn FnOnce() + Send>;

/// One for the process, for as long as there are configurations.
pub(crate) struct MainThread {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl MainThread {
    pub(crate) fn current() -> Arc<Self> {
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(main) = current.upgrade() {
            return main;
        }
        let (jobs, inbox) = channel::<Job>();
        let run = move || {
            IS_MAIN.set(true);
            inbox.into_iter().for_each(|job| job());
        };
        let thread = std::thread::Builder::new().name("envoy-main".to_owned()).spawn(run);
        let thread = Some(thread.expect("a thread can be started"));
        let main = Arc::new(Self { jobs: Some(jobs), thread });
        *current = Arc::downgrade(&main);
        main
    }

    /// Whether this is the main thread.
    pub(crate) fn is_here() -> bool {
        IS_MAIN.get()
    }

    /// Has it do this when all that was there before is done.
    pub(crate) fn post(&self, job: impl FnOnce() + Send + 'static) {
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(Box::new(job));
        }
    }

    /// The same, and waits for what comes of it.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, is_done) = channel();
        self.post(move || drop(done.send(job())));
        is_done.recv().expect("the main thread does what it is asked")
    }
}

impl Drop for MainThread {
    fn drop(&mut self) {
        self.jobs = None;
        // The last configuration may go on the main thread itself, which then ends by itself.
        if let Some(thread) = self.thread.take().filter(|_| !Self::is_here()) {
            let _ = thread.join();
        }
    }
}
