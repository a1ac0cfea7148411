//! Forgeries that a stranger sends before a push, and whether the endpoint accepts them.

use std::sync::atomic::Ordering;
use std::time::Instant;

use tracing::warn;

use crate::emulator::attempt::Attempt;
use crate::emulator::chaos::Trouble;
use crate::emulator::delivery::Connection;
use crate::emulator::push::SignedPush;
use crate::emulator::signer::SignerError;

/// The message of a forgery.
pub const FORGED_MESSAGE: &str = "This message is forged.";

/// Makes one kind of forgery.
type Forge = fn(&Attempt) -> Result<SignedPush, SignerError>;
/// The kinds of forgery.
const FORGERIES: [(Trouble, Forge); 3] = [
    (Trouble::BadSignature, Attempt::with_bad_signature),
    (Trouble::BadMd5, Attempt::with_another_body),
    (Trouble::ForeignCert, Attempt::with_foreign_key),
];

impl Attempt {
    /// Sends the forgeries that chaos selects.
    pub(super) async fn send_forgeries(&self) -> Result<(), SignerError> {
        for (trouble, forged) in FORGERIES {
            if self.strikes(trouble) {
                self.send_forged(trouble, &forged(self)?).await;
            }
        }
        Ok(())
    }

    /// A stranger's message with a signature that differs in one bit.
    fn with_bad_signature(&self) -> Result<SignedPush, SignerError> {
        let mut push = self.push(
            &self.notification(FORGED_MESSAGE),
            &self.sender.keyring.current(),
        )?;
        // One wrong bit is enough.
        push.signature
            .iter_mut()
            .take(1)
            .for_each(|byte| *byte ^= 1);
        Ok(push)
    }

    /// The signed headers with a stranger's body.
    fn with_another_body(&self) -> Result<SignedPush, SignerError> {
        let mut push = self.push(&self.message(), &self.sender.keyring.current())?;
        push.body = self.notification(FORGED_MESSAGE).encode();
        Ok(push)
    }

    /// A stranger's message, signed with the stranger's key.
    fn with_foreign_key(&self) -> Result<SignedPush, SignerError> {
        self.push(
            &self.notification(FORGED_MESSAGE),
            self.sender.keyring.foreign(),
        )
    }

    /// Sends a forgery on a separate connection.
    async fn send_forged(&self, trouble: Trouble, forged: &SignedPush) {
        // A stranger does not have the pusher's connection.
        let mut connection = Connection::new(self.target.clone(), self.sender.tls.clone());
        let (begun, at) = (Instant::now(), self.sender.clock.now());
        let answer = connection.deliver(&forged.to_wire()).await;
        let forgeries = &self.sender.forgeries;
        let count = match &answer {
            Ok(answer) if answer.is_success() => {
                warn!(%trouble, status = answer.status, endpoint = %self.target, "The endpoint \
                    BELIEVED a forgery");
                &forgeries.believed
            }
            Ok(_) => &forgeries.refused,
            // Counted separately: without an answer the endpoint may have believed or refused it.
            Err(_) => &forgeries.unanswered,
        };
        count.fetch_add(1, Ordering::Relaxed);
        let answer = answer.map(|answer| answer.status);
        self.remember(at, Some(trouble), &answer, begun.elapsed());
    }
}
