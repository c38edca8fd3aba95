// Starts AWS's Node.js runtime client, generation 4, on Lampyr's own Runtime API client.
import "./runtime-client.cjs";
await import("./index.mjs");
