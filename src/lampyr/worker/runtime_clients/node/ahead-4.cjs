// What a process that waits for its function loads of AWS's client. Generation 4 of that begins to
// work as soon as it is loaded.
"use strict";

const client = require("./client.cjs");

exports.start = () => client.start();
