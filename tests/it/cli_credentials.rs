//! The origin of the client commands' endpoint and key: id, secret and token come from one source,
//! which is named.

use std::fs;
use std::path::Path;
use std::process::Command;

use http::Request;
use mns_endpoint::mns::{AccessKey, Authorization, Element};

use crate::support::{ApiHost, Ended, LocalMns, finish, program};

const DONE: (&str, &str) = ("204 No Content", "");
const TOKENS: [&str; 2] = [
    "ALIBABA_CLOUD_SECURITY_TOKEN",
    "ALIBABA_CLOUD_ACCESS_SECURITY_TOKEN",
];

/// A request to delete a topic.
fn delete(dir: &Path, args: &[&str]) -> Command {
    let mut command = program();
    command
        .current_dir(dir)
        .args(["topic", "delete", "T"])
        .args(args);
    command
}

fn with_key(command: &mut Command) -> &mut Command {
    command.env("ALIBABA_CLOUD_ACCESS_KEY_ID", "id-of-environment");
    command.env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret-of-environment")
}

/// Writes the file with that key, with the lines of `more` at its end.
fn write(dir: &Path, endpoint: &str, more: &str) {
    let base = format!(
        "[Base]\nAccessKeyId = id-of-file\nAccessKeySecret = secret-of-file\nEndpoint = \
         {endpoint}\n"
    );
    fs::write(dir.join("sample.cfg"), format!("{base}{more}")).unwrap();
}

fn address(host: &ApiHost) -> String {
    format!("http://{}", host.address)
}

fn token(request: &Request<bytes::Bytes>) -> Option<String> {
    request
        .headers()
        .get("security-token")
        .map(|token| token.to_str().unwrap().to_owned())
}

#[track_caller]
fn assert_signed(host: &ApiHost, id: &str, secret: &str, sent: Option<&str>) {
    let request = host.requests().pop().unwrap();
    let key = AccessKey {
        id: id.to_owned(),
        secret: secret.to_owned(),
    };
    let authorization =
        Authorization::parse(request.headers()["authorization"].as_bytes()).unwrap();
    assert!(
        key.authorized(&request, &authorization),
        "not signed by {id}: {request:?}"
    );
    assert_eq!(token(&request).as_deref(), sent);
}

#[test]
fn id_secret_and_token_come_from_one_source() {
    let dir = tempfile::tempdir().unwrap();
    let file = ["--sdk-config", "sample.cfg"];
    for (more, sent) in [
        ("", None),
        ("[Optional]\nSecurityToken = $SecurityToken\n", None),
        ("[Optional]\nSecurityToken =\n", None),
        (
            "[Optional]\nSecurityToken = token-of-file==\n",
            Some("token-of-file=="),
        ),
    ] {
        for variable in TOKENS {
            let host = ApiHost::start(&[DONE]);
            write(dir.path(), &address(&host), more);
            let mut command = delete(dir.path(), &file);
            finish(
                with_key(&mut command).env(variable, "token-of-environment"),
                b"",
            )
            .assert(0, "Delete Topic Succeed!");
            assert_signed(&host, "id-of-file", "secret-of-file", sent);
        }
    }
    // A file without a key, as since SDK 1.2: id, secret and token come from the environment.
    for sent in [None, Some("token-of-environment")] {
        let host = ApiHost::start(&[DONE]);
        fs::write(
            dir.path().join("sample.cfg"),
            format!("[Base]\nEndpoint = {}\n", address(&host)),
        )
        .unwrap();
        let mut command = delete(dir.path(), &file);
        with_key(&mut command).envs(sent.map(|token| (TOKENS[1], token)));
        finish(&mut command, b"").assert(0, "Delete Topic Succeed!");
        assert_signed(&host, "id-of-environment", "secret-of-environment", sent);
    }
    // The endpoint does not belong to the key.
    let host = ApiHost::start(&[DONE, DONE]);
    write(dir.path(), "http://192.0.2.1", "");
    finish(
        &mut delete(
            dir.path(),
            &[&file[..], &["--endpoint", &address(&host)]].concat(),
        ),
        b"",
    )
    .assert(0, "Succeed!");
    assert_signed(&host, "id-of-file", "secret-of-file", None);
    fs::write(
        dir.path().join("sample.cfg"),
        "[Base]\nAccessKeyId = i\nAccessKeySecret = s\n",
    )
    .unwrap();
    finish(
        delete(dir.path(), &file).env("MNS_ACCOUNT_ENDPOINT", address(&host)),
        b"",
    )
    .assert(0, "Succeed!");
    assert_signed(&host, "i", "s", None);
}

