// Node.js brings its own modules in compiled form, and V8 takes that only where no flag of its own
// differs from those that they were compiled with. A heap's limits are such flags, though they are
// read once, when the heap is made, and `gc` is there by then, too. So they are as they were until
// the function is loaded, with whatever modules of Node.js it wants: a third less of a start.
// From then on they are what a worker thread's heap is made with, and what AWS starts with.
"use strict";

const USUAL = {
  "--expose-gc": "--no-expose-gc",
  "--max-old-space-size": "--max-old-space-size=0",
  "--max-semi-space-size": "--max-semi-space-size=0",
};

let aside = [];

// What `v8` exports, without the modules that it loads: those would be compiled before this runs.
function setter() {
  const silent = process.noDeprecation;
  process.noDeprecation = true;
  try {
    return process.binding("v8").setFlagsFromString ?? require("node:v8").setFlagsFromString;
  } catch {
    return require("node:v8").setFlagsFromString;
  } finally {
    if (silent === undefined) delete process.noDeprecation;
    else process.noDeprecation = silent;
  }
}

function setAside() {
  aside = process.execArgv.filter((word) => word.split("=")[0] in USUAL);
  if (aside.length === 0) return;
  const set = setter();
  for (const word of aside) set(USUAL[word.split("=")[0]]);
}

function putBack() {
  if (aside.length === 0) return;
  const set = setter();
  for (const word of aside) set(word);
  aside = [];
}

module.exports = { setAside, putBack };
