//! The inspector page in a real browser: Debian's chromium and chromium-driver.
//!
//! Without them these tests say so and test nothing, unless `REQUIRE_CHROMIUM` is set. Screenshots
//! of every view go to `target/tmp/inspector`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use mns_endpoint::mns::ContentFormat;
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::LoggingPrefsLogLevel;
use thirtyfour::prelude::*;

use crate::admin::{bench, get};
use crate::inspector::token;
use crate::support::{Bench, Draft, eventually, exchange, key, read_request};

const CHROMIUM: &str = "/usr/bin/chromium";
const DRIVER: &str = "/usr/bin/chromedriver";
/// What every page is given time for, on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(60);

/// The narrowest phones that are sold, in CSS pixels.
const PHONE_WIDTH: u32 = 360;
const TOO_WIDE: &str = "
    const page = document.documentElement;
    const name = (node) => `${node.tagName}.${node.className} ${node.textContent.slice(0, 40)}`;
    const cuts = (node) => {
        const { overflowX, textOverflow } = getComputedStyle(node);
        return ['auto', 'scroll'].includes(overflowX) || textOverflow === 'ellipsis';
    };
    const isCut = (node) => {
        for (let up = node.parentElement; up && up !== document.body; up = up.parentElement) {
            if (cuts(up)) return true;
        }
        return false;
    };
    const found = page.scrollWidth > page.clientWidth ? ['the page'] : [];
    for (const node of document.body.querySelectorAll('*')) {
        if (!node.checkVisibility() || node.matches('.sr, option')) continue;
        const { left, right, width } = node.getBoundingClientRect();
        const isOut = width > 0 && (left < -1 || right > page.clientWidth + 1);
        const scrolls = node.matches('main, .panel, .left, .list, .tools, .head, .tabs, dialog')
            && node.scrollWidth > node.clientWidth + 1;
        if (scrolls || (isOut && !isCut(node))) found.push(name(node));
    }
    return found;
";

/// A browser with one window, and the runtime that it is driven by.
pub struct Browser {
    runtime: tokio::runtime::Runtime,
    driver: WebDriver,
    process: Child,
    /// Held, as the driver would fail to write to a pipe that nobody has open.
    _printed: BufReader<ChildStdout>,
    _profile: TempDir,
}

/// The port in the line in which the driver says that it listens.
fn port_of(line: &str) -> Option<u16> {
    let said = "was started successfully on port ";
    let (_, port) = line.split_once(said)?;
    port.trim_end_matches('.').parse().ok()
}

