//! The commands that are not run here: the tests that run them, or the reasons why none does.

/// A command, the file and the test in it that runs it, and what in that file shows so.
pub const ELSEWHERE: &[(&str, &str, &str, &str)] = &[
    (
        "cargo run -- demo",
        "tests/it/demo.rs",
        "the_seven_steps_of_the_manual_are_shown_with_their_lines",
        "[&[\"demo\"], args]",
    ),
    (
        "cargo run -- demo --chaos",
        "tests/it/demo.rs",
        "the_same_seed_gives_the_same_chaos_and_nothing_is_lost",
        "[\"--chaos\", \"--count\"",
    ),
    (
        "target/debug/mns-endpoint demo --chaos",
        "tests/it/demo.rs",
        "the_same_seed_gives_the_same_chaos_and_nothing_is_lost",
        "[\"--chaos\", \"--count\"",
    ),
    (
        "cargo lint",
        ".ci/run",
        "cargo clippy",
        "\ncargo clippy --all-targets --all-features --locked -- -D warnings\n",
    ),
    (
        "cargo deny check bans licenses sources",
        ".ci/run",
        "cargo deny --locked check",
        "cargo deny --locked check bans licenses sources\n",
    ),
    (
        "deploy/check",
        ".ci/run",
        "deploy/check",
        "deploy/check --self-test\n",
    ),
    ("fuzz/run", ".ci/run", "fuzz/run", "\n    fuzz/run\n"),
    (
        "scripts/instructions",
        ".ci/run",
        "scripts/instructions",
        "\n    scripts/instructions\n",
    ),
    (
        "tests/nats/install",
        ".ci/run",
        "tests/nats/install",
        "\n    tests/nats/install\n",
    ),
    (
        "tests/power-cut/run",
        ".ci/run",
        "tests/power-cut/run",
        "\n    tests/power-cut/run --bin ",
    ),
    (
        "tests/sdk/run",
        ".ci/run",
        "tests/sdk/run",
        " tests/sdk/run\n",
    ),
    (
        "go run examples/consumer.go",
        "tests/it/examples.rs",
        "every_consumer_works_off_each_row_and_does_not_get_it_again",
        "(\"go\", \"consumer.go\")",
    ),
    (
        "node examples/consumer.mjs",
        "tests/it/examples.rs",
        "every_consumer_works_off_each_row_and_does_not_get_it_again",
        "(\"node\", \"consumer.mjs\")",
    ),
    (
        "sh examples/consumer.sh",
        "tests/it/examples.rs",
        "every_consumer_works_off_each_row_and_does_not_get_it_again",
        "(\"sh\", \"consumer.sh\")",
    ),
    (
        "cargo run --example consume -- SERVER STREAM DURABLE COUNT",
        "tests/it/forward_nats.rs",
        "the_consumers_of_a_stream_get_each_notification",
        "built_example(\"consume\")",
    ),
    (
        "python3 consume.py SERVER STREAM DURABLE COUNT",
        "tests/it/forward_nats.rs",
        "the_consumers_of_a_stream_get_each_notification",
        "examples/consume/consume.py",
    ),
    (
        "cargo run --locked -- demo",
        "tests/it/demo.rs",
        "the_seven_steps_of_the_manual_are_shown_with_their_lines",
        "[&[\"demo\"], args]",
    ),
    (
        "cargo test --locked",
        ".ci/run",
        "cargo test --locked",
        "\ncargo test --locked\n",
    ),
    (
        "helm install mns deploy/helm/mns-endpoint \
         --set image.repository=registry.example.com/mns-endpoint \
         --set-string 'config.accept.topic_owners={1269128356620446}' \
         --set config.server.public_url=http://mns.example.com/notifications \
         --set service.type=LoadBalancer",
        "tests/deploy/chart.py",
        "command_findings",
        "^helm install ",
    ),
    (
        "HTTP_PROXY=http://127.0.0.1:9000 node program.js",
        "tests/sdk/test_node.py",
        "test_a_client_whose_address_is_fixed_reaches_the_emulator_as_its_proxy",
        "HTTP_PROXY=emulator.url",
    ),
    (
        "awk -v RS= -v ORS='\\n\\n' \
         '/\\nMessageId +: 5FF938E388F0DBEB590F53E27F96C66D(\\n|$)/' logs/endpoint_log.8080",
        "tests/it/shippers.rs",
        "the_command_of_the_docs_prints_one_whole_record",
        "line.starts_with(\"awk \")",
    ),
];

const DOCKER: &str = "needs Docker";
const CLUSTER: &str = "needs a Kubernetes cluster";
const SYSTEMD: &str = "needs root and systemd";
const LONG: &str = "takes minutes to hours of a quiet machine: .ci/long runs it";
const BUILD: &str = "builds for minutes what no test uses";
const MENTION: &str = "the name of a command, not one to type";

