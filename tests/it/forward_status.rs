//! What `forward status` says of the files that are kept for a destination, and of the duplicate
//! window of its stream: from the files alone, beside a real `serve` and after it has ended.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::admin::{get, metric};
use crate::forward_failures::{as_user, config, rotating, users};
use crate::forward_serve::{STREAM, Setup, admin, cursor};
use crate::support::{Ended, Endpoint, eventually, run};

/// What `forward status` prints in a directory, as JSON and as text.
struct Status {
    json: Value,
    text: Ended,
}

impl Status {
    fn of(setup: &Setup, dir: &Path, port: u16) -> Self {
        let listen = format!("127.0.0.1:{port}");
        let mut arguments = vec!["forward", "status", "orders", "--log-dir", "logs"];
        arguments.extend(["--listen", &listen]);
        let is_needed = |key: &str| key.starts_with("forward.") || key.starts_with("logs.");
        let sets: Vec<String> = (setup.options.set.iter())
            .filter(|(key, _)| is_needed(key))
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        sets.iter().for_each(|set| arguments.extend(["--set", set]));
        let text = run(dir, &arguments);
        arguments.extend(["--output", "json"]);
        let json = run(dir, &arguments).stdout;
        Self {
            json: serde_json::from_str(&json).unwrap(),
            text,
        }
    }

    fn beside(setup: &Setup, endpoint: &Endpoint) -> Self {
        Self::of(setup, endpoint.path(), endpoint.address.port())
    }

    /// The number of held files, and the name of the oldest one.
    fn held(&self) -> (u64, Option<&str>) {
        let files = self.json["held_files"].as_u64().unwrap();
        (files, self.json["oldest_held_file"].as_str())
    }

    /// The duplicate window, and what is left of it, in seconds.
    fn window(&self) -> (Option<u64>, Option<i64>) {
        let window = self.json["duplicate_window_seconds"].as_u64();
        (window, self.json["window_left_seconds"].as_i64())
    }

    #[track_caller]
    fn assert_says(&self, line: &str) {
        let text = &self.text.stdout;
        assert!(text.contains(&format!("\n  {line}")), "{line}: {text}");
    }

    fn says(&self, line: &str) -> bool {
        self.text.stdout.contains(&format!("\n  {line}"))
    }
}

