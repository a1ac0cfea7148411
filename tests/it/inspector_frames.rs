//! How smooth the inspector page is with 100,000 rows while 2,000 a second arrive. Slow, and it
//! measures time: `.ci/long frames` runs it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use serde_json::json;

use crate::admin::bench;
use crate::inspector_browser::{Browser, fill, page, push, saying};

const ROWS: u64 = 100_000;
const FRAMES_A_SECOND_MIN: f64 = 30.0;
/// The most that the one that pushes does, should nobody stop it.
const PUSHES_MAX: usize = 20_000;
/// Writes rows into the stream of the page, made from those that the endpoint has: all at once,
/// then 200 every 100 ms, which is the most that a stream gives, unless the address has `?pushed`.
const FEED: &str = "
    const each = location.search.includes('pushed') ? 0 : 200;
    const real = window.fetch;
    window.fetch = async (path, options) => {
        const answer = await real(path, options);
        if (!String(path).startsWith('/api/stream')) return answer;
        const { headers } = options;
        const wanted = '/api/notifications?limit=200&outcome=accepted,duplicate,remark,refused';
        const list = await (await real(wanted, { headers })).json();
        // Between the last row and the next one that the endpoint counts.
        let seq = list.last;
        const rows = (count) => Array.from({ length: count }, (_, at) => {
            seq += each ? 1 : 1 / (ROWS + 1);
            return { ...list.items[at % list.items.length], seq, id: `fed-${seq}` };
        });
        const encoder = new TextEncoder();
        const event = (count) => {
            const data = JSON.stringify({ rows: rows(count), skipped: 0, seq });
            return encoder.encode(`event: rows\\nid: ${seq}\\ndata: ${data}\\n\\n`);
        };
        const reader = answer.body.getReader();
        const decoder = new TextDecoder();
        const start = (out) => {
            let text = '';
            const pass = async () => {
                for (;;) {
                    const { done, value } = await reader.read();
                    if (done) return;
                    text += decoder.decode(value, { stream: true });
                    const end = text.lastIndexOf('\\n\\n') + 2;
                    if (end > 1) out.enqueue(encoder.encode(text.slice(0, end)));
                    text = text.slice(end > 1 ? end : 0);
                }
            };
            for (let left = ROWS; left > 0; left -= 5000) out.enqueue(event(5000));
            pass();
            if (each) setInterval(() => out.enqueue(event(each)), 100);
        };
        return new Response(new ReadableStream({ start }), { headers: answer.headers });
    };
";
/// Counts frames for five seconds, while the list is scrolled or not.
const MEASURE: &str = "
    const list = document.querySelector('.list');
    const size = () => Number(document.querySelector('.row').getAttribute('aria-setsize'));
    const begun = performance.now();
    let [frames, last, worst] = [0, begun, 0];
    const tick = (now) => {
        frames += 1;
        worst = Math.max(worst, now - last);
        last = now;
        if (SCROLLS) list.scrollTop = (list.scrollHeight * ((frames * 37) % 100)) / 100;
        if (now - begun < 5000) requestAnimationFrame(tick);
        else done({ rate: (frames * 1000) / (now - begun), worst, rows: size() });
    };
    requestAnimationFrame(tick);
";

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn measure(browser: &Browser, address: &str, arrived: &AtomicU64) {
    browser.goto(address);
    let size = "Number(document.querySelector('.row')?.getAttribute('aria-setsize'))";
    browser.until("all rows", &format!("{size} >= {ROWS}"));
    for scrolls in ["false", "true"] {
        let (before, begun) = (arrived.load(Ordering::Relaxed), Instant::now());
        let seen = browser.js_later(&MEASURE.replace("SCROLLS", scrolls));
        let count = u32::try_from(arrived.load(Ordering::Relaxed) - before).unwrap();
        let pushed = f64::from(count) / begun.elapsed().as_secs_f64();
        let query = address.split(['?', '#']).nth(1).unwrap();
        println!("{query}, {pushed:.0} pushes/s, scrolls: {scrolls}: {seen}");
        assert!(seen["rows"].as_u64().unwrap() >= ROWS, "{seen}");
        assert!(
            seen["rate"].as_f64().unwrap() >= FRAMES_A_SECOND_MIN,
            "{seen}"
        );
    }
}

#[test]
#[ignore = "measures time: .ci/long frames"]
fn a_hundred_thousand_rows_are_shown_at_thirty_frames_a_second() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let (bench, admin) = bench(|options| options);
    fill(&bench);
    let feed = FEED.replace("ROWS", &ROWS.to_string());
    let script = json!({ "source": format!("{{ {feed} }}") });
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", script);
    let (ends, arrived) = (AtomicBool::new(false), AtomicU64::new(0));
    measure(&browser, &page(&bench, admin, "?fed"), &arrived);
    browser.goto("about:blank");
    std::thread::scope(|scope| {
        // As fast as the endpoint answers one connection after another.
        scope.spawn(|| {
            let draft = saying(&bench, "orders", "{\"event\":\"order.paid\"}");
            for _ in 0..PUSHES_MAX {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                push(&bench, &draft);
                arrived.fetch_add(1, Ordering::Relaxed);
            }
        });
        measure(&browser, &page(&bench, admin, "?pushed"), &arrived);
        ends.store(true, Ordering::Relaxed);
    });
}
