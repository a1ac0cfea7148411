//! Waiting for an answer from another thread, which wakes each waiting thread with one system call.
//!
//! Waking a task on another thread takes a system call; waking one on the same thread takes none.
//! So whoever has several answers wakes one task on each thread, and hands it the answers for the
//! others.

use std::thread::{self, ThreadId};

use tokio::sync::oneshot;

/// The sending end.
#[derive(Debug)]
pub(crate) struct Waiting<A> {
    sender: oneshot::Sender<Handed<A>>,
    /// The thread on which the task waits. If the task has moved to another thread since, it is
    /// still woken.
    thread: ThreadId,
}

/// The receiving end, used by a task.
#[derive(Debug)]
pub(crate) struct Answered<A> {
    receiver: oneshot::Receiver<Handed<A>>,
}

/// An answer, and the answers for other tasks on the same thread.
#[derive(Debug)]
struct Handed<A> {
    answer: A,
    _others: Others<A>,
}

/// Answers that are sent when this value is dropped: by the task that was woken, or by whoever
/// answers if that task is gone.
#[derive(Debug)]
struct Others<A>(Vec<(oneshot::Sender<Handed<A>>, A)>);

impl<A> Waiting<A> {
    /// Makes both ends. The caller's thread counts as the one that waits.
    pub(crate) fn new() -> (Self, Answered<A>) {
        let (sender, receiver) = oneshot::channel();
        let thread = thread::current().id();
        (Self { sender, thread }, Answered { receiver })
    }

    /// Sends an answer, and none for others with it.
    pub(crate) fn answer(self, answer: A) {
        give(self.sender, answer, Others(Vec::new()));
    }

    /// Whether nobody waits any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

impl<A> Answered<A> {
    /// Waits for the answer. `None` if the other end was dropped. May be dropped and called again
    /// until it has returned.
    pub(crate) async fn answer(&mut self) -> Option<A> {
        (&mut self.receiver).await.ok().map(|handed| handed.answer)
    }

    /// Stops waiting: the other end is closed.
    pub(crate) fn close(&mut self) {
        self.receiver.close();
    }
}

/// Sends all answers, and wakes one task on each thread. All must be waiting for their answers now:
/// the task that is woken holds those for the others until it takes its own.
pub(crate) fn answer_all<A>(answers: impl Iterator<Item = (Waiting<A>, A)>) {
    let mut threads: Vec<(ThreadId, Others<A>)> = Vec::new();
    for (Waiting { sender, thread }, answer) in answers {
        // One entry for each thread that serves connections, so a search through all is short.
        match threads.iter_mut().find(|(known, _)| *known == thread) {
            Some((_, others)) => others.0.push((sender, answer)),
            None => threads.push((thread, Others(vec![(sender, answer)]))),
        }
    }
    for (_, mut others) in threads {
        // Wake any one of the tasks: the task that is woken sends the answers for the others.
        if let Some((sender, answer)) = others.0.pop() {
            give(sender, answer, others);
        }
    }
}

/// Sends a task its answer, together with the answers for the others. If the task is gone, `send`
/// returns both, and dropping them sends the answers for the others.
fn give<A>(sender: oneshot::Sender<Handed<A>>, answer: A, others: Others<A>) {
    let _others = others;
    drop(sender.send(Handed { answer, _others }));
}

impl<A> Drop for Others<A> {
    fn drop(&mut self) {
        for (sender, answer) in self.0.drain(..) {
            give(sender, answer, Self(Vec::new()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers `count` waiting tasks of this thread with their numbers, after those in `gone` have
    /// been dropped.
    fn answer(count: usize, gone: &[usize]) -> Vec<Answered<usize>> {
        let (waiting, answered): (Vec<_>, Vec<_>) = (0..count).map(|_| Waiting::new()).unzip();
        let mut answered: Vec<_> = answered.into_iter().map(Some).collect();
        for number in gone {
            answered[*number] = None;
        }
        answer_all(waiting.into_iter().zip(0..));
        answered.into_iter().flatten().collect()
    }

    #[tokio::test]
    async fn each_gets_its_own_answer_whoever_has_left() {
        for gone in [&[][..], &[0], &[4], &[0, 4], &[0, 1, 2, 3]] {
            let mut given = Vec::new();
            // The task that was woken takes its answer first: this releases the answers for the
            // others.
            let mut answered = answer(5, gone);
            let mut woken = answered.pop().unwrap();
            let last = woken.answer().await.unwrap();
            for mut other in answered {
                given.push(other.answer().await.unwrap());
            }
            given.push(last);
            let expected: Vec<usize> = (0..5).filter(|number| !gone.contains(number)).collect();
            assert_eq!(given, expected);
        }
    }

    #[tokio::test]
    async fn one_that_leaves_after_it_was_woken_hands_the_other_answers_on() {
        let mut answered = answer(3, &[]);
        drop(answered.pop());
        for (number, mut other) in answered.into_iter().enumerate() {
            assert_eq!(other.answer().await, Some(number));
        }
    }

    #[tokio::test]
    async fn threads_do_not_wait_for_each_other() {
        let there = thread::spawn(Waiting::new).join().unwrap();
        let here = Waiting::new();
        answer_all([(there.0, 1), (here.0, 2)].into_iter());
        // Keep what the first end receives: dropping it would send the answers for others that it
        // may carry. It must carry none, or the second end would wait for ever.
        let (there, mut here) = (there.1.receiver.await, here.1);
        let here = here.answer().await;
        assert_eq!((there.map(|handed| handed.answer), here), (Ok(1), Some(2)));
    }

    #[tokio::test]
    async fn without_a_writer_there_is_no_answer() {
        let (waiting, mut answered) = Waiting::<()>::new();
        drop(waiting);
        assert_eq!(answered.answer().await, None);
    }
}
