//! Credentials with an nkey, alone and with a JWT, at a real server. Only with the feature
//! `nats-nkeys`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mns_endpoint::forward::{Login, NatsOptions, Reason};
use nkeys::KeyPair;
use serde_json::{Value, json};

use crate::forward_nats::{is_down, is_stored, message, options, start, until};
use crate::support::{Nats, NatsSetup};

/// A JWT of `subject`, signed by `issuer`, as the tools of NATS make it.
fn jwt(issuer: &KeyPair, subject: &KeyPair, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = part(&json!({"typ": "JWT", "alg": "ed25519-nkey"}));
    let body = part(&json!({
        "jti": "test",
        "iat": 1_700_000_000,
        "iss": issuer.public_key(),
        "sub": subject.public_key(),
        "name": "test",
        "nats": claims,
    }));
    let signed = format!("{head}.{body}");
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

/// Checks that the server refuses the credentials of another user, and that the right ones are then
/// read from the same file.
async fn check(lines: String, wrong: &str, right: &str) {
    let setup = NatsSetup {
        lines,
        ..NatsSetup::default()
    };
    let Some(nats) = Nats::one(&setup) else {
        return;
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let first = message("M1", "m");
    let sink = start(&NatsOptions {
        login: Login::Credentials(file.path().to_owned()),
        ..options(nats.urls())
    });
    for refused in ["", wrong] {
        std::fs::write(file.path(), refused).unwrap();
        let sent = until(&sink, &first, is_down(Reason::Forbidden)).await;
        sent.unwrap_err();
    }
    std::fs::write(file.path(), right).unwrap();
    until(&sink, &first, is_stored).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seed_of_an_nkey_is_enough_where_the_server_knows_it() {
    let (known, stranger) = (KeyPair::new_user(), KeyPair::new_user());
    let lines = format!(
        "authorization {{ users: [ {{ nkey: {} }} ] }}",
        known.public_key()
    );
    check(lines, &stranger.seed().unwrap(), &known.seed().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jwt_is_believed_with_the_key_that_it_was_made_for() {
    let [operator, account, system] = [
        KeyPair::new_operator(),
        KeyPair::new_account(),
        KeyPair::new_account(),
    ];
    let (user, stranger) = (KeyPair::new_user(), KeyPair::new_user());
    let of_account = json!({
        "type": "account",
        "version": 2,
        "limits": {
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
            "wildcards": true, "conn": -1, "leaf": -1, "mem_storage": -1, "disk_storage": -1,
            "streams": -1, "consumer": -1,
        },
        "default_permissions": {"pub": {}, "sub": {}},
    });
    let unlimited = json!({
        "type": "account",
        "version": 2,
        "limits": {
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
            "wildcards": true, "conn": -1, "leaf": -1,
        },
        "default_permissions": {"pub": {}, "sub": {}},
    });
    let of_user = json!({
        "type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1,
    });
    let of_operator = json!({"type": "operator", "version": 2});
    let lines = format!(
        "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {}, {}: {} }}",
        jwt(&operator, &operator, &of_operator),
        system.public_key(),
        account.public_key(),
        jwt(&operator, &account, &of_account),
        system.public_key(),
        jwt(&operator, &system, &unlimited),
    );
    let credentials = |seed: &KeyPair| {
        format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            jwt(&account, &user, &of_user),
            seed.seed().unwrap()
        )
    };
    check(lines, &credentials(&stranger), &credentials(&user)).await;
}
