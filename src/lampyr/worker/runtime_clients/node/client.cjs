// AWS's client, which is an ES module, loaded as CommonJS (`index.cjs`: the same lines, but for those
// that import and export): that takes 15 ms less of a start, as nothing of the other loader is needed
// before a function is. It has the name that it has at AWS, which stack traces show.
"use strict";

const fs = require("node:fs");
const Module = require("node:module");
const seldom = require("./seldom.cjs");
require("./runtime-client.cjs");

const PLACE = "/var/runtime/index.mjs";

// Generation 4 begins to work as soon as it is loaded; generation 3 exports what is to be called.
function load() {
  const client = new Module(PLACE);
  client.filename = PLACE;
  client.require = (name) => seldom.get(name) ?? Module.prototype.require.call(client, name);
  client._compile(fs.readFileSync(`${__dirname}/index.cjs`, "utf8"), `file://${PLACE}`);
  return client.exports;
}

// A function that cannot be loaded, as what an ES module awaits fails.
function uncaught(error) {
  process.nextTick(() => {
    throw error;
  });
}

// `loaded`: where that was done before.
function start(loaded) {
  process.argv[1] = PLACE;
  process.mainModule = undefined; // As where an ES module is started.
  const { run } = loaded ?? load();
  run?.(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER).catch(uncaught);
}

module.exports = { load, start };