#[test]
fn half_a_key_is_not_filled_in_from_the_other_source() {
    let dir = tempfile::tempdir().unwrap();
    for (text, told) in [
        (
            "[Base]\nAccessKeyId = id\n",
            "sample.cfg has no AccessKeySecret under [Base]; id, secret and token come from one",
        ),
        (
            "[Base]\nAccessKeySecret = s\n",
            "sample.cfg has no AccessKeyId under [Base]; id, secret and token come from one",
        ),
        (
            "[Base]\nAccessKeyId =\nAccessKeySecret = s\n",
            "sample.cfg has no AccessKeyId under [Base]",
        ),
        (
            "[Base]\n[Optional]\nSecurityToken = t\n",
            "sample.cfg has a SecurityToken, but not the AccessKeyId and",
        ),
    ] {
        fs::write(dir.path().join("sample.cfg"), text).unwrap();
        let mut command = delete(
            dir.path(),
            &[
                "--sdk-config",
                "sample.cfg",
                "--endpoint",
                "http://127.0.0.1:1",
            ],
        );
        finish(with_key(&mut command), b"").assert(1, told);
    }
    let (id, secret) = (
        "ALIBABA_CLOUD_ACCESS_KEY_ID",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    );
    let endpoint = ["--endpoint", "http://127.0.0.1:1"];
    finish(delete(dir.path(), &endpoint).env(id, "a"), b"")
        .assert(1, &format!("{id} is set, but {secret} is not"));
    finish(delete(dir.path(), &endpoint).env(secret, "a"), b"")
        .assert(1, &format!("{secret} is set, but {id} is not"));
    finish(&mut delete(dir.path(), &endpoint), b"")
        .assert(1, &format!("no access key: set {id} and {secret}, or "));
    let told = "no endpoint: set MNS_ACCOUNT_ENDPOINT, or Endpoint in a file given with \
        --sdk-config or \
                MNS_ENDPOINT_SDK_CONFIG, or give --endpoint";
    finish(&mut delete(dir.path(), &[]), b"").assert(1, told);
    fs::write(dir.path().join("sample.cfg"), "[Base]\n").unwrap();
    let file = ["--sdk-config", "sample.cfg"];
    finish(&mut delete(dir.path(), &file), b"").assert(
        1,
        &format!("{told}; sample.cfg has no Endpoint under [Base]"),
    );
}

#[test]
fn the_environment_may_name_the_file_and_the_flag_goes_first() {
    let dir = tempfile::tempdir().unwrap();
    let host = ApiHost::start(&[DONE; 2]);
    write(dir.path(), &address(&host), "");
    let named = |value: &str, args: &[&str]| {
        finish(
            delete(dir.path(), args).env("MNS_ENDPOINT_SDK_CONFIG", value),
            b"",
        )
    };
    named("sample.cfg", &[]).assert(0, "Delete Topic Succeed!");
    assert_signed(&host, "id-of-file", "secret-of-file", None);
    named("none.cfg", &["--sdk-config", "sample.cfg"]).assert(0, "Delete Topic Succeed!");
    named("none.cfg", &[]).assert(
        1,
        "cannot use what MNS_ENDPOINT_SDK_CONFIG names: cannot read none.cfg",
    );
    named("", &[]).assert(1, "no endpoint: ");
    // Not a key of the configuration, whose variables have two underscores.
    finish(
        program()
            .args(["check"])
            .current_dir(dir.path())
            .env("MNS_ENDPOINT_SDK_CONFIG", "sample.cfg"),
        b"",
    )
    .assert(0, "");
}