/// A command and the reason why no test runs it.
pub const NOT_RUN: &[(&str, &str)] = &[
    (".ci/run", "runs every check, this one too"),
    (".ci/long", LONG),
    (".ci/long kill9 attack-slots", LONG),
    ("tests/attack/clock", LONG),
    ("tests/attack/cold-start", LONG),
    ("tests/attack/damage", LONG),
    ("tests/attack/disk", LONG),
    ("tests/attack/slots", LONG),
    ("fuzz/run 600 xml", LONG),
    ("scripts/bench", "needs a quiet machine, to measure"),
    ("cargo bench", MENTION),
    ("cargo run", MENTION),
    ("cargo test", MENTION),
    ("cargo it", "the integration tests, this one too"),
    ("cargo tidy", "a part of the integration tests"),
    ("UPDATE_MAP=1 cargo tidy", "changes a page"),
    (
        "cargo bench --features criterion",
        "needs a quiet machine, to measure",
    ),
    ("cargo build --profile dist --locked", BUILD),
    ("cargo build --release --locked", BUILD),
    ("cargo install --locked --path .", BUILD),
    (
        "cargo deny check advisories",
        "needs a database on the network",
    ),
    (
        "cargo update --workspace --manifest-path fuzz/Cargo.toml",
        "changes a lock file",
    ),
    ("chown -R 10001:10001 DIR", "needs root"),
    (
        "echo 3 > /proc/sys/vm/drop_caches",
        "needs root, and slows the machine down",
    ),
    ("lnav logs/endpoint_log.8080", "a program for a terminal"),
    (
        "nc -l -p 8080 > request.http",
        "which netcat there is differs",
    ),
    ("journalctl -u mns-endpoint", SYSTEMD),
    ("systemctl reload", SYSTEMD),
    ("docker exec CONTAINER /mns-endpoint logs tail -f", DOCKER),
    ("docker exec mns-endpoint /mns-endpoint logs tail", DOCKER),
    ("docker logs C 2>/dev/null | grep '^{' | jq .", DOCKER),
    ("docker logs mns-endpoint", DOCKER),
    ("docker run -p 127.0.0.1:9080:9080", DOCKER),
    ("docker stop --time", DOCKER),
    ("docker build -t mns-endpoint .", DOCKER),
    (
        "docker run -d --name mns-endpoint -p 8080:8080 -v mns-logs:/logs -v mns-state:/state \
         -e TZ=Asia/Shanghai -e MNS_ENDPOINT_SERVER__PUBLIC_URL=http://mns.example.com:8080 \
         -e MNS_ENDPOINT_ACCEPT__TOPIC_OWNERS=1269128356620446 mns-endpoint",
        DOCKER,
    ),
    (
        "docker compose -f deploy/compose.yaml up --build -d",
        DOCKER,
    ),
    (
        "docker compose -f deploy/compose.yaml run --rm topic publish MySampleTopic",
        DOCKER,
    ),
    (
        "docker compose -f deploy/compose.yaml logs endpoint-1 endpoint-2",
        DOCKER,
    ),
    ("docker exec CONTAINER /mns-endpoint inspect", DOCKER),
    (
        "docker run --read-only --cap-drop ALL --security-opt no-new-privileges \
         -v mns-logs:/logs -v mns-state:/state ...",
        DOCKER,
    ),
    ("helm test mns", CLUSTER),
    (
        "kubectl create secret generic mns-endpoint \
         --from-literal=admin-token=\"$(openssl rand -hex 32)\"",
        CLUSTER,
    ),
    ("kubectl apply -f deploy/kubernetes/", CLUSTER),
    (
        "sudo useradd --system --home-dir /var/lib/mns-endpoint --shell /usr/sbin/nologin \
         mns-endpoint",
        "needs root, and adds a user",
    ),
    ("sudoedit /etc/mns-endpoint/endpoint.toml", "an editor"),
    ("sudo systemctl daemon-reload", SYSTEMD),
    (
        "sudo systemctl enable --now mns-endpoint.socket mns-endpoint.service",
        SYSTEMD,
    ),
    ("systemctl status mns-endpoint.service", SYSTEMD),
    (
        "sudo systemctl stop mns-endpoint.socket mns-endpoint.service",
        SYSTEMD,
    ),
    (
        "sudo systemctl start mns-endpoint.socket mns-endpoint.service",
        SYSTEMD,
    ),
    (
        "timeout 60 tcpdump -i any -U -w - 'tcp dst port 8080' > push.pcap",
        "needs root, to read the network",
    ),
    (
        "tshark -r push.pcap -Y 'tcp.stream eq 0' -T fields -e tcp.payload | tr -d '\\n' | \
         xxd -r -p > request.http",
        "needs what tcpdump has captured",
    ),
];

/// The first lines of blocks that look like a command but are something else, and what they are.
pub const NO_COMMANDS: &[(&str, &str)] = &[
    ("address = prefix file", "a grammar"),
    ("upstream mns_endpoint {", "a configuration of nginx"),
    (
        "/var/log/mns-endpoint/access_log.8080 /var/log/mns-endpoint/endpoint_log.8080 {",
        "a configuration of logrotate",
    ),
    (
        "warning server.public_url: http://10.0.0.5:8080 is private, and MNS cannot reach it: \
         set the one that it can reach",
        "output of check",
    ),
];

/// The programs whose commands within sentences and tables count, beside the scripts of this
/// repository.
pub const PROGRAMS: &[&str] = &[
    "awk",
    "cargo",
    "chown",
    "curl",
    "docker",
    "echo",
    "go",
    "helm",
    "journalctl",
    "jq",
    "kubectl",
    "lnav",
    "nats",
    "nc",
    "node",
    "openssl",
    "python3",
    "sed",
    "sh",
    "sudo",
    "systemctl",
];
