//! What several targets check.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request};
use mns_endpoint::mns::{ContentFormat, Notification, header};

/// An envelope that is read comes out the same when it is written and read again, and the signed
/// headers decide whether a body is an envelope or a message.
pub fn check_envelope(body: &[u8]) {
    let request = Request::new(Bytes::copy_from_slice(body));
    let with_id = |id: &[u8]| {
        let id = HeaderValue::from_bytes(id).ok()?;
        let mut request = Request::new(Bytes::copy_from_slice(body));
        request.headers_mut().insert(header::MESSAGE_ID, id);
        Some(request)
    };
    let stranger = with_id(b"of another").unwrap();
    let foreign = Notification::decode(&stranger).unwrap();
    let Ok(notification) = Notification::decode(&request) else {
        assert_eq!(foreign.format, ContentFormat::Simplified);
        assert_eq!(foreign.message, body);
        return;
    };
    assert_ne!(notification.format, ContentFormat::Simplified);
    let again = Request::new(Bytes::from(notification.encode()));
    assert_eq!(Notification::decode(&again).as_ref(), Ok(&notification));
    let _ = notification.message_md5_holds();
    if notification.message_id != &b"of another"[..] {
        assert_eq!(foreign.format, ContentFormat::Simplified);
        assert_eq!(foreign.message, body);
    }
    if let Some(mut own) = with_id(&notification.message_id) {
        // A publisher who guessed the id of his message speaks for nobody.
        assert_eq!(
            Notification::decode(&own).unwrap().format,
            ContentFormat::Simplified
        );
        own.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/xml;charset=utf-8"),
        );
        assert_eq!(Notification::decode(&own).as_ref(), Ok(&notification));
    }
}
