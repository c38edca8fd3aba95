// Starts AWS's Node.js runtime client on Lampyr's own Runtime API client.
"use strict";

require("./flags.cjs").setAside();
require("./client.cjs").start();
