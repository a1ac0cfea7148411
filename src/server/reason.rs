//! One row for each reason: its key, its hint, and the properties of the refusals that it names.
//!
//! `docs/errors.md` explains each key; a test checks that none is missing. To add a reason, add a
//! variant to [`Rejection`] or to an error that it wraps, a row here, and a row on that page.

#![expect(
    unnameable_types,
    reason = "the iterator that strum makes; nobody needs its name"
)]

use strum::IntoStaticStr;

use crate::forward::NotForwarded;
use crate::journal::JournalError;
use crate::mns::{Defect, InvalidNotification};
use crate::server::facts::{Facts, signed, signed_if_whole, unchecked, unsigned};
use crate::server::rejection::Rejection;
use crate::server::status::RefusalStatus::{
    Forbidden, Invalid, MethodNotAllowed, NotFound, TooLarge, TooSlow, Unavailable,
    UnsupportedMediaType,
};
use crate::trust::{FetchError, NotAdmitted, Untrusted};

/// Whether the same request would be refused again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Persistence {
    /// Yes: the request or the configuration causes it.
    Lasting,
    /// Not necessarily: the state of `serve` or of its surroundings causes it.
    Passing,
}

/// Generates [`Reason`] and [`Rejection::row`] from the rows below. A row without a pattern is a
/// remark on an accepted request. The patterns become the arms of one `match`, so they are tried in
/// order and the compiler reports a missing refusal.
macro_rules! reasons {
    ($(
        $(#[$docs:meta])*
        $reason:ident, $persistence:ident,
        $hint:expr
        $(, $variant:ident $(($inner:pat))? => $facts:expr)*;
    )*) => {
        /// The stable key of a refusal, or of a remark on an accepted request.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, strum::EnumCount, strum::EnumIter, IntoStaticStr,
        )]
        #[strum(serialize_all = "snake_case")]
        #[expect(
            missing_docs,
            reason = "docs/errors.md explains each; a test keeps it complete"
        )]
        pub enum Reason {
            $($(#[$docs])* $reason,)*
        }

        impl Reason {
            /// The likely cause and what to do about it.
            #[must_use]
            pub fn hint(self) -> &'static str {
                match self {
                    $(Self::$reason => $hint,)*
                }
            }

            fn persistence(self) -> Persistence {
                match self {
                    $(Self::$reason => Persistence::$persistence,)*
                }
            }
        }

        impl Rejection {
            fn row(&self) -> (Reason, Facts) {
                match self {
                    $($(Self::$variant $(($inner))? => (Reason::$reason, $facts),)*)*
                }
            }
        }
    };
}

const ODD_BODY: &str = "the signature matches, so MNS sent this body: append it unparsed with: \
    mns-endpoint logs recover --as-raw; and please report such a body, with its bytes";

