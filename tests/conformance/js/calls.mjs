// Makes the calls of the JSON document on standard input with the AWS SDK for JavaScript, and
// prints what came of each: {"output": …}, {"pages": […]} or {"error": …}.
// Bytes are {"$bytes": base64} in both directions.
import * as sdk from "@aws-sdk/client-lambda";
import { readFileSync } from "node:fs";

const revive = (key, value) =>
  typeof value?.$bytes === "string" ? Buffer.from(value.$bytes, "base64") : value;
const document = JSON.parse(readFileSync(0, "utf8"), revive);
const client = new sdk.LambdaClient({ maxAttempts: 1, ...document.client });

async function outcome({ call, input, wait, paginate, pageSize }) {
  try {
    if (wait) {
      const waiter = { client, maxWaitTime: 30, minDelay: 1, maxDelay: 1 };
      return { output: await sdk[`waitUntil${wait}`](waiter, input) };
    }
    if (paginate) {
      const pages = [];
      for await (const page of sdk[`paginate${paginate}`]({ client, pageSize }, input)) {
        pages.push(page);
      }
      return { pages };
    }
    return { output: await client.send(new sdk[`${call}Command`](input)) };
  } catch (error) {
    const { name, message, $fault, $metadata, Type, Message } = error;
    const known = error instanceof (sdk[name] ?? Function);
    return { error: { name, message, Type, Message, fault: $fault, known, ...$metadata } };
  }
}

const outcomes = [];
for (const each of document.calls) {
  outcomes.push(await outcome(each));
}
const bytes = (key, value) =>
  value instanceof Uint8Array ? { $bytes: Buffer.from(value).toString("base64") } : value;
// Buffer has a toJSON of its own, which would come first.
delete Buffer.prototype.toJSON;
console.log(JSON.stringify(outcomes, bytes));
