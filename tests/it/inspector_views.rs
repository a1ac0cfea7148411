//! Every view of the inspector page: what the keyboard reaches.

use std::io::Write as _;
use std::net::TcpListener;

use thirtyfour::prelude::Key;

use crate::admin::bench;
use crate::inspector_browser::{Browser, ROWS, page, push, saying};
use crate::support::read_request;

/// A receiver that answers everything with 202.
fn receiver() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            read_request(&mut stream);
            let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\ntaken";
            stream.write_all(answer).unwrap();
        }
    });
    format!("http://{address}/hook")
}

#[test]
fn the_keyboard_alone_leads_from_the_start_to_a_replay_and_back() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let (bench, admin) = bench(|options| options);
    for number in 0..40 {
        let draft = saying(&bench, "orders", &format!("message {number}"));
        assert_eq!(push(&bench, &draft), 201);
    }
    // Scripts only look: nothing is done but by keys.
    browser.goto(&page(&bench, admin, ""));
    browser.until("the rows", &format!("{ROWS} > 20"));
    browser.press(&"j".repeat(36));
    browser.press("k");
    let message = "document.querySelector('.panel .code')?.innerText";
    browser.until("the row", &format!("{message}?.includes('message 5')"));
    browser.press_key(Key::Enter);
    browser.until("the panel", "document.activeElement.id === 'panel'");
    let place = "return [document.querySelector('.list').scrollTop, \
        document.getElementById(document.getElementById('list')\
            .getAttribute('aria-activedescendant')).getAttribute('aria-posinset'), \
        document.querySelector('[role=tab][aria-selected=true]').id, \
        document.activeElement.id]";
    let before = browser.js(place);
    assert_eq!(before[1], "35", "{before}");
    assert_ne!(before[0], 0, "{before}");
    browser.press("r");
    browser.until("the dialog", "document.activeElement.name === 'to'");
    browser.press_with_control("a");
    browser.press(&receiver());
    browser.press_key(Key::Enter);
    let answer = "document.querySelector('dialog .answer:not([hidden])')?.innerText";
    let answer = browser.until("the answer", answer);
    let answer = answer.as_str().unwrap();
    assert!(
        answer.contains("202") && answer.contains("taken"),
        "{answer}"
    );
    browser.press_key(Key::Escape);
    browser.until("no dialog", "!document.querySelector('dialog')");
    assert_eq!(browser.js(place), before);
    // Back in the list, the keys go on from there.
    browser.press_key(Key::Escape);
    browser.until("the list", "document.activeElement.id === 'list'");
    browser.press_key(Key::Down);
    browser.until("the next", &format!("{message}?.includes('message 4')"));
    browser.assert_quiet();
}