impl Browser {
    /// `None`, which is said, if this machine has none.
    #[expect(
        clippy::print_stdout,
        reason = "a test that tests nothing has to say so"
    )]
    pub fn open() -> Option<Self> {
        if !Path::new(CHROMIUM).exists() || !Path::new(DRIVER).exists() {
            assert!(
                std::env::var_os("REQUIRE_CHROMIUM").is_none(),
                "{CHROMIUM} or {DRIVER} is missing: apt-get install chromium chromium-driver"
            );
            println!("SKIPPED: {CHROMIUM} is missing, so the page is NOT tested");
            return None;
        }
        // It chooses its port: one that is free now may be taken by another test soon.
        let mut process = Command::new(DRIVER);
        process.args(["--port=0", "--allowed-ips=127.0.0.1"]);
        process.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = process.spawn().unwrap();
        let mut printed = BufReader::new(process.stdout.take().unwrap());
        let port = printed
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .find_map(|line| port_of(&line))
            .expect("the driver says on which port it listens");
        let profile = tempfile::tempdir().unwrap();
        let mut wanted = DesiredCapabilities::chrome();
        wanted.set_binary(CHROMIUM).unwrap();
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--lang=en",
            "--window-size=1440,900",
            &format!("--user-data-dir={}", profile.path().display()),
        ] {
            wanted.add_arg(argument).unwrap();
        }
        let all = LoggingPrefsLogLevel::All;
        wanted.set_logging_prefs("browser".to_owned(), all).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), wanted);
        let driver = runtime.block_on(driver).unwrap();
        Some(Self {
            runtime,
            driver,
            process,
            _printed: printed,
            _profile: profile,
        })
    }

    pub fn goto(&self, address: &str) {
        self.runtime.block_on(self.driver.goto(address)).unwrap();
    }

    pub fn js(&self, script: &str) -> Value {
        let done = self.driver.execute(script, vec![]);
        self.runtime.block_on(done).unwrap().json().clone()
    }

    /// The result of a script that calls `done` with it.
    pub fn js_later(&self, script: &str) -> Value {
        let script = format!("const done = arguments[arguments.length - 1]; {script}");
        let done = self.driver.execute_async(script, vec![]);
        self.runtime.block_on(done).unwrap().json().clone()
    }

    pub fn devtools(&self, command: &str, parameters: Value) {
        let tools = self.driver.cdp();
        let done = tools.send_raw(command, parameters);
        self.runtime.block_on(done).unwrap();
    }

    /// Waits until a script returns something.
    #[track_caller]
    pub fn until(&self, what: &str, script: &str) -> Value {
        let begun = Instant::now();
        loop {
            let found = self.js(&format!("return {script}"));
            if !matches!(found, Value::Null | Value::Bool(false)) {
                return found;
            }
            if begun.elapsed() > PATIENCE {
                let text = self.js("return document.body.innerText");
                panic!("not so after {PATIENCE:?}: {what}; the page says {text}");
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Presses keys, one after another.
    pub fn press(&self, keys: &str) {
        let keys = self.driver.action_chain().send_keys(keys);
        self.runtime.block_on(keys.perform()).unwrap();
    }

    pub fn press_key(&self, key: Key) {
        let keys = self.driver.action_chain().send_keys(key);
        self.runtime.block_on(keys.perform()).unwrap();
    }

    /// Presses a key while Ctrl is held.
    pub fn press_with_control(&self, keys: &str) {
        let chain = self.driver.action_chain().key_down(Key::Control);
        let chain = chain.send_keys(keys).key_up(Key::Control);
        self.runtime.block_on(chain.perform()).unwrap();
    }

    /// Another tab, in front of the one that was.
    pub fn open_tab(&self) {
        let tab = self.runtime.block_on(self.driver.new_tab()).unwrap();
        let switched = self.driver.switch_to_window(tab);
        self.runtime.block_on(switched).unwrap();
    }

    /// The tab that was opened first, in front.
    pub fn first_tab(&self) {
        let tabs = self.runtime.block_on(self.driver.windows()).unwrap();
        let switched = self.driver.switch_to_window(tabs[0].clone());
        self.runtime.block_on(switched).unwrap();
    }

    /// As wide as the narrowest phones that are sold.
    pub fn be_a_phone(&self) {
        let phone =
            json!({ "width": PHONE_WIDTH, "height": 740, "deviceScaleFactor": 1, "mobile": true });
        self.devtools("Emulation.setDeviceMetricsOverride", phone);
    }

    /// As a system that is set to light or dark.
    pub fn set_system_theme(&self, theme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": theme });
        self.devtools(
            "Emulation.setEmulatedMedia",
            json!({ "features": [feature] }),
        );
    }

    /// What axe finds in the view as it is now, which is also kept as a picture.
    pub fn violations(&self, view: &str, axe: &str) -> Vec<String> {
        self.shot(view);
        self.js(axe);
        let found = self.js_later(
            "axe.run().then((r) => done(r.violations.map((v) => \
             `${v.id}: ${v.nodes.map((n) => n.html).slice(0, 3).join(' | ')}`)), \
             (e) => done([String(e)]));",
        );
        let found = found.as_array().unwrap().iter();
        found.map(|one| format!("{view}: {one}")).collect()
    }

    /// What is cut off at the side of the window, or can only be reached by scrolling sideways.
    /// Code and tables have a scroll bar of their own.
    pub fn too_wide(&self, view: &str) -> Vec<String> {
        let found = self.js(TOO_WIDE);
        let found = found.as_array().unwrap().iter();
        found
            .map(|one| format!("{view}: too wide: {one}"))
            .collect()
    }

    pub fn shot(&self, name: &str) {
        let dir = shots();
        std::fs::create_dir_all(&dir).unwrap();
        let picture = self
            .runtime
            .block_on(self.driver.screenshot_as_png())
            .unwrap();
        std::fs::write(dir.join(format!("{name}.png")), picture).unwrap();
    }

    /// Nothing was written to the console, neither by the page nor by the policy.
    #[track_caller]
    pub fn assert_quiet(&self) {
        let log = self.driver.handle().browser_log();
        let log = self.runtime.block_on(log).unwrap();
        let told = log.iter().map(|entry| format!("{entry:?}"));
        // One search runs at a time. The page repeats a request that waited too long for another
        // search, which happens on a busy machine.
        let is_busy =
            |told: &String| told.contains("/api/notifications?") && told.contains(" 503 ");
        let told: Vec<String> = told.filter(|told| !is_busy(told)).collect();
        assert_eq!(told, Vec::<String>::new());
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The session ends the browser; the driver alone would leave it behind.
        let quit = self.driver.clone().quit();
        self.runtime.block_on(quit).ok();
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn shots() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("inspector")
}

/// The address of the page with its token, and what serves it.
pub fn page(bench: &Bench, admin: SocketAddr, query: &str) -> String {
    format!("http://{admin}/{query}#token={}", token(bench))
}

pub fn saying(bench: &Bench, topic: &str, message: &str) -> Draft {
    let url = bench.draft().certificate_url();
    let draft = Draft::new(ContentFormat::Simplified, message, &url);
    draft
        .set("x-mns-topic-name", topic)
        .set("x-mns-subscription-name", format!("{topic}-to-billing"))
}

/// Pushes it; the answer is what it is.
pub fn push(bench: &Bench, draft: &Draft) -> u16 {
    bench
        .endpoint
        .exchange(&draft.clone().sign(&key(512)).wire())
        .status
}

pub const ROWS: &str = "document.querySelectorAll('.row:not([hidden])').length";
/// Markup, a character that turns text around, a key twice, and a number with 19 digits.
const HOSTILE: &str = "{\"html\":\"<script>document.title='pwned'</script><img src=x \
    onerror=alert(1)>\",\"rlo\":\"\u{202e}gnp.exe\",\"key\":1,\"key\":2,\"id\":9007199254740993123}";

#[test]
fn what_arrives_is_a_row_within_a_second_and_is_shown_as_it_was_published() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let (bench, admin) = bench(|options| options);
    browser.goto(&page(&bench, admin, ""));
    browser.until("it waits", "document.querySelector('.empty h2')");
    assert!(
        !browser
            .js("return location.href")
            .as_str()
            .unwrap()
            .contains("token")
    );
    // From the arrival to the row, without a reload.
    browser.until("it is live", "document.querySelector('.status.live')");
    let mut rows = 0;
    // A busy machine may be late for some of them.
    eventually("a row within a second", || {
        let draft = saying(&bench, "orders", "hello inspector");
        rows += 1;
        let begun = Instant::now();
        assert_eq!(push(&bench, &draft), 201);
        browser.until("the row", &format!("{ROWS} === {rows}"));
        (begun.elapsed() < Duration::from_secs(1)).then_some(())
    });
    assert_eq!(push(&bench, &saying(&bench, "hostile", HOSTILE)), 201);
    let forged = bench.draft().sign(&key(1024));
    assert_eq!(bench.endpoint.exchange(&forged.wire()).status, 403);
    bench
        .endpoint
        .exchange(b"GET /wp-login.php HTTP/1.1\r\nHost: x\r\n\r\n");
    let rows = rows + 2;
    browser.until("all rows", &format!("{ROWS} === {rows}"));
    let text = browser.js("return document.querySelector('.list').innerText");
    assert!(
        text.as_str().unwrap().contains("Signature does not match"),
        "{text}"
    );
    // Who is not from MNS is hidden until asked for.
    browser.until("the chip", "document.querySelector('.chip:not([hidden])')");
    browser.js("document.querySelector('.chip').click()");
    browser.until("the stranger", &format!("{ROWS} === {}", rows + 1));
    browser.js("document.querySelector('.chip').click()");
    browser.until("no stranger", &format!("{ROWS} === {rows}"));
    // By a filter of the endpoint.
    browser.press("/");
    browser.press("topic:hostile gnp");
    browser.until("one is found", &format!("{ROWS} === 1"));
    // The detail shows what was published, and does nothing else.
    browser.press_key(Key::Escape);
    browser.until("all again", &format!("{ROWS} === {rows}"));
    browser.press_key(Key::Escape);
    browser.press("jj");
    browser.until("the message", "document.querySelector('.panel .code')");
    let shown = browser.js("return document.querySelector('.panel .code').innerText");
    let shown = shown.as_str().unwrap();
    for part in [
        "<script>document.title='pwned'</script><img src=x onerror=alert(1)>",
        "U+202Egnp.exe",
        "9007199254740993123",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    assert_eq!(shown.matches("\"key\"").count(), 2, "{shown}");
    assert_eq!(
        browser.js("return document.querySelectorAll('.panel img').length"),
        0
    );
    assert!(
        browser
            .js("return document.title")
            .as_str()
            .unwrap()
            .starts_with("mns-endpoint")
    );
    let copied = browser.js(
        "return [...document.querySelectorAll('.segments.small button')].map((b) => b.textContent)",
    );
    assert_eq!(copied, json!(["Readable", "As published", "Hex"]));
    browser.press("2");
    browser.until("the request", "document.querySelector('.headers')");
    let request = browser.js("return document.querySelector('.panel').innerText");
    assert!(
        request.as_str().unwrap().contains("x-mns-signing-cert-url"),
        "{request}"
    );
    let veiled = "document.querySelector('.headers .veil')";
    browser.until("the signature is veiled", veiled);
    browser.press("4");
    browser.until("the deliveries", "document.querySelector('.deliveries li')");
    browser.assert_quiet();
}

#[test]
fn the_list_keeps_its_place_and_waits_while_it_is_paused() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let (bench, admin) = bench(|options| options);
    for number in 0..60 {
        push(
            &bench,
            &saying(&bench, "orders", &format!("message {number}")),
        );
    }
    browser.goto(&page(&bench, admin, ""));
    browser.until("the rows", &format!("{ROWS} > 20"));
    // Back by Esc leads to the row that it came from, at the same place.
    browser.js("document.querySelector('.list').scrollTop = 600");
    let row = "[...document.querySelectorAll('.row:not([hidden])')].find((r) => \
        r.getBoundingClientRect().top > 400)";
    let name = browser.js(&format!("const row = {row}; row.click(); return row.id"));
    browser.until("the detail", "document.querySelector('.detail .code')");
    let place = browser.js("return document.querySelector('.list').scrollTop");
    browser.press_key(Key::Escape);
    browser.until("no detail", "!document.querySelector('.chosen')");
    assert_eq!(
        browser.js("return document.querySelector('.list').scrollTop"),
        place
    );
    assert_eq!(browser.js("return document.activeElement.id"), "list");
    let is_there = format!("document.getElementById({name})");
    browser.until("the same row is in sight", &is_there);
    // What arrives while it is read further down moves nothing.
    let top = format!("document.getElementById({name}).getBoundingClientRect().top");
    let before = browser.js(&format!("return {top}"));
    push(&bench, &saying(&bench, "orders", "one more"));
    let size = "document.querySelector('.row:not([hidden])').getAttribute('aria-setsize')";
    browser.until("it is counted", &format!("{size} === '61'"));
    assert_eq!(browser.js(&format!("return {top}")), before);
    // Paused, it counts.
    browser.press("g");
    browser.press("p");
    browser.until("it is paused", "document.querySelector('.status.paused')");
    push(&bench, &saying(&bench, "orders", "while paused"));
    browser.until(
        "one waits",
        "document.querySelector('.newer:not([hidden])')",
    );
    assert_eq!(browser.js(&format!("return {size}")), "61");
    browser.press("p");
    browser.until("it goes on", &format!("{size} === '62'"));
    // The help is made of the table that the keys are.
    browser.press("?");
    let keys = browser.until(
        "the help",
        "document.querySelector('dialog .keys')?.innerText",
    );
    assert!(keys.as_str().unwrap().contains("copy as curl"), "{keys}");
    browser.press_key(Key::Escape);
    browser.until("no help", "!document.querySelector('dialog')");
    browser.assert_quiet();
}

#[test]
fn seven_pages_are_served_and_one_that_is_hidden_has_no_stream() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let (bench, admin) = bench(|options| options);
    let address = page(&bench, admin, "");
    let streams = || {
        let shown = format!("Authorization: Bearer {}\r\n", token(&bench));
        let state = get(admin, "/api/about", &shown);
        let about: Value = serde_json::from_str(&state.body).unwrap();
        about["streams"].as_u64().unwrap()
    };
    for number in 1..=7 {
        if number > 1 {
            browser.open_tab();
        }
        browser.goto(&address);
        browser.until("it is live", "document.querySelector('.status.live')");
    }
    eventually("only the page that is seen has a stream", || {
        (streams() == 1).then_some(())
    });
    push(&bench, &saying(&bench, "orders", "for the last one"));
    browser.until("the row", &format!("{ROWS} === 1"));
    // The first one catches up when it is seen again.
    browser.first_tab();
    browser.until("the row there", &format!("{ROWS} === 1"));
    browser.assert_quiet();
}

#[test]
fn a_restart_is_noticed_and_a_wrong_token_asked_for_again() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let (bench, admin) = bench(|options| options);
    browser.goto(&format!("http://{admin}/#token=wrong"));
    browser.until("the form", "document.querySelector('.token input')");
    let refused = "document.querySelector('.wrong').innerText !== ''";
    browser.until("the one of the address is refused", refused);
    browser.press(&token(&bench));
    browser.press_key(Key::Enter);
    browser.until("it is live", "document.querySelector('.status.live')");
    // The whole address that is printed will do.
    browser.js("sessionStorage.clear()");
    browser.goto(&format!("http://{admin}/?"));
    browser.until("the form again", "document.querySelector('.token input')");
    let is_silent = browser.js("return document.querySelector('.wrong').innerText");
    assert_eq!(is_silent, "", "nobody has shown a wrong one");
    browser.press(&page(&bench, admin, ""));
    browser.press_key(Key::Enter);
    browser.until("it is live", "document.querySelector('.status.live')");
    // It stays in its tab.
    browser.goto(&format!("http://{admin}/"));
    browser.until("it is live again", "document.querySelector('.status.live')");
    assert_eq!(
        browser.js("return localStorage.length + document.cookie.length"),
        0
    );
    let (_, dir) = bench.endpoint.stop();
    browser.until(
        "it says that it is lost",
        "document.querySelector('.status.lost')",
    );
    drop(dir);
}

