// Starts AWS's Node.js runtime client, generation 3, on Lampyr's own Runtime API client.
import "./runtime-client.cjs";
const { run } = await import("./index.mjs");

await run(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER);
