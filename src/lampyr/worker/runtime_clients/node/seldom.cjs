// What of Node.js AWS's client (generation 3) loads as it starts and needs seldom: HTTP for a streamed
// response and an error of Init, assertions for an event without an id. Each stands in for a module,
// with as much of it as the client uses, and loads that when it is used: 13 modules less in a start.
"use strict";

class Agent {
  #options;
  #made = null;

  constructor(options) {
    this.#options = options;
  }

  get made() {
    this.#made ??= new (require("node:http").Agent)(this.#options);
    // Set anew for each streamed response.
    if (this.createConnection !== undefined) this.#made.createConnection = this.createConnection;
    return this.#made;
  }
}

const http = {
  Agent,
  request: (options, ...more) =>
    require("node:http").request({ ...options, agent: options.agent.made }, ...more),
};

const assert = {
  strict: {
    ok(value, message) {
      if (!value) require("node:assert").strict.ok(value, message);
    },
  },
};

module.exports = new Map(Object.entries({ assert, http }));
