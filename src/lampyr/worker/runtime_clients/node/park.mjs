// What Node.js is started with before it is known for which function. It loads what any function's
// start loads, waits on stdin for the variables of one, and goes on as if it had been started with
// them. Nothing is in the event loop meanwhile: reading blocks.
import fs from "node:fs";
import "node:assert";
import "node:async_hooks";
import "node:buffer";
import "node:crypto";
import "node:events";
import "node:http";
import "node:https";
import "node:module";
import "node:net";
import "node:os";
import "node:path";
import "node:stream";
import "node:timers";
import "node:tls";
import "node:url";
import "node:util";
import "node:worker_threads";
import "node:zlib";

const chunk = Buffer.alloc(65536);
const parts = [];
for (let count; (count = fs.readSync(0, chunk)) > 0; ) parts.push(Buffer.from(chunk.subarray(0, count)));
const told = Buffer.concat(parts).toString();
if (told === "") process.exit(0); // Lampyr is gone, or wants it no longer.
fs.closeSync(0);
fs.openSync("/dev/null", "r"); // The lowest free descriptor, which is 0.
const variables = JSON.parse(told);
for (const name of Object.keys(process.env)) if (!(name in variables)) delete process.env[name];
Object.assign(process.env, variables);
process.argv[1] = "/var/runtime/start.mjs";
process.chdir("/var/task");
await import("./start.mjs");
