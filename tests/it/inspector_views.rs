//! Every view of the inspector page at a desk and on a phone, light and dark: what axe finds, and
//! what a narrow window cuts off.

use std::io::Write as _;
use std::net::TcpListener;

use serde_json::json;
use thirtyfour::prelude::Key;

use crate::admin::bench;
use crate::inspector::token;
use crate::inspector_browser::{AXE, Browser, ROWS, fill, page, push, saying};
use crate::inspector_forwarding::forwarding;
use crate::support::{eventually, exchange, read_request};

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

/// Looks at views, and keeps what is wrong with them.
struct Looks<'a> {
    browser: &'a Browser,
    axe: &'a str,
    size: &'a str,
    found: Vec<String>,
}

impl Looks<'_> {
    /// The view as it is now, in both themes.
    fn look(&mut self, view: &str) {
        for theme in ["light", "dark"] {
            self.browser.set_system_theme(theme);
            let name = format!("{}-{view}-{theme}", self.size);
            self.found.extend(self.browser.violations(&name, self.axe));
            self.found.extend(self.browser.too_wide(&name));
        }
    }
}

/// Goes through every view of the page.
#[expect(
    clippy::print_stdout,
    reason = "a test that tests nothing has to say so"
)]
fn tour(size: &str, set: impl FnOnce(&Browser)) {
    let Some(axe) = AXE.as_ref() else {
        println!("SKIPPED: npm cannot fetch axe-core, so accessibility is NOT tested");
        return;
    };
    let Some(browser) = Browser::open() else {
        return;
    };
    set(&browser);
    let mut looks = Looks {
        browser: &browser,
        axe,
        size,
        found: Vec::new(),
    };
    let (bench, admin) = bench(|options| forwarding(options, "nats://127.0.0.1:1"));
    let address = |query: &str| page(&bench, admin, query);
    browser.goto(&format!("http://{admin}/"));
    browser.until("the form", "document.querySelector('.token input')");
    looks.look("token");
    browser.press("wrong");
    browser.press_key(Key::Enter);
    browser.until(
        "it is refused",
        "document.querySelector('.wrong').innerText !== ''",
    );
    looks.look("token-wrong");
    browser.goto(&address("?"));
    browser.until("it waits", "document.querySelector('.empty h2')");
    looks.look("empty");
    fill(&bench);
    browser.until("the rows", &format!("{ROWS} > 8"));
    browser.until("the hour", "document.querySelector('.subscriptions li')");
    looks.look("list");
    for (topic, name) in [
        ("orders", "accepted"),
        ("inventory", "base64"),
        ("payments", "refused"),
        ("user-events", "remark"),
    ] {
        browser.goto(&address(&format!("?q=topic:{topic}")));
        browser.until("a row", &format!("{ROWS} > 0"));
        browser.press("j");
        for (number, tab) in (1..).zip(["message", "request", "checks", "deliveries"]) {
            browser.press(&format!("{number}"));
            let there = format!(
                "document.querySelector('#tab-{tab}[aria-selected=true]') && \
                 document.querySelector('.panel *') && \
                 ('{tab}' !== 'checks' || document.querySelector('.checks li')) && \
                 ('{tab}' !== 'deliveries' || document.querySelector('.deliveries li'))"
            );
            browser.until(tab, &there);
            looks.look(&format!("{name}-{tab}"));
        }
    }
    // Nothing is hidden: the signature, and the bytes.
    browser.press("2");
    browser.until("the button", "document.querySelector('.headers .inline')");
    browser.js("document.querySelector('.headers .inline').click()");
    browser.until("it is shown", "!document.querySelector('.veil')");
    looks.look("unveiled");
    browser.press("1");
    browser.until("the views", "document.querySelector('.bar .segments')");
    browser.js("document.querySelector('.bar .segments button:last-child').click()");
    browser.press("w");
    looks.look("hex");
    browser.press("r");
    browser.until("the dialog", "document.querySelector('dialog[open] input')");
    looks.look("replay");
    for (to, class) in [
        (receiver(), ".answer:not(.failed)"),
        ("http://192.0.2.1/".to_owned(), ".answer.failed"),
    ] {
        browser.press_with_control("a");
        browser.press(&to);
        browser.press_key(Key::Enter);
        let answered = format!("document.querySelector('dialog {class}:not([hidden])')");
        browser.until("the answer", &answered);
        looks.look(&format!("replay{}", class.replace([':', '(', ')'], "")));
    }
    browser.press_key(Key::Escape);
    browser.until("no dialog", "!document.querySelector('dialog')");
    let denied = json!({ "permission": { "name": "clipboard-write" }, "setting": "denied" });
    browser.devtools("Browser.setPermission", denied);
    browser.press("c");
    browser.until(
        "the text",
        "document.querySelector('dialog[open] textarea')",
    );
    looks.look("copy");
    browser.press_key(Key::Escape);
    browser.until("no dialog", "!document.querySelector('dialog')");
    browser.press("?");
    browser.until("the help", "document.querySelector('dialog[open] .keys')");
    looks.look("help");
    browser.press_key(Key::Escape);
    browser.goto(&address("?lang=zh&strangers=1"));
    browser.until("the rows", &format!("{ROWS} > 8"));
    looks.look("zh-list");
    browser.press("jj");
    browser.press("3");
    browser.until("the checks", "document.querySelector('.checks li')");
    looks.look("zh-checks");
    browser.press("r");
    browser.until("the dialog", "document.querySelector('dialog[open] input')");
    looks.look("zh-replay");
    browser.goto(&address("?lang=zh&view=forwarding"));
    let waits = "document.querySelector('.destination .wrongs .cause')";
    browser.until("a destination that is away", waits);
    looks.look("zh-forwarding");
    browser.goto(&address("?q=absent"));
    let nothing = "document.querySelector('.nothing:not([hidden])')";
    browser.until("nothing", nothing);
    looks.look("nothing");
    browser.goto(&address("?"));
    browser.until("the rows", &format!("{ROWS} > 8"));
    browser.js("document.querySelector('.health').click()");
    let health = "document.querySelector('#health:popover-open dt')";
    browser.until("the health", health);
    looks.look("health");
    browser.press_key(Key::Escape);
    browser.press("f");
    let waits = "document.querySelector('.destination .wrongs .cause')";
    browser.until("a destination that is away", waits);
    looks.look("forwarding");
    browser.press("f");
    browser.press("p");
    push(&bench, &saying(&bench, "orders", "while paused"));
    let waits = "document.querySelector('.newer:not([hidden])')";
    browser.until("one waits", waits);
    looks.look("paused");
    browser.press("p");
    lag(&browser, &bench.endpoint.address, &mut looks);
    let gone = format!("http://{admin}/?#n=1-1&token={}", token(&bench));
    browser.goto(&gone);
    browser.until("it is gone", "document.querySelector('.notice.warn')");
    looks.look("gone");
    drop(bench.endpoint.stop());
    browser.until("it is lost", "document.querySelector('.status.lost')");
    looks.look("lost");
    not_ready(&mut looks);
    assert_eq!(looks.found, Vec::<String>::new());
}

