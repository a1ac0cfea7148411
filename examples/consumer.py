"""Works off rows of the endpoint log, each at least once: see README.md."""

import json
import subprocess
import sys

with subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as tail:
    for line in tail.stdout:
        row = json.loads(line)
        print(row["outcome"], row.get("MessageId"), row.get("Message"), flush=True)
        # Only now it is done: after a crash before this line it comes again.
        tail.stdin.write(row["position"].encode() + b"\n")
        tail.stdin.flush()
sys.exit(tail.returncode)
