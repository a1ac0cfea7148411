//! A socket that gives up on a slow peer, and that closes in a way that lets the peer read the
//! answer.
//!
//! Reading: an idle connection may be silent for `idle_timeout`, and a head that has begun must be
//! complete within `head_timeout`. While a request is answered, the request's own deadlines apply.
//! Writing: the peer must read an answer within a time limit, which is shorter once the connection
//! has to end. Closing: the sending side is shut down, and what still arrives is discarded for up
//! to a second. A close with unread bytes would reset the connection and could discard the answer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::net::Limits;
use crate::net::activity::Phase;
use crate::net::limits::{
    FIRST_REQUEST_GRACE, LINGER_BYTES_MAX, LINGER_TIMEOUT, PROGRESS_GRACE, WRITE_TIMEOUT,
};
use crate::net::tracker::Tracker;

/// A stream with deadlines.
pub(super) struct TimedStream<S> {
    stream: S,
    tracker: Tracker,
    head_timeout: Duration,
    idle_timeout: Duration,
    reading: Pin<Box<Sleep>>,
    untaken: Option<Untaken>,
    closing: Option<Closing>,
}

/// An answer that the peer has not read.
struct Untaken {
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

struct Closing {
    deadline: Pin<Box<Sleep>>,
    /// Our sending side is shut down.
    is_said: bool,
    swallowed: usize,
}

impl<S> TimedStream<S> {
    pub(super) fn new(stream: S, tracker: Tracker, limits: &Limits) -> Self {
        Self {
            stream,
            tracker,
            head_timeout: limits.head_timeout,
            idle_timeout: limits.idle_timeout,
            // Has fired already: the first wait resets it to the deadline of its phase.
            reading: Box::pin(sleep_until(Instant::now())),
            untaken: None,
            closing: None,
        }
    }

