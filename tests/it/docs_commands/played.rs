//! The commands that are run here, in the order in which a reader runs them.

use std::collections::BTreeMap;

use super::pages::Command;
use super::stage::Stage;

use Step::{Await, Beside, Prepare, Run, Start, Stop};

/// What happens next. All but the last two are commands of a page.
#[derive(Debug)]
pub enum Step {
    /// A command that ends with this exit code and has printed this.
    Run(&'static str, i32, &'static str),
    /// A command that shows what another process is still doing: run until it prints this.
    Await(&'static str, &'static str),
    /// A command that goes on, and has printed this before the next step.
    Start(&'static str, &'static str),
    /// Ctrl-C for the command that was started last, which has printed this then.
    Stop(&'static str),
    /// What the page leaves to the reader.
    Prepare(&'static str),
    /// The same, of a command that goes on.
    Beside(&'static str, &'static str),
}

pub struct Scene {
    pub name: &'static str,
    /// The programs without which it is skipped.
    pub needs: &'static [&'static str],
    steps: &'static [Step],
}

const PATH: Step = Run("export PATH=\"$PWD/target/debug:$PATH\"", 0, "");
const EMULATOR: Step = Start(
    "mns-endpoint emulator",
    "Start Emulator! Address: http://127.0.0.1:9000\n",
);
const SERVE: Step = Start(
    "mns-endpoint serve --listen 127.0.0.1:8080 --trust http://127.0.0.1:9000/",
    "Start Endpoint! Address: http://127.0.0.1:8080\n",
);
const ACCOUNT: Step = Run("export MNS_ACCOUNT_ENDPOINT=http://127.0.0.1:9000", 0, "");
const KEY: Step = Run(
    "export ALIBABA_CLOUD_ACCESS_KEY_ID=emulator ALIBABA_CLOUD_ACCESS_KEY_SECRET=emulator",
    0,
    "",
);
const TOPIC: Step = Run(
    "mns-endpoint topic create",
    0,
    "Create Topic Succeed! TopicName:MySampleTopic",
);
const SUBSCRIPTION: Step = Run(
    "mns-endpoint subscription create http://127.0.0.1:8080",
    0,
    "Create Subscription Succeed! TopicName:MySampleTopic SubName:MySampleTopic-Sub",
);
const PUBLISH: Step = Run(
    "mns-endpoint publish",
    0,
    "Publish Message Succeed. MessageBody:I am test message 2.",
);
const DELIVERED: Step = Run(
    "while curl -fsS http://127.0.0.1:9000/status | grep -q '\"undelivered\": [1-9]'; \
     do sleep 0.2; done",
    0,
    "",
);
const ARRIVED: Step = Await(
    "cat logs/access_log.8080 logs/endpoint_log.8080",
    "\"POST\" \"201\"\n\
     : I am test message 0.\n: I am test message 1.\n: I am test message 2.",
);

/// A service that answers 200 to everything.
const RECEIVER: Step = Beside(
    "exec python3 -uc '\
     from http.server import *\n\
     class Receiver(BaseHTTPRequestHandler):\n \
     protocol_version = \"HTTP/1.1\"\n \
     def do_POST(self): \
     self.rfile.read(int(self.headers[\"content-length\"])); \
     self.send_response(200); \
     self.send_header(\"content-length\", \"0\"); \
     self.end_headers()\n\
     server = ThreadingHTTPServer((\"127.0.0.1\", int(\":3000\"[1:])), Receiver)\n\
     print(\"ready\")\n\
     server.serve_forever()'",
    "ready",
);

pub const SCENES: &[Scene] = &[
    Scene {
        name: "the manual's seven steps",
        needs: &["python3"],
        steps: &[
            PATH,
            EMULATOR,
            Run(
                "printf '%s\\n' '[Base]' 'AccessKeyId = emulator' 'AccessKeySecret = emulator' \
                 'Endpoint = http://127.0.0.1:9000' > sample.cfg",
                0,
                "",
            ),
            Run("export MNS_ENDPOINT_SDK_CONFIG=sample.cfg", 0, ""),
            Run(
                "mns-endpoint topic create MyTopic1",
                0,
                "Create Topic Succeed! TopicName:MyTopic1",
            ),
            SERVE,
            Run(
                "mns-endpoint subscription create http://127.0.0.1:8080 MyTopic1 MyTopic1-Sub1",
                0,
                "Create Subscription Succeed! TopicName:MyTopic1 SubName:MyTopic1-Sub1",
            ),
            Run(
                "mns-endpoint publish MyTopic1",
                0,
                "Publish Message Succeed. MessageBody:I am test message 2.",
            ),
            ARRIVED,
            Start(
                "mns-endpoint logs tail --output json --state my.state --topic MyTopic1",
                "\"Message\":\"I am test message 0.\"\n\
                 \"Message\":\"I am test message 1.\"\n\
                 \"Message\":\"I am test message 2.\"",
            ),
            Stop(""),
            Prepare("mns-endpoint publish MyTopic1 --body again"),
            Start(
                "python3 examples/consumer.py mns-endpoint logs tail --output json \
                 --state my.state --ack --topic MyTopic1",
                "again",
            ),
            Run("mns-endpoint logs verify", 0, " duplicates, all whole"),
            Run(
                "mns-endpoint topic delete MyTopic1",
                0,
                "Delete Topic Succeed! TopicName:MyTopic1",
            ),
        ],
    },
    Scene {
        name: "the commands that the emulator prints",
        needs: &["curl"],
        steps: &[
            PATH,
            SERVE,
            EMULATOR,
            ACCOUNT,
            KEY,
            TOPIC,
            SUBSCRIPTION,
            PUBLISH,
            DELIVERED,
            ARRIVED,
            Stop("MySampleTopic/MySampleTopic-Sub: 3 delivered, 0 undelivered, 0 given up"),
        ],
    },
    Scene {
        name: "consumers, and what the demo shows",
        needs: &["python3"],
        steps: &[
            PATH,
            EMULATOR,
            SERVE,
            ACCOUNT,
            KEY,
            TOPIC,
            SUBSCRIPTION,
            Run(
                "mns-endpoint publish MySampleTopic",
                0,
                "Publish Message Succeed. MessageBody:I am test message 0. MessageID:",
            ),
            ARRIVED,
            Run(
                "echo hello | mns-endpoint publish --body-file -",
                0,
                "Publish Message Succeed. MessageBody:hello MessageID:",
            ),
            Prepare(
                "mns-endpoint topic create orders && mns-endpoint subscription create \
                 http://127.0.0.1:8080 orders orders-Sub && mns-endpoint publish orders --body one",
            ),
            Start(
                "python3 examples/consumer.py mns-endpoint logs tail --output json \
                 --state orders.state --ack --topic orders",
                "one",
            ),
        ],
    },
    Scene {
        name: "forgeries",
        needs: &["curl"],
        steps: &[
            PATH,
            SERVE,
            Start(
                "mns-endpoint emulator --chaos bad-signature=1,bad-md5=1,foreign-cert=1",
                "Start Emulator! ",
            ),
            ACCOUNT,
            KEY,
            TOPIC,
            SUBSCRIPTION,
            PUBLISH,
            DELIVERED,
            Stop("Forgeries: believed 0, refused 9, unanswered 0"),
        ],
    },
    Scene {
        name: "a CI job",
        needs: &["curl", "jq"],
        steps: &[
            PATH,
            Run("(step) 500 messages through a bad network", 0, "true"),
        ],
    },
    Scene {
        name: "https without a certificate",
        needs: &[],
        steps: &[
            PATH,
            Start(
                "mns-endpoint serve --self-signed --trust http://127.0.0.1:9001/",
                "Start Endpoint! Address: https://",
            ),
            Run(
                "mns-endpoint push https://localhost:8080 --ca certs/self-signed.pem",
                0,
                "201",
            ),
        ],
    },
    Scene {
        name: "the inspector",
        needs: &[],
        steps: &[
            PATH,
            Beside("mns-endpoint serve", "Start Endpoint! "),
            Await("mns-endpoint inspect", "http://127.0.0.1:9080/#token="),
            Run(
                "mns-endpoint health",
                0,
                "healthy: http://127.0.0.1:9080/readyz",
            ),
        ],
    },
    Scene {
        name: "the certificate of MNS",
        needs: &["openssl"],
        steps: &[
            PATH,
            Run(
                "openssl x509 -in certs/mns-2015.pem -noout -text -fingerprint -sha256",
                0,
                "3F:7E:DC:3C:7B:87:17:26:FC:96:14:94:A4:F2:64:D5",
            ),
            Run(
                "mns-endpoint certificate add \
                 https://mnstest.oss-cn-hangzhou.aliyuncs.com/x509_public_certificate.pem \
                 certs/mns-2015.pem",
                0,
                "a certificate of 512 bits for \
                 https://mnstest.oss-cn-hangzhou.aliyuncs.com/x509_public_certificate.pem in ",
            ),
            Prepare("cp certs/mns-2015.pem FILE"),
            Run(
                "openssl x509 -in FILE -noout -pubkey | openssl pkey -pubin -outform der | \
                 sha256sum",
                0,
                // OldKey on the same page.
                "9526635d2a5b881f7eb04b36f5e49ae3616b5b67147d284b587c914df0b0dd0b",
            ),
            Run("openssl rand -hex 32", 0, ""),
        ],
    },
    Scene {
        name: "a refused request",
        needs: &[],
        steps: &[
            PATH,
            EMULATOR,
            Prepare(
                "export MNS_ENDPOINT_SIGNING__CERTIFICATE_PREFIXES=http://127.0.0.1:9000/ \
                 MNS_ENDPOINT_ACCEPT__TOPIC_OWNERS=1",
            ),
            Beside("mns-endpoint serve", "Start Endpoint! "),
            ACCOUNT,
            KEY,
            TOPIC,
            SUBSCRIPTION,
            PUBLISH,
            Prepare(
                "kept=logs/quarantine.8080; until mv $kept/0000000001.genuine.http \
                 $kept/0000000007.genuine.http; do sleep 0.1; done",
            ),
            Await(
                "mns-endpoint explain logs/quarantine.8080/0000000007.genuine.http",
                "Verdict: serve would answer 403 (owner_not_accepted).",
            ),
            Prepare("cp logs/quarantine.8080/0000000007.genuine.http request.http"),
            Prepare("export MNS_ENDPOINT_ACCEPT__TOPIC_OWNERS="),
            Run(
                "mns-endpoint explain request.http --fetch",
                0,
                "Verdict: serve would accept it",
            ),
        ],
    },
    Scene {
        name: "an installation",
        needs: &[],
        steps: &[
            PATH,
            Prepare("mkdir -p target/dist && cp target/debug/mns-endpoint target/dist/"),
            Run(
                "sudo install -D -m 0755 target/dist/mns-endpoint /usr/local/bin/mns-endpoint",
                0,
                "",
            ),
            Run(
                "sudo install -D -m 0644 config/production.toml /etc/mns-endpoint/endpoint.toml",
                0,
                "",
            ),
            Prepare("mkdir -p etc/systemd/system var/log/mns-endpoint var/lib/mns-endpoint"),
            Run(
                "sudo install -m 0644 deploy/mns-endpoint.service deploy/mns-endpoint.socket \
                 /etc/systemd/system/",
                0,
                "",
            ),
            // What the editor does, with the account of somebody else.
            Prepare("sed -i s/your-account-id/1/ /etc/mns-endpoint/endpoint.toml"),
            Prepare("export MNS_ENDPOINT_SIGNING__CERTIFICATE_PREFIXES=http://127.0.0.1:9000/"),
            EMULATOR,
            // What systemd does, below this directory.
            Prepare(
                "sed -n 's/^ExecStart=//p' /etc/systemd/system/mns-endpoint.service | \
                 sed -E \"s:(^|[ =])/(usr|etc|var)/:\\1$PWD/\\2/:g\" >start",
            ),
            Beside("exec sh start", "Start Endpoint! "),
            ACCOUNT,
            KEY,
            TOPIC,
            SUBSCRIPTION,
            Prepare("mns-endpoint publish --body refused"),
            Prepare(
                "until [ -e /var/log/mns-endpoint/quarantine.8080/0000000001.genuine.http ]; do \
                 sleep 0.1; done",
            ),
            Prepare("sed -i 's/\"1\"/\"1269128356620446\"/' /etc/mns-endpoint/endpoint.toml"),
            Run(
                "recover() { sudo -u mns-endpoint mns-endpoint logs recover \
                 --config /etc/mns-endpoint/endpoint.toml --log-dir /var/log/mns-endpoint \
                 --set signing.certificate_dir=/var/lib/mns-endpoint/certificates \"$@\" }",
                0,
                "",
            ),
            Await("recover --dry-run", ": 1 would be recovered, "),
            Stop(""),
            Run("recover", 0, ": 1 recovered, "),
            Run(
                "mns-endpoint logs repair --log-dir /var/log/mns-endpoint --dry-run",
                0,
                "nothing to do",
            ),
        ],
    },
    Scene {
        name: "the format for lnav",
        needs: &["lnav"],
        steps: &[
            // It installs below the home directory.
            Prepare("export HOME=$PWD"),
            Run("lnav -i deploy/lnav.json", 0, "installed"),
        ],
    },
    Scene {
        name: "what the README prints in its sentences",
        needs: &[],
        steps: &[
            Start(
                "target/debug/mns-endpoint demo --stay",
                "Inspector: http://127.0.0.1:",
            ),
            Stop("3 of 3 messages: signed, pushed, verified, on disk in both logs"),
            PATH,
            Start(
                "mns-endpoint serve --listen 0.0.0.0:8081 --log-dir trial",
                "Start Endpoint! Address: http://",
            ),
            Prepare("cat trial/access_log.8081 trial/endpoint_log.8081"),
            Stop(""),
            Run("mns-endpoint check", 0, ": 0 errors, "),
        ],
    },
    Scene {
        name: "an endpoint that works, and a replay",
        needs: &["curl", "python3"],
        steps: &[
            PATH,
            EMULATOR,
            SERVE,
            ACCOUNT,
            KEY,
            Run("curl http://mns.example.com:8080/healthz", 0, "OK"),
            Prepare("mns-endpoint topic create MyTopic1"),
            Run(
                "mns-endpoint subscription create http://mns.example.com:8080 MyTopic1 \
                 MyTopic1-Sub1",
                0,
                "Create Subscription Succeed! TopicName:MyTopic1 SubName:MyTopic1-Sub1",
            ),
            Run(
                "mns-endpoint publish MyTopic1",
                0,
                "Publish Message Succeed. MessageBody:I am test message 2.",
            ),
            Await(
                "mns-endpoint logs tail --no-follow",
                "I am test message 0.\nI am test message 1.\nI am test message 2.",
            ),
            Prepare(
                "mns-endpoint topic create orders && mns-endpoint subscription create \
                 http://127.0.0.1:8080 orders orders-Sub && mns-endpoint publish orders --body one",
            ),
            Await("mns-endpoint logs tail --no-follow", "one"),
            RECEIVER,
            Run(
                "mns-endpoint logs replay --since 2h --topic orders \
                 --to http://127.0.0.1:3000/hook --state orders.state --rate 100/s",
                0,
                "Replayed 1 in ",
            ),
        ],
    },
    Scene {
        name: "forwarding",
        needs: &["python3"],
        steps: &[
            PATH,
            Prepare(
                "rm config && mkdir config && printf '%s\\n' '[forward.orders]' 'to = \"http\"' \
                 'url = \"http://127.0.0.1:3000/mns\"' > config/endpoint.toml",
            ),
            RECEIVER,
            Beside(
                "mns-endpoint serve --trust http://127.0.0.1:9001/",
                "Start Endpoint! ",
            ),
            Prepare("mns-endpoint push http://127.0.0.1:8080"),
            Await(
                "mns-endpoint forward status",
                ": 1 delivered, 0 dead letters, ",
            ),
            Run(
                "mns-endpoint forward check NAME",
                0,
                ": 0 errors, 1 warning",
            ),
            Run("forward drain [NAME] --timeout 60s", 0, "orders: forwarded"),
            Run(
                "mns-endpoint forward dead list NAME",
                0,
                "orders: 0 dead letters",
            ),
            Run("forward dead retry NAME", 0, "orders has no dead letters"),
            Stop(""),
            Run(
                "mns-endpoint forward reset NAME --to now",
                0,
                "orders: the next start forwards from ",
            ),
        ],
    },
];

impl Scene {
    pub fn commands(&self) -> impl Iterator<Item = &'static str> {
        self.steps.iter().filter_map(|step| match step {
            Run(command, _, _) | Await(command, _) | Start(command, _) => Some(*command),
            Stop(_) | Prepare(_) | Beside(_, _) => None,
        })
    }

    /// Runs its commands as `printed` on the pages.
    pub fn play(&self, printed: &BTreeMap<String, Command>) {
        let mut stage = Stage::new();
        let raw = |name: &str| match printed.get(name) {
            Some(command) => command.raw.clone(),
            // A page about one command need not name the program each time.
            None if name.starts_with("forward ") => format!("mns-endpoint {name}"),
            None => name.to_owned(),
        };
        for step in self.steps {
            match step {
                Run(command, code, expected) => stage.run(&raw(command), *code, expected),
                Await(command, expected) => stage.await_output(&raw(command), expected),
                Start(command, expected) => stage.start(&raw(command), expected),
                Stop(expected) => stage.stop(expected),
                Prepare(command) => stage.run(command, 0, ""),
                Beside(command, expected) => stage.start(command, expected),
            }
        }
    }
}
