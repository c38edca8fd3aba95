// What Node.js is started with before it is known for which function. It loads what any function's
// start loads, waits on stdin for the variables of one, and goes on as if it had been started with
// them. Nothing is in the event loop meanwhile: reading blocks.
//
// What it has loaded is compiled when it first runs, which takes longer than loading. So it rehearses
// what comes next: it loads modules, and calls a server of its own, in the sandbox's own network.
"use strict";

require("./flags.cjs").setAside();
const fs = require("node:fs");
require("node:assert");
require("node:async_hooks");
require("node:buffer");
require("node:crypto");
require("node:events");
require("node:http");
require("node:https");
require("node:module");
const net = require("node:net");
require("node:os");
require("node:path");
require("node:stream");
require("node:timers");
require("node:tls");
require("node:url");
require("node:util");
require("node:worker_threads");
require("node:zlib");
const { start } = require("./ahead.cjs");

async function rehearse() {
  require("./rehearsal.cjs");
  await import("./rehearsal.mjs");
  await new Promise((resolve) => {
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

function variables() {
  const chunk = Buffer.alloc(65536);
  const parts = [];
  for (let count; (count = fs.readSync(0, chunk)) > 0; ) {
    parts.push(Buffer.from(chunk.subarray(0, count)));
  }
  const told = Buffer.concat(parts).toString();
  if (told === "") process.exit(0); // Lampyr is gone, or wants it no longer.
  return JSON.parse(told);
}

rehearse().then(() => {
  const told = variables();
  fs.closeSync(0);
  fs.openSync("/dev/null", "r"); // The lowest free descriptor, which is 0.
  for (const name of Object.keys(process.env)) if (!(name in told)) delete process.env[name];
  Object.assign(process.env, told);
  process.chdir("/var/task");
  start();
});
