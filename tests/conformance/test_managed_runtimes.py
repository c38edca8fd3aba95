"""Python and Node.js at every version that Lampyr runs, in sandboxes."""

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.conformance.deployed import function, invoke, value, zipped

PYTHONS: Final = ("python3.10", "python3.11", "python3.12", "python3.13", "python3.14")
NODES: Final = ("nodejs20.x", "nodejs22.x", "nodejs24.x")
NODE_HANDLER: Final = "https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html"
PYTHON_HANDLER: Final = "https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html"
NODE_ERRORS: Final = "https://docs.aws.amazon.com/lambda/latest/dg/nodejs-exceptions.html"
STREAMING: Final = (
    "https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html"
)
Need = Callable[[str], None]
every_python = pytest.mark.parametrize("runtime", PYTHONS)
every_node = pytest.mark.parametrize("runtime", NODES)
WHO: Final = {
    "index.mjs": """
import { createRequire } from "node:module";
export const handler = async (event, context) => {
  console.log("seen", event.n);
  return {
    event,
    version: process.version,
    environment: process.env.AWS_EXECUTION_ENV,
    id: context.awsRequestId,
    arn: context.invokedFunctionArn,
    memory: context.memoryLimitInMB,
    custom: context.clientContext?.custom,
    remaining: context.getRemainingTimeInMillis(),
    uid: process.getuid(),
    cwd: process.cwd(),
    argv: process.execPath,
  };
};
""",
}


@every_python
@pytest.mark.documented(PYTHON_HANDLER)
def test_python_runs_and_imports_from_the_package_and_the_sdk(
    need: Need, lambda_client: Any, runtime: str
) -> None:
    need(runtime)
    code = """
import json, os, ssl, sqlite3, sys, zoneinfo
import boto3
from package.inner import NAME
def handler(event, context):
    return {
        "event": event,
        "version": "%d.%d" % sys.version_info[:2],
        "environment": os.environ["AWS_EXECUTION_ENV"],
        "name": NAME,
        "id": context.aws_request_id,
        "executable": sys.executable,
        "path": sys.path[0],
        "cached": os.path.exists("/var/task/package/__pycache__"),
    }
"""
    package = zipped({"app.py": code, "package/__init__.py": "", "package/inner.py": "NAME = 'in'"})
    with function(lambda_client, package, Runtime=runtime, Timeout=30, MemorySize=512) as name:
        answer = invoke(lambda_client, name, {"n": 1}, LogType="Tail")
    release = runtime.removeprefix("python")
    assert answer.error is None, answer.payload
    request_id = answer.payload.pop("id")
    assert f"REPORT RequestId: {request_id}" in answer.log
    assert answer.payload == {
        "event": {"n": 1},
        "version": release,
        "environment": f"AWS_Lambda_{runtime}",
        "name": "in",
        "executable": f"/var/lang/bin/python{release}",
        "path": "/var/task",
        "cached": True,
    }


@every_node
@pytest.mark.documented(NODE_HANDLER)
def test_an_es_module_runs(need: Need, lambda_client: Any, runtime: str) -> None:
    need(runtime)
    with function(
        lambda_client, zipped(WHO), Runtime=runtime, Handler="index.handler", Timeout=10
    ) as name:
        answer = invoke(lambda_client, name, {"n": "ü"}, LogType="Tail")
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    got = answer.payload
    assert answer.error is None, got
    assert f"\t{got['id']}\tINFO\tseen ü" in answer.log
    assert f"REPORT RequestId: {got['id']}" in answer.log
    assert got["version"].startswith(f"v{runtime.removeprefix('nodejs').removesuffix('.x')}.")
    assert 0 < got.pop("remaining") <= 10_000
    expected = {
        "event": {"n": "ü"},
        "environment": f"AWS_Lambda_{runtime}",
        "arn": arn,
        "memory": "128",
        "uid": 993,
        "cwd": "/var/task",
        "argv": "/var/lang/bin/node",
    }
    assert {key: got[key] for key in expected} == expected


