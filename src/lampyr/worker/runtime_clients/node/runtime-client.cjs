// The Runtime API over one kept-alive socket, in place of aws-lambda-ric's `rapid-client.node`.
//
// aws-lambda-ric asks for a native module of that name and calls its three functions; nothing of
// AWS's code is changed. A response is held back until `next` is called, which the runtime does at
// once, so that both requests leave in one write. What the platform answers to the response is read
// before the next invocation. A refusal (413 for a response over the limit) is logged as AWS's
// client logs it, and the runtime goes on: the platform has told the caller already.
//
// While the function runs, the socket does not keep the event loop alive: a handler with a callback
// is over when the loop is empty.
"use strict";

const Module = require("node:module");
const fs = require("node:fs");
const net = require("node:net");
const flags = require("./flags.cjs");

const PREFIX = "/2018-06-01/runtime/invocation/";
const CAUSE_BYTES_MAX = 32 * 1024;
const ONE_WRITE_CHARACTERS_MAX = 64 * 1024;
const HEAD_END = Buffer.from("\r\n\r\n");
const READ_BYTES = 64 * 1024;
const ACCEPTED = 202;
// The address of the Runtime API in a sandbox that has a network of its own, and where it listens
// as well in such a network: cheaper for each message than TCP.
const OWN_NETWORK = "127.0.0.1:9001";
const LOCAL = "\0lampyr-runtime-api".padEnd(108, "\0");
const EXIT_MILLISECONDS_MAX = 1000;

let api = ""; // Host and port. A process that waits for its function is told them last.
let nextRequest = "";
let socket = null;
let overTcp = false; // The cheaper way was not there.
let answered = false; // Whether this connection has served: only then may it have gone stale.
let unread = null; // What came in and is not a whole answer yet.
let missing = 0; // How many bytes of the answer in `parts` are still to come.
let parts = [];
let held = null; // The response that waits for `next`: { head, body, what }.
let sent = null; // The response that was sent and is not answered yet.
let accepted = null; // The bytes of a whole answer that said so: the same nearly every time.
let timer = null; // Sends what `next` was not called for.
let waiter = null; // The promise of `next`: { resolve, reject }.

function locate() {
  api = process.env.AWS_LAMBDA_RUNTIME_API;
  const agent = `aws-lambda-nodejs/${process.version}`;
  nextRequest = `GET ${PREFIX}next HTTP/1.1\r\nHost: ${api}\r\nUser-Agent: ${agent}\r\n\r\n`;
}

// The function has been loaded.
function begin() {
  locate();
  flags.putBack();
}

function post(path, body, headers, what) {
  if (api === "") locate();
  if (held !== null) flush();
  const length = Buffer.byteLength(body);
  const head =
    `POST ${PREFIX}${path} HTTP/1.1\r\nHost: ${api}\r\nContent-Type: application/json\r\n` +
    `${headers}Content-Length: ${length}\r\n\r\n`;
  held = { head, body, what };
  // Should the runtime not ask for the next invocation at once, the response goes alone.
  timer ??= setTimeout(look, 1).unref();
}

function look() {
  timer = null;
  flush();
}

function flush() {
  if (held !== null) send("");
}

function send(next) {
  if (socket === null) connect();
  if (held === null) {
    write(next);
    return;
  }
  sent = held;
  held = null;
  if (sent.body.length < ONE_WRITE_CHARACTERS_MAX) {
    write(sent.head + sent.body + next);
    return;
  }
  socket.cork();
  socket.write(sent.head, "utf8");
  socket.write(sent.body, "utf8");
  if (next !== "") socket.write(next, "latin1");
  socket.uncork();
}

// A stream takes three times as long as the system call, which it is for what has to wait.
function write(text) {
  const fd = socket.connecting || socket.writableLength > 0 ? undefined : socket._handle?.fd;
  if (fd === undefined || fd < 0) {
    socket.write(text, "utf8");
    return;
  }
  let count = 0;
  try {
    count = fs.writeSync(fd, text, null, "utf8");
  } catch {
    // The stream meets the same error, and says so in its events.
  }
  if (count < Buffer.byteLength(text)) socket.write(Buffer.from(text).subarray(count));
}

function connect() {
  const split = api.lastIndexOf(":");
  const local = api === OWN_NETWORK && !overTcp;
  const where = local
    ? { path: LOCAL }
    : { port: Number(api.slice(split + 1)), host: api.slice(0, split), noDelay: true };
  const onread = {
    buffer: Buffer.allocUnsafeSlow(READ_BYTES),
    callback(count, buffer) {
      if (made === socket) receive(buffer.subarray(0, count));
      return true;
    },
  };
  const made = net.connect({ ...where, onread });
  made.on("error", (error) => {
    // "close" follows, and says what it means: here, to try again in the other way.
    if (local && error.syscall === "connect") overTcp = answered = true;
  });
  made.on("close", () => lost(made));
  if (waiter === null) made.unref();
  socket = made;
  answered = false;
  unread = null;
  missing = 0;
  parts = [];
}

