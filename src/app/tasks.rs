//! Threads and long-lived tasks: the only place that starts any.

use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::mpsc;

use super::start_error::StartError;
use crate::transport::Job;

/// A thread with a runtime of its own that serves the connections dealt to it, until its
/// queue is closed.
pub(super) fn worker(
    name: &str,
) -> Result<(mpsc::UnboundedSender<Job>, JoinHandle<()>), StartError> {
    let runtime: Runtime =
        Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
    let (queue, mut jobs) = mpsc::unbounded_channel();
    let thread = spawn_thread(name, move || {
        runtime.block_on(async {
            while let Some(job) = jobs.recv().await {
                background(job);
            }
        });
    })?;
    Ok((queue, thread))
}

#[expect(clippy::disallowed_methods, reason = "the composition root owns tasks")]
pub(super) fn background<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(task)
}

/// The same on the runtime of another thread.
pub(super) fn background_on<T: Send + 'static>(
    runtime: &Handle,
    task: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    runtime.spawn(task)
}

pub(super) fn spawn_thread(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, StartError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map_err(StartError::Thread)
}
