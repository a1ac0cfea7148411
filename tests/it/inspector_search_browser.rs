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

#[test]
fn a_click_on_what_was_not_listed_loads_that_from_the_files_and_nothing_twice() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let site = Site::new(&[]);
    browser.goto(&format!(
        "http://{}/#token={}",
        site.admin,
        token(&site.bench)
    ));
    browser.until("it is live", "document.querySelector('.status.live')");
    // Of five that came between the first and the last the stream reported none. Memory has one of
    // them, and the files have all, under other ids and with whole seconds.
    let script = "
      const row = (number, more) => ({
        seq: number, id: `s-${number}`, outcome: 'accepted', status: 201, message_id: `m${number}`,
        request_id: `r${number}`, peer: 'p:1', came: `2026-11-29T10:00:0${number}.500+00:00`,
        ...more,
      });
      const logged = (number) => row(number, {
        seq: null, id: `1-${number}-x`, came: `2026-11-29T10:00:0${number}+00:00`, took_us: null,
      });
      const asked = [];
      const pages = {
        '': { items: [row(7), row(6)], next: 'files.1' },
        'files.1': { items: [logged(5), logged(4)], next: '1-4-x.1', searched: {} },
        '1-4-x.1': { items: [logged(3), logged(2), logged(1)], next: '1-1-x.1', searched: {} },
      };
      const list = async (parameters) => {
        asked.push(parameters);
        return structuredClone(pages[parameters.before]);
      };
      import('/inspector/store.js').then(async ({ Store, SEGMENTS }) => {
        const store = new Store(list);
        store.add([row(1)], 0, 1);
        store.add([row(7)], 5, 7);
        const gap = store.rows.find((one) => one.gap);
        await store.fill(gap);
        done({
          ids: store.of(SEGMENTS.all).map((one) => one.message_id), asked,
          gaps: store.rows.filter((one) => one.gap).length, count: store.count(SEGMENTS.all),
        });
      }, (error) => done(String(error)));
    ";
    let found = browser.js_later(script);
    let all = ["m1", "m2", "m3", "m4", "m5", "m6", "m7"];
    assert_eq!(found["ids"], json!(all), "{found}");
    assert_eq!((&found["gaps"], &found["count"]), (&json!(0), &json!(7)));
    // The time between the two, and no further page than was needed.
    assert_eq!(found["asked"].as_array().unwrap().len(), 3, "{found}");
    assert_eq!(found["asked"][0]["since"], "2026-11-29T09:59:56.500Z");
    assert_eq!(found["asked"][0]["until"], "2026-11-29T10:00:12.500Z");
    browser.assert_quiet();
}

#[test]
fn a_search_that_takes_long_shows_how_far_it_is_and_is_stopped_and_goes_on() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let site = Site::new(&[]);
    site.push("t0", "needle");
    browser.goto(&format!(
        "http://{}/#token={}",
        site.admin,
        token(&site.bench)
    ));
    browser.until("it is live", "document.querySelector('.status.live')");
    // Slow files, of which the next page never comes until the one before is asked for again.
    browser.js(
        "const real = window.fetch; window.pending = 0; window.slow = true; window.fetch = \
         async (path, options) => { const text = String(path); \
         if (!text.includes('/api/notifications?') || !text.includes('before=')) \
         return real(path, options); \
         if (!text.includes('before=files')) { window.pending += 1; \
         if (window.slow) await new Promise((done, failed) => options.signal.addEventListener( \
         'abort', () => failed(new DOMException('', 'AbortError')))); } \
         const isLast = !text.includes('before=files'); \
         return new Response(JSON.stringify({ items: [], next: isLast ? null : '1-1-1.1', \
         done: isLast, searched: { bytes: isLast ? 1e10 : 3.2e9, total: 1e10, \
         until: '2026-11-21T09:12:00+00:00' } })); }",
    );
    browser.press("/");
    browser.press("needle");
    let foot = "document.querySelector('.foot:not([hidden])')?.innerText";
    browser.until(
        "it searches",
        &format!("{foot}?.includes('Searching the log files')"),
    );
    let shown = browser.js(&format!("return {foot}"));
    let shown = shown.as_str().unwrap();
    assert!(shown.contains("back to 11-21 09:12"), "{shown}");
    assert!(shown.contains("3.2 GB of 10.0 GB"), "{shown}");
    assert!(shown.contains("1 found"), "{shown}");
    browser.shot("searching-light");
    browser.js("document.querySelector('.foot button').click()");
    browser.until("it is stopped", &format!("{foot}?.includes('Search on')"));
    // More than one if the keys came slowly: each new text is another search.
    let pending = browser.js("return window.pending").as_u64().unwrap();
    assert!(pending > 0);
    browser.js("window.slow = false; document.querySelector('.foot button').click()");
    browser.until(
        "it is done",
        &format!("{foot}?.includes('Searched all 10.0 GB')"),
    );
    assert_eq!(browser.js("return window.pending"), pending + 1);
    browser.assert_quiet();
}
