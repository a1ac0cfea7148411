//! Writes signed pushes to a file, so that making them costs a measurement nothing: each as its
//! length in a line of its own, then its bytes. Beside it the certificate, in PEM.
//!
//! `presigned COUNT BITS MESSAGE_BYTES TOPICS CERTIFICATE_URL FILE [forged]`; forged ones are
//! signed with another key.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};

use anyhow::Context as _;
use mns_endpoint::clock::{Clock as _, SystemClock};
use mns_endpoint::emulator::{Push, Signer, new_message_id, new_request_id};
use mns_endpoint::mns::{ContentFormat, ContentMd5, Notification};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [
        count,
        bits,
        message_bytes,
        topics,
        certificate_url,
        file,
        forged @ ..,
    ] = arguments.as_slice()
    else {
        anyhow::bail!(
            "usage: presigned COUNT BITS MESSAGE_BYTES TOPICS CERTIFICATE_URL FILE [forged]"
        );
    };
    let topics: u64 = topics.parse()?;
    let genuine = Signer::generate(bits.parse()?)?;
    std::fs::write(format!("{file}.pem"), genuine.certificate_pem())
        .context("cannot write the certificate")?;
    let signer = if forged.is_empty() {
        genuine
    } else {
        Signer::generate(bits.parse()?)?
    };
    let message = vec![b'm'; message_bytes.parse()?];
    let mut out = BufWriter::new(File::create(file)?);
    for number in 0..count.parse::<u64>()? {
        let topic = format!(
            "MySampleTopic-{}",
            number
                .checked_rem(topics)
                .context("there must be a topic")?
        );
        let push = signed(&signer, &message, &topic, certificate_url)?;
        writeln!(out, "{}", push.len())?;
        out.write_all(&push)?;
    }
    out.flush()?;
    Ok(())
}

/// An XML push: MNS's default format.
fn signed(
    signer: &Signer,
    message: &[u8],
    topic: &str,
    certificate_url: &str,
) -> anyhow::Result<Vec<u8>> {
    let now = SystemClock.now();
    let publish_time = now
        .duration_since(std::time::SystemTime::UNIX_EPOCH)?
        .as_millis()
        .to_string();
    let (message_id, text) = (new_message_id(), |text: &'static str| {
        Cow::Borrowed(text.as_bytes())
    });
    let notification = Notification {
        format: ContentFormat::Xml,
        message_md5: ContentMd5::of(message).upper_hex().into_bytes().into(),
        topic_owner: text("1269128356620446"),
        publish_time: publish_time.into_bytes().into(),
        subscriber: text("1269128356620446"),
        message_tag: text(""),
        subscription_name: text("MySampleTopic-Sub"),
        message_id: message_id.as_bytes().into(),
        message: message.into(),
        topic_name: topic.as_bytes().into(),
    };
    let push = Push {
        notification: &notification,
        target: "/notifications",
        host: "127.0.0.1",
        certificate_url,
        date: now,
        request_id: &new_request_id(now),
        notation: Push::usual_notation(ContentFormat::Xml),
    };
    Ok(push.signed(signer)?.to_wire())
}