/// The names of the rotated endpoint logs, the oldest first.
fn rotated(dir: &Path, port: u16) -> Vec<String> {
    let start = format!("endpoint_log.{port}.");
    let files = fs::read_dir(dir.join("logs")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let number = |name: &str| name.strip_prefix(&start)?.parse::<u64>().ok();
    let mut numbers: Vec<u64> = names.filter_map(|name| number(&name)).collect();
    numbers.sort_unstable();
    let names = numbers.into_iter().map(|number| format!("{start}{number}"));
    names.collect()
}

/// The duplicate window in the metrics, in seconds; 0 if it is not known.
fn window_metric(endpoint: &Endpoint) -> f64 {
    let metrics = get(admin(endpoint), "/metrics", "").body;
    let name = "mns_endpoint_forward_duplicate_window_seconds{to=\"orders\"}";
    metric(&metrics, name)
}

/// Waits until `forward status` shows this window, with all or less of it left.
#[track_caller]
pub fn learnt(setup: &Setup, endpoint: &Endpoint, seconds: u64) {
    eventually("the window is known", || {
        let status = Status::beside(setup, endpoint);
        (status.window().0 == Some(seconds)).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn old_files_that_a_destination_still_needs_are_counted_as_serve_counts_them() {
    let Some(mut setup) = Setup::new("journal") else {
        return;
    };
    let options = setup.options.clone();
    setup.options = rotating(options);
    let endpoint = Endpoint::start(&setup.options);
    let port = endpoint.address.port();
    let dir = endpoint.path().to_owned();
    setup.accept(&endpoint, 0..20);
    setup.assert_each_once(0..20).await;
    eventually("what is delivered is deleted", || {
        let status = Status::beside(&setup, &endpoint);
        let is_rotated = rotated(&dir, port).is_empty();
        let is_none = status.held() == (0, None) && status.says("held files: none\n");
        (is_rotated && is_none).then_some(())
    });

    setup.nats.kill(0);
    setup.accept(&endpoint, 20..40);
    let counted = || {
        let metrics = get(admin(&endpoint), "/metrics", "").body;
        metric(&metrics, "mns_endpoint_log_held_files")
    };
    let files = rotated(&dir, port);
    assert!(files.len() > 2, "{files:?}");
    let all = (u64::try_from(files.len()).unwrap(), Some(files[0].as_str()));
    eventually("all are old", || {
        (Status::beside(&setup, &endpoint).held() == all).then_some(())
    });
    eventually("serve counts the same", || {
        (counted() == f64::from(u32::try_from(files.len()).unwrap())).then_some(())
    });

    let file = cursor(&endpoint, "orders");
    let (_printed, stopped) = endpoint.stop();
    // The record of the stop may have been one too many for the live file.
    let files = rotated(stopped.path(), port);
    let all = (u64::try_from(files.len()).unwrap(), Some(files[0].as_str()));
    let (count, oldest) = (files.len(), &files[0]);
    let line = format!("held files: {count}, older than logs.keep, the oldest {oldest}\n");
    let status = eventually("all are old", || {
        let status = Status::of(&setup, stopped.path(), port);
        (status.held() == all && status.says(&line)).then_some(status)
    });
    status.assert_says("serve is not running; ");

    let with_keep = |keep: &str| {
        let mut other = setup.options.clone();
        other.set.retain(|(key, _)| key != "logs.keep");
        other.set("logs.keep", keep)
    };
    let (short, long, off) = (setup.options.clone(), with_keep("1d"), with_keep("off"));
    for options in [long, off] {
        setup.options = options;
        let status = Status::of(&setup, stopped.path(), port);
        assert_eq!(status.held(), (0, None), "{}", status.json);
        status.assert_says("held files: none\n");
    }
    setup.options = short;

    // `serve` keeps all files for a cursor that it cannot use.
    let before = fs::read(&file).unwrap();
    fs::write(&file, "x").unwrap();
    let status = Status::of(&setup, stopped.path(), port);
    assert_eq!(status.held(), all, "{}", status.json);
    fs::remove_file(&file).unwrap();
    let status = Status::of(&setup, stopped.path(), port);
    assert_eq!(status.held(), (0, None), "{}", status.json);
    fs::write(&file, before).unwrap();

    setup.nats.start(0);
    setup.nats.ready(0);
    let endpoint = setup.restart(stopped, port);
    setup.assert_each_once(0..40).await;
    eventually("nothing is held", || {
        (Status::beside(&setup, &endpoint).held() == (0, None)).then_some(())
    });
    endpoint.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_the_duplicate_window_is_shown_through_an_outage_and_a_restart() {
    let Some(mut setup) = Setup::new("journal") else {
        return;
    };
    let endpoint = Endpoint::start(&setup.options);
    let port = endpoint.address.port();
    // The first message makes the stream.
    let status = Status::beside(&setup, &endpoint);
    assert_eq!(status.window(), (None, None), "{}", status.json);
    status.assert_says("window left: unknown: serve has not learnt the duplicate window");
    assert_eq!(window_metric(&endpoint), 0.0);
    setup.accept(&endpoint, [0]);
    setup.assert_each_once([0]).await;
    eventually("all of the window is left", || {
        let status = Status::beside(&setup, &endpoint);
        let is_all = status.window() == (Some(600), Some(600));
        (is_all && status.says("window left: 10m of 10m\n")).then_some(())
    });
    assert_eq!(window_metric(&endpoint), 600.0);

    setup.nats.kill(0);
    setup.accept(&endpoint, [1]);
    let (_printed, dir) = endpoint.stop();
    let status = Status::of(&setup, dir.path(), port);
    let (_, left) = status.window();
    assert!((1..600).contains(&left.unwrap()), "{}", status.json);
    assert!(
        status.text.stdout.contains(" of 10m\n"),
        "{:?}",
        status.text
    );

    // Somebody shortens the window, so that it ends within this test.
    setup.nats.start(0);
    setup.nats.ready(0);
    let context = setup.context().await;
    let stream = context.get_stream(STREAM).await.unwrap();
    let mut shorter = stream.cached_info().config.clone();
    shorter.duplicate_window = Duration::from_secs(1);
    context.update_stream(shorter).await.unwrap();
    let endpoint = setup.restart(dir, port);
    setup.assert_each_once([0, 1]).await;
    // Also that the cursor is past M1, which is older than the new window.
    eventually("nothing waits any more", || {
        let status = Status::beside(&setup, &endpoint);
        (status.window() == (Some(1), Some(1))).then_some(())
    });
    setup.nats.kill(0);
    setup.accept(&endpoint, [2]);
    let beyond = |status: &Status| {
        let is_beyond = status.window().1.is_some_and(|left| left < 0);
        is_beyond
            && status.says("window left: none: beyond the stream's duplicate window of 1s since ")
    };
    eventually("the window has ended", || {
        beyond(&Status::beside(&setup, &endpoint)).then_some(())
    });
    let (_printed, dir) = endpoint.stop();
    let status = Status::of(&setup, dir.path(), port);
    assert!(beyond(&status), "{}", status.json);
    assert!(
        status
            .text
            .stdout
            .contains(": repeats may be stored twice\n"),
        "{:?}",
        status.text
    );

    // A process that has not reached the server yet knows what the one before has learnt.
    let endpoint = setup.restart(dir, port);
    let status = Status::beside(&setup, &endpoint);
    assert_eq!(status.json["condition"]["present"], true, "{}", status.json);
    assert!(beyond(&status), "{}", status.json);
    assert_eq!(window_metric(&endpoint), 1.0);
    setup.nats.start(0);
    setup.nats.ready(0);
    setup.assert_each_once([0, 1, 2]).await;
    eventually("nothing waits any more", || {
        let status = Status::beside(&setup, &endpoint);
        (status.window() == (Some(1), Some(1))).then_some(())
    });
    let (_printed, dir) = endpoint.stop();

    // The subject drops repeats for as long as the message is retained.
    let options = setup.options.clone();
    setup.options = options
        .set("forward.orders.dedupe", "subject")
        .set("forward.orders.subject", "mns.{owner}.{topic}.{id}");
    let endpoint = setup.restart(dir, port);
    let status = Status::beside(&setup, &endpoint);
    assert_eq!(status.window(), (None, None), "{}", status.json);
    assert!(!status.says("window left"), "{:?}", status.text);
    assert_eq!(window_metric(&endpoint), 0.0);
    endpoint.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_permission_to_ask_the_window_is_unknown_and_forwarding_goes_on() {
    let may = "publish: \"mns.>\", subscribe: \"_INBOX.>\"";
    let Some(mut setup) = Setup::with("journal", &users("right", may)) else {
        return;
    };
    let context = setup.context().await;
    context.create_stream(config(|_it| {})).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    as_user(&mut setup, dir.path(), "right");
    let endpoint = Endpoint::start(&setup.options);
    setup.accept(&endpoint, 0..3);
    setup.assert_each_once(0..3).await;
    let status = eventually("it is connected", || {
        let status = Status::beside(&setup, &endpoint);
        let is_passed = status.json["backlog_bytes"] == 0;
        (is_passed && status.says("now: connected\n")).then_some(status)
    });
    assert_eq!(status.window(), (None, None), "{}", status.json);
    status.assert_says("window left: unknown: ");
    assert_eq!(setup.stored(STREAM).await.len(), 3);
    endpoint.stop();
}