reasons! {
    HeaderMissing, Lasting,
        "not a push of MNS, or a proxy removed the header",
        Untrusted(Untrusted::Defect(Defect::HeaderMissing(_))) => unchecked(Forbidden);
    HeaderDoubled, Lasting,
        "not a push of MNS, or a proxy added the header again",
        Untrusted(Untrusted::Defect(Defect::HeaderDoubled(_))) => unchecked(Forbidden);
    HeaderUndecodable, Lasting,
        "not a push of MNS, or a proxy rewrote the header",
        Untrusted(Untrusted::Defect(Defect::HeaderUndecodable(_))) => unchecked(Forbidden);
    DateAhead, Lasting,
        "check this machine's clock; a larger signing.max_clock_skew accepts such a Date",
        Untrusted(Untrusted::DateAhead(_)) => unchecked(Forbidden);
    DateTooOld, Lasting,
        "check this machine's clock. If it is right, the request is an old one sent again, or a \
         very late retry; a larger signing.max_age accepts both",
        Untrusted(Untrusted::DateTooOld(_)) => unchecked(Forbidden);
    ContentMd5Missing, Lasting,
        "if a proxy removed the header, let the header through, because the signature covers it. \
         If MNS sent none, signing.require_content_md5 = false accepts such pushes, but then \
         anyone who has a signed request can send it with another body",
        Untrusted(Untrusted::ContentMd5Missing) => unchecked(Forbidden);
    ContentMd5Mismatch, Lasting,
        "a proxy changed the body, or an old request was sent again with another one",
        Untrusted(Untrusted::ContentMd5Mismatch) => unchecked(Forbidden);
    CertificateAddressRefused, Lasting,
        "if the address is MNS's, add its prefix to signing.certificate_prefixes or its region to \
         signing.extra_regions; for pushes of the emulator or of mns-endpoint push, start \
         mns-endpoint serve with --trust",
        Untrusted(Untrusted::AddressNotAllowed(_)) => unchecked(Forbidden);
    CertificateOverBudget, Passing,
        "somebody makes up addresses of certificates; MNS retries a genuine push. If a proxy is in \
         front, name it in server.trusted_proxies; or put the certificate in place with: \
         mns-endpoint certificate add URL FILE",
        Untrusted(Untrusted::CertificateUnavailable(FetchError::OverBudget))
            => unchecked(Unavailable),
        Untrusted(Untrusted::RenewalFailed(FetchError::OverBudget)) => unsigned(Unavailable);
    CertificateUnavailable, Passing,
        "check the route to the address: signing.fetch_via, signing.proxy, DNS; or put the \
         certificate in place with: mns-endpoint certificate add URL FILE",
        Untrusted(Untrusted::CertificateUnavailable(_)) => unchecked(Unavailable),
        Untrusted(Untrusted::RenewalFailed(_)) => unsigned(Unavailable);
    KeyTooSmall, Lasting,
        "signing.min_key_bits requires a larger key than MNS uses",
        Untrusted(Untrusted::KeyTooSmall(_)) => signed(Forbidden);
    SignatureWrong, Lasting,
        "forged, or a proxy changed the path, the query, Content-Type or an x-mns header: see \
         mns-endpoint explain",
        Untrusted(Untrusted::SignatureWrong) => unsigned(Forbidden);
    OwnerNotAccepted, Lasting,
        "add the account to accept.topic_owners if its pushes are meant for you",
        NotAdmitted(NotAdmitted::Owner(_)) => signed(Forbidden);
    TopicNotAccepted, Lasting,
        "add the topic to accept.topics if its pushes are meant for you",
        NotAdmitted(NotAdmitted::Topic(_)) => signed(Forbidden);
    SourceNotAccepted, Lasting,
        "add the network to accept.sources if pushes come from there",
        NotAdmitted(NotAdmitted::Source(_)) => signed(Forbidden);
    BodyNotRecognised, Lasting,
        ODD_BODY,
        Invalid(InvalidNotification::NotRecognised) => signed(Invalid);
    BodyMalformed, Lasting,
        ODD_BODY,
        Invalid(InvalidNotification::Malformed(_)) => signed(Invalid);
    BodyNotUtf8, Lasting,
        ODD_BODY,
        Invalid(InvalidNotification::NotUtf8) => signed(Invalid);
    DocumentType, Lasting,
        ODD_BODY,
        Invalid(InvalidNotification::DocumentType) => signed(Invalid);
    ElementMissing, Lasting,
        ODD_BODY,
        Invalid(InvalidNotification::ElementMissing(_)) => signed(Invalid);
    ElementDoubled, Lasting,
        ODD_BODY,
        Invalid(InvalidNotification::ElementDoubled(_)) => signed(Invalid);
    JournalFull, Passing,
        "pushes arrive faster than the disk writes: MNS retries them",
        Journal(JournalError::Full) => signed_if_whole(Unavailable).for_want_of_room();
    JournalRefused, Passing,
        "the disk is full or failing: make room in logs.dir; MNS retries the push",
        Journal(JournalError::Refused) => signed(Unavailable).for_want_of_room();
    JournalFailed, Passing,
        "the disk failed a sync: see the diagnostic log, then restart",
        Journal(JournalError::Failed) => signed_if_whole(Unavailable).for_want_of_room();
    ForwardBacklogFull, Passing,
        "a destination has been unreachable for long: see the diagnostic log; MNS retries the push",
        NotForwarded(NotForwarded::BacklogFull)
            => signed_if_whole(Unavailable).for_want_of_room();
    ForwardUnavailable, Passing,
        "the destination that a 201 waits for does not answer: MNS retries the push",
        NotForwarded(NotForwarded::Unavailable)
            => signed_if_whole(Unavailable).for_want_of_room();
    ForwardLate, Passing,
        "the notification is on disk and will be forwarded, but the destination was too slow to \
         acknowledge it; MNS retries the push",
        NotForwarded(NotForwarded::Late) => signed(Unavailable);
    ForwardRefused, Passing,
        "the notification is on disk and is a dead letter: the destination cannot accept it",
        NotForwarded(NotForwarded::DeadLetter) => signed(Unavailable);
    TooManyInFlight, Passing,
        "more requests arrive than this machine can handle: MNS retries the push",
        TooManyInFlight => signed_if_whole(Unavailable).for_want_of_room();
    OutOfTime, Passing,
        "the certificate source or this machine is too slow: MNS retries the push",
        OutOfTime => unchecked(Unavailable);
    PathNotServed, Lasting,
        "the subscription's address has another path: add it to server.paths, or see \
         server.secret_path_file",
        PathNotServed => unchecked(NotFound);
    MethodNotAllowed, Lasting,
        "only POST is accepted here",
        MethodNotAllowed => unchecked(MethodNotAllowed);
    ContentEncoding, Lasting,
        "a proxy compressed the body, or it is not a push of MNS",
        ContentEncoding => unchecked(UnsupportedMediaType);
    BodyTooLarge, Lasting,
        "no push of MNS is that large; a larger server.max_body accepts such a body",
        BodyTooLarge => unchecked(TooLarge);
    BodyTooSlow, Passing,
        "the network or a proxy is too slow; a larger server.body_timeout, up to 3s, gives it more \
         time",
        BodyTooSlow => unchecked(TooSlow);
    BodyBroken, Passing,
        "the peer or a proxy ended the body early",
        BodyBroken => unchecked(Invalid);
    /// A remark on an accepted request.
    MessageMd5Mismatch, Lasting,
        "normal if the publisher set user properties: MessageMD5 is then not the MD5 of the \
         message; the body's own digest was signed";
    /// A remark on an accepted request.
    DateLate, Lasting,
        "a retry with its first Date, or this machine's clock is wrong";
}

impl Reason {
    /// The stable key.
    #[must_use]
    pub fn key(self) -> &'static str {
        self.into()
    }

    /// Whether the same request may be accepted later, because the state of `serve` or of its
    /// surroundings caused the refusal.
    #[must_use]
    pub fn is_passing(self) -> bool {
        self.persistence() == Persistence::Passing
    }
}

impl Rejection {
    /// The key under which the refusal is logged and counted.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let (reason, _) = self.row();
        reason
    }

    /// The properties of the refusal besides its reason.
    pub(super) fn facts(&self) -> Facts {
        let (_, facts) = self.row();
        facts
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.facts().status.code().as_u16()
    }
}
