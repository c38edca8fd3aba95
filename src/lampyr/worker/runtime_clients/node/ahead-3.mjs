// What a process that waits for its function loads of AWS's client, generation 3: all of it. Of the
// environment it has then looked at what `forks.py` lists.
import "./runtime-client.cjs";
import { run } from "./index.mjs";

export const start = () => run(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER);