    /// Ready once the peer has been silent for too long in this phase.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let allowed = match self.tracker.activity.phase() {
            // A new connection still has a short time for its first request during a stop.
            Phase::Opening | Phase::Idle if self.tracker.activity.close.is_cancelled() => {
                self.idle_timeout.min(FIRST_REQUEST_GRACE)
            }
            Phase::Opening | Phase::Idle => self.idle_timeout,
            // The bytes after the last request may be the start of a head.
            Phase::Behind => self.idle_timeout.min(self.head_timeout),
            Phase::Head => self.head_timeout,
            Phase::Body
            | Phase::Whole
            | Phase::Commit
            | Phase::Stream
            | Phase::Answer
            | Phase::Closing => return Poll::Pending,
        };
        let deadline = self.tracker.activity.deadline(allowed);
        // Each request postpones the deadline, and hardly any deadline is reached. So the timer is
        // reset only if it would fire too late or has fired too early.
        while self.reading.deadline() > deadline || self.reading.as_mut().poll(cx).is_ready() {
            if self.reading.deadline() == deadline {
                return Poll::Ready(());
            }
            self.reading.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    /// Ready once the peer has left an answer unread for too long. A connection that has to end
    /// waits for less time: otherwise one peer could prolong each stop.
    fn poll_untaken(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let allowed = if self.tracker.activity.close.is_cancelled() {
            PROGRESS_GRACE
        } else {
            WRITE_TIMEOUT
        };
        let untaken = self.untaken.get_or_insert_with(|| {
            let since = Instant::now();
            Untaken {
                since,
                timer: Box::pin(sleep_until(since)),
            }
        });
        let deadline = untaken.since.checked_add(allowed).unwrap_or(untaken.since);
        // The limit shrinks once the connection has to end.
        if untaken.timer.deadline() != deadline {
            untaken.timer.as_mut().reset(deadline);
        }
        untaken.timer.as_mut().poll(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        this.tracker.activity.note_buffer(buffer.capacity());
        match Pin::new(&mut this.stream).poll_read(cx, buffer) {
            Poll::Ready(result) => {
                this.tracker
                    .activity
                    .note_read(buffer.filled().get(before..).unwrap_or_default());
                Poll::Ready(result)
            }
            // The connection must end between two requests, so hyper gets the end of the stream.
            // Otherwise it would wait for the rest of what may be a head.
            Poll::Pending if this.tracker.activity.ends_while_idle() => Poll::Ready(Ok(())),
            Poll::Pending => {
                this.tracker.wait();
                ready!(this.poll_silence(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TimedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_write(cx, bytes) {
            Poll::Ready(result) => {
                // The kernel took bytes, so the peer reads: its time begins again with the next
                // full buffer.
                this.untaken = None;
                Poll::Ready(result)
            }
            Poll::Pending => {
                this.tracker.wait();
                ready!(this.poll_untaken(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // With TLS the answer may still be in the library's buffer.
        match Pin::new(&mut this.stream).poll_flush(cx) {
            Poll::Ready(result) => {
                this.untaken = None;
                this.tracker.activity.note_flushed();
                Poll::Ready(result)
            }
            Poll::Pending => {
                this.tracker.wait();
                ready!(this.poll_untaken(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let deadline = || {
            Instant::now()
                .checked_add(LINGER_TIMEOUT)
                .unwrap_or_else(Instant::now)
        };
        this.tracker.activity.note_closing();
        let closing = this.closing.get_or_insert_with(|| Closing {
            deadline: Box::pin(sleep_until(deadline())),
            is_said: false,
            swallowed: 0,
        });
        if !closing.is_said {
            match Pin::new(&mut this.stream).poll_shutdown(cx) {
                Poll::Ready(result) => result?,
                // TLS's close_notify waits for a peer that reads nothing, and the slot already
                // belongs to another connection.
                Poll::Pending if this.tracker.activity.gives_way() => return Poll::Ready(Ok(())),
                Poll::Pending => return closing.deadline.as_mut().poll(cx).map(Ok),
            }
            closing.is_said = true;
        }
        let mut scratch = [0; 4096];
        while closing.swallowed < LINGER_BYTES_MAX {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut this.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {
                    closing.swallowed = closing.swallowed.saturating_add(buffer.filled().len())
                }
                // The answer is sent, and how the peer ends the connection does not matter.
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
                // We are closing and nothing is in flight, so do not wait: the slot is needed.
                Poll::Pending if this.tracker.activity.close.is_cancelled() => {
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => {
                    this.tracker.wait();
                    ready!(closing.deadline.as_mut().poll(cx));
                    return Poll::Ready(Ok(()));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::AsyncWriteExt as _;
    use tokio::time::timeout;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::net::slots::Slots;

    /// Like a TLS stream: it accepts every write, and in flush and shutdown waits for the peer to
    /// read.
    struct Buffering;

    impl AsyncRead for Buffering {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Buffering {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    fn tracker() -> Tracker {
        let slots = Slots::new(1, 1, Arc::default());
        let slot = slots.take(None, CancellationToken::new()).unwrap();
        Tracker::of(&slot)
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_never_disconnected_too_early() {
        const ALLOWED: Duration = Duration::from_millis(300);
        // Phases begin anywhere between two ticks.
        for _ in 0..20 {
            tokio::time::advance(Duration::from_micros(1730)).await;
            let begun = Instant::now();
            let deadline = tracker().activity.deadline(ALLOWED);
            assert!(deadline >= begun + ALLOWED, "{:?}", deadline - begun);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flush_and_a_shutdown_end_although_the_peer_never_reads() {
        let mut stream = TimedStream::new(Buffering, tracker(), &Limits::of_connections(1));
        stream.write_all(&[0; 64]).await.unwrap();
        let begun = Instant::now();
        let flushed = timeout(WRITE_TIMEOUT * 2, stream.flush()).await.unwrap();
        assert_eq!(flushed.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), WRITE_TIMEOUT.as_secs());
        timeout(LINGER_TIMEOUT * 2, stream.shutdown())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            begun.elapsed().as_secs(),
            WRITE_TIMEOUT.as_secs() + LINGER_TIMEOUT.as_secs()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_leaves_answers_unread_is_disconnected_and_a_slow_one_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(16);
        let mut stream = TimedStream::new(ours, tracker(), &Limits::of_connections(1));
        let slow = async {
            for _ in 0..3 {
                // Each read is in time, and all of them together take longer than the limit.
                tokio::time::sleep(WRITE_TIMEOUT - Duration::from_secs(1)).await;
                tokio::io::AsyncReadExt::read_exact(&mut theirs, &mut [0; 16])
                    .await
                    .unwrap();
            }
        };
        let (written, ()) = tokio::join!(stream.write_all(&[0; 64]), slow);
        written.unwrap();
        let begun = Instant::now();
        let unread = stream.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(
            (unread.kind(), begun.elapsed().as_secs()),
            (io::ErrorKind::TimedOut, WRITE_TIMEOUT.as_secs())
        );
    }

    #[tokio::test(start_paused = true)]
    async fn once_the_connection_has_to_end_an_answer_may_be_unread_for_the_grace_only() {
        // Within the grace, which is then waited for, and after it.
        for (closed_after_ms, ends_after_ms) in [(300, 1000), (3000, 3000)] {
            let (ours, _theirs) = tokio::io::duplex(16);
            let tracker = tracker();
            let mut stream = TimedStream::new(ours, tracker.clone(), &Limits::of_connections(1));
            let begun = Instant::now();
            let closed = async {
                tokio::time::sleep(Duration::from_millis(closed_after_ms)).await;
                tracker.activity.close.cancel();
            };
            let mut written = std::pin::pin!(stream.write_all(&[0; 64]));
            tokio::select! {
                _ = written.as_mut() => panic!("nobody has asked for the end"),
                () = closed => {}
            }
            assert_eq!(written.await.unwrap_err().kind(), io::ErrorKind::TimedOut);
            // Timers have a resolution of 1 ms.
            let took = begun.elapsed().as_millis();
            assert!(took.abs_diff(ends_after_ms) <= 1, "{took} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_gives_way_does_not_wait_for_the_shutdown() {
        let tracker = tracker();
        let mut stream = TimedStream::new(Buffering, tracker.clone(), &Limits::of_connections(1));
        tracker.activity.give_way();
        let begun = Instant::now();
        stream.shutdown().await.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
