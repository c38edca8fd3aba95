"""AWS's Node.js runtime client on Lampyr's module, on every Node.js that can be had here."""

import pytest

from tests.conformance.runtimes.functions import NODES, Start, echo
from tests.conformance.runtimes.scripted_runtime_api import ScriptedRuntimeApi

NODE_URL = "https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html"
NODE = pytest.mark.parametrize("name", NODES)


@NODE
@pytest.mark.documented(NODE_URL)
@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"main.mjs": "export const handler = async (e) => e;"}, id="an ES module"),
        pytest.param(
            {
                "main.js": "export const handler = async (e) => e;",
                "package.json": '{"type": "module"}',
            },
            id="an ES module by package.json",
        ),
        pytest.param({"main.cjs": "exports.handler = async (e) => e;"}, id="a CommonJS module"),
        pytest.param(
            {"main.mjs": "await 0;\nexport const handler = async (e) => e;"}, id="a top-level await"
        ),
    ],
)
def test_a_module_of_either_kind_is_loaded(
    name: str, files: dict[str, str], api: ScriptedRuntimeApi, start: Start
) -> None:
    start(name, files, "main.handler")
    assert api.invoke({"a": 1}).json() == {"a": 1}


@pytest.mark.parametrize("name", ["nodejs20.x", "nodejs22.x"])
@pytest.mark.documented(NODE_URL)
def test_a_handler_with_a_callback_is_over_when_the_event_loop_is_empty(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    code = """
        exports.handler = (event, context, callback) => {
            if (event === "fail") callback(new Error("failed"));
            else if (event === "never") return;
            else setTimeout(() => callback(null, event), 5);
        };
    """
    start(name, {"main.js": code}, "main.handler")
    assert api.invoke("a").json() == "a"
    assert api.invoke("never").json() is None
    assert api.invoke("fail").json()["errorMessage"] == "failed"
    assert api.invoke("b").json() == "b"


@pytest.mark.parametrize("name", ["nodejs24.x"])
@pytest.mark.documented(NODE_URL)
def test_a_handler_with_a_callback_is_refused_from_node_24_on(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    start(name, {"main.js": "exports.handler = (e, c, done) => done(null, e);"}, "main.handler")
    assert api.answer().json()["errorType"] == "Runtime.CallbackHandlerDeprecated"


@NODE
@pytest.mark.documented(
    "https://docs.aws.amazon.com/lambda/latest/dg/config-rs-write-functions.html"
)
def test_a_response_is_streamed(name: str, api: ScriptedRuntimeApi, start: Start) -> None:
    code = """
        exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
            stream.setContentType("text/plain");
            stream.write("one ");
            if (event === "fail") throw new Error("broken off");
            stream.write("two");
            stream.end();
        });
    """
    start(name, {"main.js": code}, "main.handler")
    answer = api.invoke("ok")
    assert (answer.verb, answer.body) == ("response", b"one two")
    assert answer.headers["lambda-runtime-function-response-mode"] == "streaming"
    assert answer.headers["content-type"] == "text/plain"
    broken = api.invoke("fail")
    assert broken.body.startswith(b"one ")
    assert broken.trailers["lambda-runtime-function-error-type"]
    assert api.invoke("ok", request_id="id-3").body == b"one two"


@pytest.mark.parametrize("name", ["nodejs20.x", "nodejs22.x"])
@pytest.mark.documented(NODE_URL)
@pytest.mark.parametrize(
    ("code", "status", "error_type"),
    [
        ("setTimeout(() => { throw new Error('late') }, 1)", 129, "Error"),
        ("Promise.reject(new Error('late'))", 128, "Runtime.UnhandledPromiseRejection"),
    ],
)
def test_an_uncaught_error_is_reported_before_the_process_ends(
    name: str, code: str, status: int, error_type: str, start: Start
) -> None:
    handler = f"exports.handler = () => new Promise(() => {{ {code}; }});"
    running = start(name, {"main.js": handler}, "main.handler")
    answer = running.api.invoke()
    assert (answer.verb, answer.json()["errorType"]) == ("error", error_type)
    assert running.exit_status() == status


@NODE
@pytest.mark.lampyr_only
def test_a_response_goes_out_although_awss_other_client_asks_for_the_next_event(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    switch = {"AWS_LAMBDA_NODEJS_USE_ALTERNATIVE_CLIENT_1": "true"}
    start(name, *echo(name), switch)
    assert api.invoke(1).json() == 1
    assert api.invoke(2).json() == 2


@pytest.mark.parametrize("name", ["nodejs20.x", "nodejs22.x"])
@pytest.mark.lampyr_only
def test_what_the_client_needs_seldom_is_not_loaded_before_it_is_used(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    code = """
        const loaded = (module) => process.moduleLoadList.includes(`NativeModule ${module}`);
        const before = ["http", "assert", "net"].map(loaded);
        exports.handler = awslambda.streamifyResponse(async (event, stream) => {
            stream.write(JSON.stringify([before, loaded("http")]));
            stream.end();
        });
    """
    start(name, {"main.js": code}, "main.handler")
    assert api.invoke().json() == [[False, False, True], True]
    assert api.invoke().json() == [[False, False, True], True]


@NODE
@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html")
def test_the_environment_of_node_is_that_of_aws(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    code = """
        exports.handler = async () => [
            process.version, typeof globalThis.gc, process.env.AWS_EXECUTION_ENV,
            process.env._HANDLER, process.execArgv.includes("--require"),
        ];
    """
    start(name, {"main.js": code}, "main.handler")
    version, gc, execution, handler, preloaded = api.invoke().json()
    assert version.startswith(f"v{name.removeprefix('nodejs').removesuffix('.x')}.")
    assert [gc, execution, handler] == ["function", f"AWS_Lambda_{name}", "main.handler"]
    assert not preloaded