#[test]
fn chinese_is_whole_and_a_phone_has_no_horizontal_scroll() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let (bench, admin) = bench(|options| options);
    push(&bench, &saying(&bench, "orders", "{\"name\":\"王小明\"}"));
    let forged = bench.draft().sign(&key(1024));
    bench.endpoint.exchange(&forged.wire());
    browser.goto(&page(&bench, admin, "?lang=zh"));
    browser.until("two rows", &format!("{ROWS} === 2"));
    assert_eq!(browser.js("return document.documentElement.lang"), "zh-CN");
    browser.press("j");
    browser.until("the detail", "document.querySelector('.detail .panel *')");
    let text = browser.js("return document.body.innerText");
    let text = text.as_str().unwrap();
    for part in [
        "实时",
        "签名不匹配",
        "自称，未经验证",
        "订阅",
        "复制为 curl",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    browser.shot("zh");
    browser.press("3");
    // Before the checks have arrived the panel shows the remedy alone.
    let first = "document.querySelector('.checks') && document.querySelector('.cause p').innerText";
    let cause = browser.until("the cause", first);
    let cause = cause.as_str().unwrap();
    assert!(cause.starts_with("签名为 128 字节"), "{cause}");
    browser.press("1");
    let phone = json!({ "width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": true });
    browser.devtools("Emulation.setDeviceMetricsOverride", phone);
    for (name, query) in [("phone-zh", "?lang=zh"), ("phone", "?lang=en")] {
        browser.goto(&page(&bench, admin, query));
        browser.until("two rows", &format!("{ROWS} === 2"));
        browser.shot(name);
        let wide = "document.documentElement.scrollWidth > innerWidth";
        assert_eq!(browser.js(&format!("return {wide}")), false);
        browser.press("j");
        browser.until("the detail", "document.querySelector('.detail .panel *')");
        browser.shot(&format!("{name}-detail"));
        assert_eq!(browser.js(&format!("return {wide}")), false);
    }
    browser.assert_quiet();
}

