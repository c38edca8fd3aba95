// What Node.js is started with before it is known for which function. It loads what any function's
// start loads, waits on stdin for the variables of one, and goes on as if it had been started with
// them. Nothing is in the event loop meanwhile: reading blocks.
//
// What it has loaded is compiled when it first runs, which takes longer than loading. So it rehearses
// what comes next: it loads a module, and calls a server of its own, in the sandbox's own network.
import fs from "node:fs";
import "node:assert";
import "node:async_hooks";
import "node:buffer";
import "node:crypto";
import "node:events";
import "node:http";
import "node:https";
import { createRequire } from "node:module";
import net from "node:net";
import "node:os";
import "node:path";
import "node:stream";
import "node:timers";
import "node:tls";
import "node:url";
import "node:util";
import "node:worker_threads";
import "node:zlib";
import { start } from "./ahead.mjs";

function rehearse() {
  createRequire(import.meta.url)("./rehearsal.cjs");
  return new Promise((resolve) => {
    const server = net.createServer((peer) => {
      peer.on("error", () => {});
      peer.once("data", () => peer.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "latin1"));
    });
    server.on("error", resolve);
    server.listen(0, "127.0.0.1", () => {
      const client = net.connect(server.address().port, "127.0.0.1");
      client.setNoDelay(true);
      client.on("data", (data) => JSON.parse(data.utf8Slice(data.indexOf("\r\n\r\n") + 4)));
      client.on("error", () => {});
      client.on("close", () => server.close(resolve));
      client.unref();
      client.ref();
      client.write("GET / HTTP/1.1\r\n\r\n", "latin1");
    });
  });
}

await rehearse();
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
await start();
