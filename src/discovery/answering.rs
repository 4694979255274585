//! Questions from other runtimes, answered by one task.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

/// Answers questions, as many at once as come, until nobody can ask any more and all that were asked
/// are answered.
pub async fn answer_all<Q, F: Future<Output = ()>>(
    mut queue: mpsc::UnboundedReceiver<Q>,
    answer: impl Fn(Q) -> F,
) {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            question = queue.recv() => match question {
                Some(question) => under_way.push(answer(question)),
                None => break,
            },
            Some(()) = under_way.next() => {}
        }
    }
    while under_way.next().await.is_some() {}
}
