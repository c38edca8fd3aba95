// Loaded by park.cjs, and as small as the module of a function may be.
"use strict";

exports.handler = async (event) => event;