#[test]
fn a_refused_key_is_named_with_its_source() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |code: &str| {
        let texts = [
            ("Code", code),
            ("Message", "No."),
            ("RequestId", "573A"),
            ("HostId", "h"),
        ];
        let document = Element::of_children(
            "Error",
            texts
                .map(|(name, text)| Element::of_text(name, text))
                .into(),
        );
        ApiHost::start(&[("403 Forbidden", &document.document())])
    };
    let from_file = |code: &str, more: &str, args: &[&str]| {
        let host = refused(code);
        write(dir.path(), &address(&host), more);
        let mut command = program();
        command
            .current_dir(dir.path())
            .args(args)
            .args(["--sdk-config", "sample.cfg"]);
        finish(&mut command, b"")
    };
    let told = "; the key came from sample.cfg, without a security token";
    for args in [
        &["topic", "create", "T"][..],
        &["topic", "show", "T"],
        &["topic", "list"],
        &["topic", "delete", "T"],
        &["subscription", "create", "http://a.example", "T", "S"],
        &["subscription", "show", "T", "S"],
        &["subscription", "list", "T"],
        &["subscription", "update", "T", "S", "--dlq", "q"],
        &["subscription", "delete", "T", "S"],
        &["publish", "T"],
    ] {
        from_file("AccessDenied", "", args).assert(1, told);
    }
    let list = ["topic", "list"];
    from_file("InvalidAccessKeyId", "", &list)
        .assert(1, "; check AccessKeyId there; the key came from sample.cfg");
    from_file("SignatureDoesNotMatch", "", &list).assert(
        1,
        "; check AccessKeySecret there; the key came from sample.cfg",
    );
    from_file("AccessDenied", "[Optional]\nSecurityToken = t\n", &list)
        .assert(1, "; the key came from sample.cfg, with its SecurityToken");
    let from_environment = |code: &str| {
        let host = refused(code);
        let mut command = delete(dir.path(), &["--endpoint", &address(&host)]);
        with_key(&mut command).env(TOKENS[1], "t");
        finish(&mut command, b"")
    };
    let told = "the key came from ALIBABA_CLOUD_ACCESS_KEY_ID in the environment, with the token \
        of \
                ALIBABA_CLOUD_ACCESS_SECURITY_TOKEN";
    from_environment("AccessDenied").assert(1, told);
    from_environment("SignatureDoesNotMatch")
        .assert(1, &format!("check ALIBABA_CLOUD_ACCESS_KEY_SECRET; {told}"));
    // Errors that no other key would avoid do not mention keys.
    let missing = from_file("TopicNotExist", "", &["publish", "T"]);
    assert!(!missing.stderr.contains("the key"), "{missing:#?}");
}

/// The output of the program with this file, against a real emulator with the key `emulator` and
/// that secret.
fn with_file(name: &str, text: &[u8], secret: &str) -> (Ended, String) {
    let mns = LocalMns::start(&["--access-key", &format!("emulator:{secret}")]);
    let dir = tempfile::tempdir().unwrap();
    let address = format!("http://{}", mns.address);
    let text = String::from_utf8(text.to_vec())
        .unwrap()
        .replace("http://127.0.0.1:9000", &address);
    fs::write(dir.path().join(name), text).unwrap();
    let mut command = program();
    // Another key in the environment must not matter.
    with_key(
        command
            .current_dir(dir.path())
            .args(["topic", "create", "T", "--sdk-config", name]),
    );
    (
        finish(command.env("MNS_ACCOUNT_ENDPOINT", &address), b""),
        address,
    )
}