/// axe-core by npm, once for all tests; `None` where there is no npm.
pub static AXE: LazyLock<Option<String>> = LazyLock::new(|| {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("axe");
    let file = dir.join("package/axe.min.js");
    if !file.exists() {
        std::fs::create_dir_all(&dir).unwrap();
        let fetch = "npm pack --silent axe-core@4 && tar xzf axe-core-*.tgz";
        let fetched = Command::new("/bin/sh")
            .args(["-c", fetch])
            .current_dir(&dir)
            .output();
        let is_fetched = fetched.is_ok_and(|output| output.status.success());
        assert!(
            is_fetched || std::env::var_os("REQUIRE_AXE").is_none(),
            "npm pack axe-core@4 fails"
        );
    }
    std::fs::read_to_string(file).ok()
});

/// Something of each kind.
pub fn fill(bench: &Bench) {
    let orders = "{\"event\":\"order.paid\",\"orderId\":900719925474099312,\"buyer\":{\"id\":48213,\
        \"name\":\"王小明\"},\"amount\":\"1288.00\",\"items\":[{\"sku\":\"SKU-20871\",\"qty\":2,\
        \"price\":499.50}],\"paid\":true,\"coupon\":null,\"note\":\"请在下午送达\"}";
    let payment = "<?xml version=\"1.0\"?><payment id=\"F00D\"><order>900719925474099313</order>\
        <amount currency=\"CNY\">88.00</amount><memo><![CDATA[3 < 4 & 5]]></memo></payment>";
    let stock = "eyJza3UiOiJTS1UtNTA4NTAiLCJ3YXJlaG91c2UiOiLmna3lt54tMiIsImRlbHRhIjotM30=";
    for _ in 0..3 {
        push(bench, &saying(bench, "inventory", stock));
        let tagged = saying(bench, "orders", orders).set("x-mns-message-tag", "vip");
        push(bench, &tagged);
        push(
            bench,
            &saying(bench, "alerts", "CPU of web-7 above 90 % for 5 min"),
        );
    }
    let twice = saying(bench, "orders", orders);
    push(bench, &twice);
    push(bench, &twice);
    let late = saying(bench, "user-events", HOSTILE).set("Date", crate::support::date(-3600));
    push(bench, &late);
    let forged = saying(bench, "payments", payment).sign(&key(1024));
    bench.endpoint.exchange(&forged.wire());
    bench
        .endpoint
        .exchange(b"GET /.env HTTP/1.1\r\nHost: x\r\n\r\n");
}