/// More arrive than one event of the stream holds, while nobody looks.
fn lag(browser: &Browser, endpoint: &std::net::SocketAddr, looks: &mut Looks<'_>) {
    browser.open_tab();
    let scan = b"GET /wp-login.php HTTP/1.1\r\nHost: x\r\n\r\n";
    for _ in 0..260 {
        exchange(*endpoint, scan);
    }
    browser.first_tab();
    let gap = "document.querySelector('.row.gap:not([hidden])')";
    browser.until("the gap", gap);
    browser.until("the notice", "document.querySelector('.notice.warn')");
    looks.look("lag");
    // What was left out is loaded by the key that reaches it.
    browser.press("j");
    browser.until("no gap", &format!("!{gap}"));
}

fn not_ready(looks: &mut Looks<'_>) {
    let (bench, admin) = bench(|options| options.set("logs.low_water", "1000TiB"));
    looks.browser.goto(&page(&bench, admin, ""));
    let red = "document.querySelector('.notice.bad')";
    looks.browser.until("it says so", red);
    looks.look("not-ready");
    looks.browser.press("f");
    let how = "document.querySelector('.forwarding pre')";
    looks.browser.until("how it is switched on", how);
    looks.look("forwarding-off");
    looks.browser.press("f");
    // The look itself sees what is too wide.
    let wide = "document.querySelector('.pulse').style.width = '3000px'";
    looks.browser.js(wide);
    assert_ne!(looks.browser.too_wide("wide"), Vec::<String>::new());
}

#[test]
fn axe_finds_nothing_in_any_view_of_a_desk() {
    tour("desk", |_browser| {});
}

#[test]
fn axe_finds_nothing_in_any_view_of_a_phone_and_none_is_wider() {
    tour("phone", Browser::be_a_phone);
}

#[test]
fn a_theme_that_is_chosen_is_that_of_the_system() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let (bench, admin) = bench(|options| options);
    let colours = "document.getAnimations().forEach((one) => one.cancel());
    return [...document.querySelectorAll('*')].map((node) => {
        const { color, backgroundColor, boxShadow, fill, stroke } = getComputedStyle(node);
        return [color, backgroundColor, boxShadow, fill, stroke].join();
    })";
    let seen = |system: &str, chosen: &str| {
        browser.set_system_theme(system);
        browser.goto(&page(&bench, admin, &format!("?{chosen}")));
        browser.until("it waits", "document.querySelector('.empty h2')");
        // Whatever comes by itself is there, and whatever moves ends.
        browser.until("it is live", "document.querySelector('.status.live')");
        browser.until("the hour", "document.querySelector('.strip .cell')");
        browser.until("the health", "document.querySelector('#health dt')");
        let mut before = browser.js(colours);
        eventually("nothing changes any more", || {
            let now = browser.js(colours);
            let is_same = now == before;
            before = now;
            is_same.then(|| before.clone())
        })
    };
    let [light, dark] = ["light", "dark"].map(|theme| seen(theme, "theme=auto"));
    assert_ne!(light, dark);
    assert_eq!(seen("dark", "theme=light"), light);
    assert_eq!(seen("light", "theme=dark"), dark);
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