#[test]
fn a_sample_cfg_is_read_as_the_vendors_samples_read_it_and_what_it_lacks_is_named() {
    let (semicolon, _) = with_file(
        "a.cfg",
        include_bytes!("../vectors/sample-cfg/semicolon.cfg"),
        "em;u#l",
    );
    semicolon.assert(0, "Create Topic Succeed! TopicName:T");
    let (mark, _) = with_file(
        "a.cfg",
        include_bytes!("../vectors/sample-cfg/bom.cfg"),
        "emulator",
    );
    mark.assert(0, "Create Topic Succeed! TopicName:T");
    let (no_base, _) = with_file(
        "a.cfg",
        include_bytes!("../vectors/sample-cfg/no_base.cfg"),
        "emulator",
    );
    no_base.assert(
        1,
        "cannot use what --sdk-config names: a.cfg has no section [Base]: line 1 comes before the \
         first [section]",
    );
    let (unfilled, _) = with_file(
        "a.cfg",
        include_bytes!("../vectors/sample-cfg/unfilled.cfg"),
        "emulator",
    );
    unfilled.assert(
        1,
        "Endpoint in a.cfg still is the placeholder $Endpoint: put your own value there",
    );
    for (text, secret, code, told) in [
        (
            "[Base]\nAccessKeyId : emulator\nACCESSKEYSECRET : a:b=c\nendpoint : \
             http://127.0.0.1:9000",
            "a:b=c",
            0,
            "Succeed!",
        ),
        (
            "[Base]\nAccessKeyId=emulator\nAccessKeySecret=50%%\nEndpoint=http://127.0.0.1:9000\n",
            "50%",
            0,
            "Succeed!",
        ),
        (
            "[Base]\nAccessKeyId=emulator\nAccessKeySecret=50%\nEndpoint=http://127.0.0.1:9000\n",
            "50%",
            1,
            "cannot read AccessKeySecret in a.cfg: it has a % that is followed by neither % nor \
             (name)s: write a plain % as %%",
        ),
        (
            "[base]\nAccessKeyId = emulator\n",
            "s",
            1,
            "a.cfg has no section [Base], only [base]; write [Base], in this spelling",
        ),
        ("", "s", 1, "a.cfg has no section [Base]; write [Base]"),
        (
            "[Base]\nAccessKeyId = a\nAccessKeyId = b\n",
            "s",
            1,
            "cannot read a.cfg: line 3 sets AccessKeyId a second time",
        ),
        (
            "[Base]\nAccessKeyId = a\n AccessKeySecret = b\n",
            "s",
            1,
            "AccessKeyId in a.cfg has several lines: an indented line",
        ),
        (
            "[Base]\nAccessKeyId = $AccessKeyId\nAccessKeySecret = $AccessKeySecret\nEndpoint = \
             http://127.0.0.1:9000\n",
            "s",
            1,
            "AccessKeyId in a.cfg still is the placeholder $AccessKeyId",
        ),
        (
            "[Base]\nAccessKeyId = emulator\nAccessKeySecret = $AccessKeySecret\nEndpoint = \
             http://127.0.0.1:9000\n",
            "s",
            1,
            "AccessKeySecret in a.cfg still is the placeholder $AccessKeySecret",
        ),
        (
            "[Base]\nEndpoint = 127.0.0.1\n",
            "s",
            1,
            "cannot use Endpoint in a.cfg: \"127.0.0.1\" is not an endpoint of the API",
        ),
    ] {
        let (ended, _) = with_file("a.cfg", text.as_bytes(), secret);
        ended.assert(code, told);
    }
}

#[test]
fn a_file_that_can_be_read_once_is_enough() {
    let mns = LocalMns::start(&[]);
    let text = format!(
        "[Base]\nAccessKeyId = emulator\nAccessKeySecret = emulator\nEndpoint = http://{}\n",
        mns.address
    );
    let mut command = program();
    finish(
        command.args(["topic", "create", "T", "--sdk-config", "-"]),
        text.as_bytes(),
    )
    .assert(0, "Succeed!");
    let mut command = program();
    command.args([
        "subscription",
        "create",
        "http://127.0.0.1:1",
        "T",
        "S",
        "--sdk-config",
        "-",
    ]);
    finish(&mut command, text.as_bytes()).assert(0, "Create Subscription Succeed!");
}
