//! The inspector page on the log files, in a real browser.

use serde_json::json;

use crate::inspector::token;
use crate::inspector_browser::Browser;
use crate::inspector_search::Site;
use crate::support::eventually;

const ROWS: &str = "document.querySelectorAll('.row:not([hidden])').length";

#[test]
fn a_search_finds_what_is_in_a_rotated_file_and_shows_all_that_is_known_of_it() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let set = [("logs.rotate_size", "8KiB")];
    let site = Site::new(&set);
    site.push(
        "first",
        "{\"needle\":\"王小明\",\"id\":9007199254740993123}",
    );
    (0..20).for_each(|number| site.push(&format!("t{number}"), "hay"));
    site.forge(&site.draft("m"));
    eventually("the refusal is logged", || {
        let log = site.bench.endpoint.endpoint_log();
        log.contains("signature_wrong").then_some(())
    });
    let site = site.restarted(&set);
    let token = token(&site.bench);
    browser.goto(&format!("http://{}/#token={token}", site.admin));
    // After a restart memory is empty, and the list comes from the files.
    browser.until("all rows", &format!("{ROWS} >= 20"));
    browser.press("/");
    browser.press("needle");
    browser.until("one is found", &format!("{ROWS} === 1"));
    browser.until(
        "all is searched",
        "document.querySelector('.foot:not([hidden])')?.innerText.includes('Searched all')",
    );
    let foot = browser.js("return document.querySelector('.foot').innerText");
    assert!(foot.as_str().unwrap().contains("1 found"), "{foot}");
    browser.shot("search-light");
    browser.js("document.querySelector('.row:not([hidden])').click()");
    browser.until("the message", "document.querySelector('.panel .code')");
    let shown = browser.js("return document.querySelector('.panel .code').innerText");
    for part in ["王小明", "9007199254740993123"] {
        assert!(shown.as_str().unwrap().contains(part), "{shown}");
    }
    let outcome = browser.js("return document.querySelector('.outcome').innerText");
    assert_eq!(outcome, json!("On disk. Answered 201"));
    browser.js("document.querySelector('#tab-request').click()");
    browser.until("the request", "document.querySelector('.headers')");
    browser.js("document.querySelector('#tab-checks').click()");
    browser.until(
        "the checks",
        "document.querySelectorAll('.checks li.ok').length > 6",
    );
    browser.js("document.querySelector('#tab-deliveries').click()");
    browser.until(
        "the delivery",
        "document.querySelector('.deliveries li.this')",
    );
    // The refused one, by its reason.
    let search = |text: &str| {
        browser.js(&format!(
            "const input = document.querySelector('.search input'); input.value = '{text}'; \
             input.dispatchEvent(new Event('input'))"
        ));
    };
    search("reason:signature_wrong");
    browser.until(
        "the refused one",
        "document.querySelector('.row.refused:not([hidden])')",
    );
    browser.js("document.querySelector('.row.refused:not([hidden])').click()");
    browser.js("document.querySelector('#tab-checks').click()");
    browser.until(
        "the failed check",
        "document.querySelector('.checks li.bad')",
    );
    browser.shot("search-refused");
    search("nothing has this");
    browser.until(
        "nothing matches",
        "document.querySelector('.nothing:not([hidden])')",
    );
    browser.goto(&format!("http://{}/?lang=zh&q=needle", site.admin));
    browser.until(
        "the same in Chinese",
        "document.querySelector('.foot:not([hidden])')?.innerText.includes('已搜索全部')",
    );
    browser.shot("search-zh");
    browser.assert_quiet();
}

#[test]
fn the_page_says_which_key_keeps_a_request_and_when_a_file_is_gone() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let set = [("logs.request", "off"), ("logs.format", "json")];
    let site = Site::new(&set);
    site.push("first", "kept");
    let site = site.restarted(&set);
    let token = token(&site.bench);
    browser.goto(&format!("http://{}/#token={token}", site.admin));
    browser.until("the row", &format!("{ROWS} === 1"));
    browser.js("document.querySelector('.row:not([hidden])').click()");
    browser.until(
        "the message",
        "document.querySelector('.panel')?.innerText.includes('kept')",
    );
    browser.js("document.querySelector('#tab-request').click()");
    browser.until(
        "the key",
        "document.querySelector('.panel')?.innerText.includes('logs.request')",
    );
    browser.js("document.querySelector('.row:not([hidden])').focus()");
    let log = site.bench.endpoint.log_path("endpoint_log");
    std::fs::remove_file(log).unwrap();
    let id = browser.js("return document.querySelector('.row:not([hidden])').item.id");
    let address = format!("http://{}/?x=1#n={}", site.admin, id.as_str().unwrap());
    browser.goto(&address);
    browser.until(
        "it is gone",
        "document.querySelector('.notices')?.innerText.includes('no longer in the log files')",
    );
}