@every_node
@pytest.mark.documented(NODE_HANDLER)
def test_every_kind_of_handler_runs(need: Need, lambda_client: Any, runtime: str) -> None:
    """One package; what differs is the handler's name."""
    need(runtime)
    package = zipped(
        {
            "common.js": "exports.handler = async (event) => ({ common: event });",
            "lib/deep.js": "exports.inner = { handler: async () => require('./other') };",
            "lib/other.json": '"found"',
            "sync.js": "exports.handler = (event, context) => { context.succeed('done'); };",
            "module.mjs": "export async function handler(event) { return { module: event }; }\n"
            "const late = await Promise.resolve(1);",
            "promise.js": "exports.handler = (event) => new Promise((resolve) =>\n"
            "  setTimeout(() => resolve({ promised: event }), 5));",
        }
    )
    cases = [
        ("common.handler", {"common": 1}),
        ("lib/deep.inner.handler", "found"),
        ("module.handler", {"module": 1}),
        ("promise.handler", {"promised": 1}),
    ]
    for handler, expected in cases:
        with function(lambda_client, package, Runtime=runtime, Handler=handler) as name:
            assert value(lambda_client, name, 1) == expected, handler


@every_node
@pytest.mark.documented(NODE_HANDLER)
def test_handlers_with_a_callback_run_until_node_24(
    need: Need, lambda_client: Any, runtime: str
) -> None:
    need(runtime)
    code = """
exports.handler = (event, context, callback) => {
  context.callbackWaitsForEmptyEventLoop = event !== "early";
  setTimeout(() => console.log("later"), 20);
  callback(event === "fail" ? new RangeError("as told") : null, { called: event });
};
"""
    with function(
        lambda_client, zipped({"index.js": code}), Runtime=runtime, Handler="index.handler"
    ) as name:
        answer = invoke(lambda_client, name, "x", LogType="Tail")
        if runtime == "nodejs24.x":
            assert answer.payload["errorType"] == "Runtime.CallbackHandlerDeprecated"
            return
        assert answer.payload == {"called": "x"}
        assert "later" in answer.log, "the callback's answer waits for the event loop"
        assert "later" not in invoke(lambda_client, name, "early", LogType="Tail").log
        failed = invoke(lambda_client, name, "fail")
        assert failed.payload["errorType"] == "RangeError"
        assert failed.payload["errorMessage"] == "as told"


@every_node
@pytest.mark.documented(STREAMING)
def test_a_streamed_response_comes_whole_to_an_ordinary_invoke(
    need: Need, lambda_client: Any, runtime: str
) -> None:
    need(runtime)
    code = """
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
export const handler = awslambda.streamifyResponse(async (event, stream, context) => {
  stream.setContentType("application/json");
  stream.write('["first"');
  await new Promise((resolve) => setTimeout(resolve, 5));
  await pipeline(Readable.from([",", JSON.stringify("x".repeat(event)), "]"]), stream);
});
"""
    with function(
        lambda_client, zipped({"index.mjs": code}), Runtime=runtime, Handler="index.handler"
    ) as name:
        for size in (10, 2_000_000, 10):
            assert value(lambda_client, name, size) == ["first", "x" * size]


WHAT_NODE_IS_STARTED_WITH = """
const { Worker } = require("node:worker_threads");
const { getHeapStatistics } = require("node:v8");
const heap = "require('node:v8').getHeapStatistics().heap_size_limit";
const worker = () => new Promise((resolve, reject) => new Worker(
  `require("node:worker_threads").parentPort.postMessage([${heap}, typeof gc])`, { eval: true },
).on("message", resolve).on("error", reject));
exports.handler = async () => ({
  caller: new Error().stack,
  own: getHeapStatistics().heap_size_limit,
  collector: typeof gc,
  worker: await worker(),
  main: require.main === undefined,
  started: process.argv.slice(1),
  options: process.execArgv,
});
"""


@every_node
@pytest.mark.documented(NODE_HANDLER)
def test_node_is_started_with_what_aws_starts_it_with(
    need: Need, lambda_client: Any, runtime: str
) -> None:
    """Its flags too, though they are set aside while a function is loaded."""
    need(runtime)
    started_anew = {"NODE_PENDING_DEPRECATION": "1"}
    for variables in ({}, started_anew):
        with function(
            lambda_client,
            zipped({"index.js": WHAT_NODE_IS_STARTED_WITH}),
            Runtime=runtime,
            Handler="index.handler",
            MemorySize=512,
            Environment={"Variables": variables},
        ) as name:
            answer = invoke(lambda_client, name, LogType="Tail")
        got = answer.payload
        assert 460 <= got["own"] / 2**20 < 600, got
        assert abs(got["worker"][0] - got["own"]) / 2**20 < 80, got
        assert (got["collector"], got["worker"][1]) == ("function", "function")
        assert got["main"] is True
        assert got["started"] == ["/var/runtime/index.mjs"]
        assert "--max-old-space-size=460" in got["options"]
        assert "file:///var/runtime/index.mjs" in got["caller"]
        assert "deprecated" not in answer.log


