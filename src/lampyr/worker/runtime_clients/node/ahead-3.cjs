// What a process that waits for its function loads of AWS's client, generation 3: all of it. Of the
// environment it has then looked at what `forks.py` lists.
"use strict";

const client = require("./client.cjs");

const loaded = client.load();

exports.start = () => client.start(loaded);