#[test]
fn what_only_looks_like_base64_is_shown_as_text() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let (_bench, admin) = bench(|options| options);
    browser.goto(&format!("http://{admin}/"));
    let cases = [
        ("message 5", "text"),
        ("ORDER123", "text"),
        ("2fd4e1c67a2d28fced849ee1bb76e7391b93eb12", "text"),
        ("aGVsbG8gd29ybGQ=", "base64"),
        ("aGVsbG8g\nd29ybGQ=\n", "base64"),
        // Bytes that are no text: padded, or too long to be a word.
        ("//79/Pv6+fg=", "base64"),
        ("gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp+goaKj", "base64"),
        ("20261124", "text"),
        ("[20261124]", "JSON"),
        ("<a>1</a>", "XML"),
    ];
    for (text, expected) in cases {
        let kind = browser.js_later(&format!(
            "import('/inspector/pretty.js').then(({{ read }}) => done(read({}).kind));",
            json!(text)
        ));
        assert_eq!(kind, expected, "{text}");
    }
}

#[test]
fn a_curl_command_of_a_hostile_request_arrives_byte_for_byte() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let (bench, admin) = bench(|options| options);
    browser.goto(&page(&bench, admin, ""));
    browser.until("it is live", "document.querySelector('.status.live')");
    let bodies: [&[u8]; 6] = [
        b"@/etc/hostname",
        b"$(touch pwned) `touch pwned` '; touch pwned; ' \\ \" ! \n & | < > # ~ *",
        b"'\\''\x07\x1b[31m\xe2\x80\xae\xff\xfe\x80 [1-2] {a,b}",
        "中文 '引号' \u{202e}".as_bytes(),
        b"",
        b"ends with a line feed\n\n",
    ];
    let dir = tempfile::tempdir().unwrap();
    for body in bodies {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let value = match std::str::from_utf8(body) {
            Ok(text) => json!(text),
            Err(_) => {
                use base64::Engine as _;
                json!({ "base64": base64::engine::general_purpose::STANDARD.encode(body) })
            }
        };
        let request = json!({
            "method": "POST",
            "headers": [
                ["host", "elsewhere"], ["x-mns-empty", ""], ["content-type", "text/xml"],
                ["x-mns-note", "'; touch pwned; $(touch pwned) \\ \"@\""], ["content-length", "7"],
            ],
            "body": value,
        });
        let target = "/a/../b?q=[1-2]&x='y'";
        let script = format!(
            "import('/inspector/curl.js').then(({{ curl }}) => done(curl({request}, \
             'http://{address}' + {})));",
            json!(target)
        );
        let command = browser.js_later(&script);
        let command = command.as_str().unwrap();
        let received = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let received = read_request(&mut stream);
            stream
                .write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
                .unwrap();
            received
        });
        let ran = Command::new("/bin/bash")
            .args(["-c", command])
            .current_dir(dir.path())
            .output();
        let ran = ran.unwrap();
        assert!(ran.status.success(), "{command}: {ran:?}");
        let received = received.join().unwrap();
        let at = received
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let (head, rest) = received.split_at(at);
        assert_eq!(&rest[4..], body, "{command}");
        let head = String::from_utf8(head.to_vec()).unwrap();
        let mut lines = head.lines();
        assert_eq!(
            lines.next(),
            Some(format!("POST {target} HTTP/1.1").as_str())
        );
        let lines: Vec<&str> = lines.collect();
        assert!(lines.contains(&"x-mns-empty:"), "{head}");
        assert!(
            lines.contains(&"x-mns-note: '; touch pwned; $(touch pwned) \\ \"@\""),
            "{head}"
        );
        assert!(!head.to_lowercase().contains("user-agent"), "{head}");
    }
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "nothing was run"
    );
    drop(exchange(
        admin,
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ));
}