@every_node
@pytest.mark.documented(NODE_ERRORS)
def test_errors_have_the_shape_of_node(need: Need, lambda_client: Any, runtime: str) -> None:
    need(runtime)
    package = zipped(
        {
            "thrown.mjs": "let calls = 0;\nclass Cheese extends Error {\n"
            "  constructor(m) { super(m); this.name = 'Cheese'; } }\n"
            "export const handler = async (event) => { calls += 1;\n"
            "  if (event) throw new Cheese('redo'); return calls; };",
            "syntax.js": "exports.handler = async ( => 1;",
            "loud.js": "throw new Error('at the start');",
            "empty.js": "exports.other = 1;",
            "rejected.mjs": "export const handler = async () => {\n"
            "  Promise.reject(new Error('lost'));\n"
            "  await new Promise((resolve) => setTimeout(resolve, 1000)); };",
            "leaves.mjs": "export const handler = async () => { process.exit(3); };",
        }
    )

    def failed(handler: str) -> Any:
        with function(lambda_client, package, Runtime=runtime, Handler=handler, Timeout=10) as name:
            answer = invoke(lambda_client, name, 1)
            assert answer.error == "Unhandled"
            if handler == "thrown.handler":
                assert value(lambda_client, name, 0) == 2, "the environment goes on"
            return answer.payload

    thrown = failed("thrown.handler")
    assert (thrown["errorType"], thrown["errorMessage"]) == ("Cheese", "redo")
    assert any("thrown.mjs" in line for line in thrown["trace"])
    assert failed("syntax.handler")["errorType"] == "Runtime.UserCodeSyntaxError"
    missing = failed("missing.handler")
    assert (missing["errorType"], missing["errorMessage"]) == (
        "Runtime.ImportModuleError",
        "Error: Cannot find module 'missing'\nRequire stack:\n- /var/runtime/index.mjs",
    )
    empty = failed("empty.handler")
    assert (empty["errorType"], empty["errorMessage"]) == (
        "Runtime.HandlerNotFound",
        "empty.handler is undefined or not exported",
    )
    loud = failed("loud.handler")
    assert (loud["errorType"], loud["errorMessage"]) == ("Error", "at the start")
    # AWS's client for Node.js 24 leaves these to Node.js, which exits.
    lost = "Runtime.ExitError" if runtime == "nodejs24.x" else "Runtime.UnhandledPromiseRejection"
    assert failed("rejected.handler")["errorType"] == lost
    left = failed("leaves.handler")
    assert left["errorType"] == "Runtime.ExitError"
    assert left["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/nodejs-logging.html")
def test_node_logs_json_where_the_function_wants_it(need: Need, lambda_client: Any) -> None:
    need("nodejs22.x")
    code = """
export const handler = async () => {
  console.debug("hidden"); console.warn("a\\nb", { k: 1 }); console.error(new Error("bad"));
};
"""
    with function(
        lambda_client,
        zipped({"index.mjs": code}),
        Runtime="nodejs22.x",
        Handler="index.handler",
        LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN"},
    ) as name:
        answer = invoke(lambda_client, name, LogType="Tail")
    lines = [json.loads(line) for line in answer.log.splitlines()]
    levels = [line["level"] for line in lines if "level" in line]
    assert levels == ["WARN", "ERROR"]
    assert [line["type"] for line in lines if "type" in line][-1] == "platform.report"


@pytest.mark.parametrize("runtime", [*PYTHONS, *NODES])
@pytest.mark.root
@pytest.mark.lampyr_only
def test_lampyrs_own_clients_reach_the_runtime_api_without_tcp(
    need: Need, lambda_client: Any, runtime: str
) -> None:
    need(runtime)
    python = "def handler(event, context): return open('/proc/self/net/tcp').read()"
    node = "exports.handler = async () => require('fs').readFileSync('/proc/self/net/tcp', 'utf8')"
    code = zipped({"app.js": node}) if runtime in NODES else python
    with function(lambda_client, code, Runtime=runtime, Timeout=30) as name:
        connections = value(lambda_client, name, None).splitlines()[1:]
    states = {line.split()[3] for line in connections if "0100007F:2329" in line}
    assert states == {"0A"}, "its port listens, and nobody is connected to it"
