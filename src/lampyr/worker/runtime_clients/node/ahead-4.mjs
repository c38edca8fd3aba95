// What a process that waits for its function loads of AWS's client. Generation 4 of that begins to
// work as soon as it is loaded.
import "./runtime-client.cjs";

export const start = () => import("./index.mjs");