function lost(which) {
  if (which !== socket) return;
  const stale = answered;
  socket = null;
  if (sent !== null && !sent.again) {
    // Not known to have arrived: once more. The platform refuses a response it has already.
    held = { ...sent, again: true };
  } else if (sent !== null) {
    complain(0);
  }
  sent = null;
  if (waiter === null) {
    flush();
  } else if (stale || held !== null) {
    send(nextRequest);
  } else {
    const { reject } = waiter;
    waiter = null;
    reject(new Error("Failed to get next invocation, error -1"));
  }
}

// `data` is read into again by whoever comes next: what is to stay is copied.
function receive(data) {
  if (missing > 0) {
    parts.push(Buffer.from(data));
    missing -= data.length;
    if (missing > 0) return;
    data = Buffer.concat(parts);
    parts = [];
    missing = 0;
  } else if (unread !== null) {
    data = Buffer.concat([unread, data]);
    unread = null;
  }
  let at = 0;
  if (sent !== null && isAccepted(data)) {
    sent = null;
    answered = true;
    at = accepted.length;
  }
  while (at < data.length) {
    const end = data.indexOf(HEAD_END, at);
    if (end < 0) {
      unread = Buffer.from(data.subarray(at));
      return;
    }
    const headers = parse(data.utf8Slice(at, end));
    const whole = end + HEAD_END.length + Number(headers["content-length"] || 0);
    if (data.length < whole) {
      parts = [Buffer.from(data.subarray(at))];
      missing = whole - data.length;
      return;
    }
    if (headers.status === ACCEPTED) accepted = Buffer.from(data.subarray(at, whole));
    settle(headers, data, end + HEAD_END.length, whole);
    at = whole;
  }
}

function isAccepted(data) {
  if (accepted === null || data.length < accepted.length) return false;
  return accepted.compare(data, 0, accepted.length) === 0;
}

function parse(head) {
  const lines = head.split("\r\n");
  const headers = { status: Number(lines[0].slice(9, 12)) };
  for (let at = 1; at < lines.length; at += 1) {
    const line = lines[at];
    const colon = line.indexOf(":");
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return headers;
}

function settle(headers, data, start, end) {
  answered = true;
  const { status } = headers;
  if (sent !== null) {
    if (status < 200 || status >= 300) complain(status);
    sent = null;
    return;
  }
  if (waiter === null) return;
  const { resolve, reject } = waiter;
  waiter = null;
  socket.unref();
  if (status === 200) {
    resolve({ bodyJson: data.utf8Slice(start, end), headers });
  } else {
    reject(new Error(`Failed to get next invocation, error ${status}`));
  }
}

function complain(status) {
  process.stderr.write(
    `[ERROR] [${Date.now()}] LAMBDA_RUNTIME Failed to post handler ${sent.what}. ` +
      `Http response code: ${status}. \n`,
  );
}

// The runtime reports an uncaught exception and exits in the same breath: what is held goes out
// now, and its answer is waited for, so that the report is there before the process is gone.
function flushAtExit() {
  const fd = socket?._handle?.fd;
  if (held === null || fd === undefined || fd < 0) return;
  const deadline = Date.now() + EXIT_MILLISECONDS_MAX;
  const pause = new Int32Array(new SharedArrayBuffer(4));
  const patiently = (operation) => {
    for (;;) {
      try {
        return operation();
      } catch (error) {
        if (error.code !== "EAGAIN" || Date.now() > deadline) return 0;
        Atomics.wait(pause, 0, 0, 1);
      }
    }
  };
  let data = Buffer.from(held.head + held.body);
  held = null;
  while (data.length > 0) {
    const count = patiently(() => fs.writeSync(fd, data));
    if (count === 0) return;
    data = data.subarray(count);
  }
  patiently(() => fs.readSync(fd, Buffer.alloc(4096)));
}

process.on("exit", flushAtExit);

const client = {
  initializeClient() {},
  next() {
    return new Promise((resolve, reject) => {
      waiter = { resolve, reject };
      if (socket !== null) socket.ref();
      if (api === "") begin();
      send(nextRequest);
    });
  },
  done(id, body) {
    post(`${id}/response`, body, "", "success response");
  },
  error(id, body, cause) {
    const fits = cause !== "" && Buffer.byteLength(cause) < CAUSE_BYTES_MAX;
    const header = `Lambda-Runtime-Function-XRay-Error-Cause: ${cause.replace(/[\r\n]/g, " ")}\r\n`;
    post(`${id}/error`, body, fits ? header : "", "error response");
  },
};

const load = Module._load;
Module._load = function (request, ...rest) {
  if (request !== "./rapid-client.node") return load.call(this, request, ...rest);
  Module._load = load;
  return client;
};
