// Works off rows of the endpoint log, each at least once: see README.md.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const [command, ...args] = process.argv.slice(2);
const tail = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
tail.on("exit", (code) => { process.exitCode = code ?? 1; });
for await (const line of createInterface({ input: tail.stdout })) {
  const row = JSON.parse(line);
  console.log(row.outcome, row.MessageId, row.Message);
  // Only now it is done: after a crash before this line it comes again.
  tail.stdin.write(`${row.position}\n`);
}
