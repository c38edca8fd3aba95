-- For wrk: one POST again and again; at the end the figures as one line of JSON.
-- BODY is in the environment, and TYPE, the type of the invocation, which may be empty.

wrk.method = "POST"
wrk.body = os.getenv("BODY") or "{}"
wrk.headers["Content-Type"] = "application/json"
if (os.getenv("TYPE") or "") ~= "" then
  wrk.headers["X-Amz-Invocation-Type"] = os.getenv("TYPE")
end

function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    '\n{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "failed": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), failed))
end
