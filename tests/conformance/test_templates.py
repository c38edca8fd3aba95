"""A function that takes over a process made ahead finds what one that is started finds."""

import json
import random
import time
from typing import Any, Final

import pytest

from tests.conformance.deployed import PYTHON, function, invoke, unique_name, value, zipped

pytestmark = [pytest.mark.lampyr_only, pytest.mark.timeout(400)]

FORKED_SECONDS: Final = 240.0
"""The AWS SDK is compiled first, at the lowest priority: once for all servers of this host."""
PLAIN: Final = {"PYTHONNODEBUGRANGES": "1"}
"""Any variable that the interpreter itself reads."""
LOOK: Final = """
import sys
FORKED = "boto3" in sys.modules
import gc, logging, os, platform, resource, signal, socket, tempfile, threading
def file(path):
    with open(path) as opened:
        return opened.read()
def status(*names):
    lines = (line.split(":") for line in file("/proc/self/status").splitlines())
    return {name: value.strip() for name, value in lines if name in names}
def mounts():
    fields = (line.split() for line in file("/proc/self/mounts").splitlines())
    return sorted((f[1], f[2], "ro" in f[3].split(",")) for f in fields)
BORN = int(file("/proc/self/stat").rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
def handler(event, context):
    own = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
           "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
           "PYTHONNODEBUGRANGES", "_X_AMZN_TRACE_ID")
    main = sys.modules["__main__"]
    return [FORKED, {
        "waited": BORN < event.get("at", 0),
        "environ": {name: value for name, value in os.environ.items() if name not in own},
        "path": sys.path, "argv": sys.argv, "executable": sys.executable, "prefix": sys.prefix,
        "flags": str(sys.flags), "main": [main.__name__, main.__file__], "file": __file__,
        "own modules": [name for name in sys.modules if name.startswith(("spawner", "lampyr"))
                        and name != "lampyr_template"],
        "stdio": [sys.stdout.encoding, sys.stderr.encoding, sys.stdin.read()],
        "cwd": os.getcwd(), "umask": os.umask(0o022), "ids": os.getresuid() + os.getresgid(),
        "pids": [os.getpid(), os.getppid(), os.getsid(0), os.getpgid(0)],
        "descriptors": sorted(os.listdir("/proc/self/fd"))[:4], "groups": os.getgroups(),
        "status": status("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp",
                         "SigBlk", "SigIgn", "SigCgt", "Threads", "NSpid"),
        "limits": file("/proc/self/limits"), "mounts": mounts(), "hosts": file("/etc/hosts"),
        "score": file("/proc/self/oom_score_adj"), "cgroup": file("/proc/self/cgroup"),
        "gc": [gc.isenabled(), gc.get_threshold()], "level": logging.getLogger().level,
        "handlers": [type(h.formatter).__name__ for h in logging.getLogger().handlers],
        "main thread": threading.current_thread() is threading.main_thread(),
        "processes": sorted(name for name in os.listdir("/proc") if name.isdigit()),
        "mapped": os.path.basename(os.readlink("/proc/self/exe")),
        "node": platform.node() == socket.gethostname(), "platform": platform.platform(),
        "temporary": tempfile.tempdir, "threads": threading.active_count(),
        "slow": logging.LogRecord("", 0, "", 0, "", (), None).relativeCreated < 60_000,
    }]
"""


def forked(
    client: Any, code: str | bytes, *, parked: bool | None = None, **configuration: Any
) -> Any:
    """What a function answers that was forked: the first may come before the template is ready.

    `parked`: whether the fork is to be one that had waited for a function.
    """
    end = time.monotonic() + FORKED_SECONDS
    while time.monotonic() < end:
        with function(client, code, **configuration) as name:
            was_forked, *answer = value(client, name, {"at": at()})
            if was_forked and (parked is None or parked == answer[0]["waited"]):
                return answer
        time.sleep(0.1)
    raise AssertionError("no start was a fork")


def at() -> float:
    """Now, as the start of a process is counted; whoever was there before has waited."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - 0.02


@pytest.mark.parametrize("logging", [{"LogFormat": "Text"}, {"LogFormat": "JSON"}])
def test_a_fork_sees_what_a_plain_start_sees(lambda_client: Any, logging: Any) -> None:
    # Nobody has waited for a function of this size: the first that can be forked is.
    configuration = {"LoggingConfig": logging, "MemorySize": random.randrange(200, 2000)}
    (answer,) = forked(lambda_client, LOOK, parked=False, **configuration)
    (later,) = forked(lambda_client, LOOK, parked=True, **configuration)
    plain = {"Environment": {"Variables": PLAIN}}
    with function(lambda_client, LOOK, **plain, **configuration) as name:
        was_forked, expected = value(lambda_client, name)
    assert not was_forked
    assert answer == expected
    assert {**later, "waited": False} == expected
    assert answer["pids"][0] == 2
    assert answer["status"]["CapBnd"] == "0000000000000000"


WITHOUT: Final = """
import gc, importlib, json, os, sys, weakref
FORKED = "lampyr_template" in sys.modules
SDK = "bo" + "to3"
class Own:
    pass
def handler(event, context):
    loaded = SDK in sys.modules
    client = importlib.import_module(SDK).client("sqs", region_name="eu-west-1")
    mine = Own()
    seen = weakref.ref(mine)
    mine.itself = mine
    del mine
    gc.collect()
    counts = [sys.getrefcount(each) > 1 << 28 for each in (json.loads, os.path.join, Own)]
    return [FORKED, loaded, client.meta.region_name, seen() is None, counts]
"""


@pytest.mark.parametrize("runtime", ["python3.11", "python3.12", "python3.13"])
def test_code_that_does_not_mention_the_sdk_is_forked_without_it_and_can_load_it(
    lambda_client: Any, need: Any, runtime: str
) -> None:
    """From Python 3.12 on what the template had is there to stay; what is the function's is not."""
    need(runtime)
    configuration: Any = {"MemorySize": random.randrange(512, 2000), "Timeout": 60}
    answer = forked(lambda_client, WITHOUT, Runtime=runtime, **configuration)
    lasting = runtime != "python3.11"
    assert answer == [False, "eu-west-1", True, [lasting, lasting, False]]


def test_a_fork_logs_its_errors_in_the_format_of_its_function(lambda_client: Any) -> None:
    code = """
import sys
FORKED = "boto3" in sys.modules
def handler(event, context):
    if event.get("fail"):
        raise KeyError("as told")
    return [FORKED]
"""
    logging = {"LogFormat": "JSON", "ApplicationLogLevel": "ERROR"}
    forked(lambda_client, code, LoggingConfig=logging)
    with function(lambda_client, code, LoggingConfig=logging) as name:
        assert value(lambda_client, name) == [True]
        log = invoke(lambda_client, name, {"fail": True}, LogType="Tail").log
    documents = [json.loads(line) for line in log.splitlines() if '"level"' in line]
    assert [(each["level"], each["errorType"]) for each in documents] == [("ERROR", "KeyError")]


def test_a_fork_that_exits_says_its_last_words(lambda_client: Any) -> None:
    code = """
import atexit, sys
FORKED = "boto3" in sys.modules
atexit.register(sys.stdout.write, "the end")
def handler(event, context):
    if event.get("exit"):
        sys.exit("a reason")
    return [FORKED]
"""
    forked(lambda_client, code)
    with function(lambda_client, code) as name:
        assert value(lambda_client, name) == [True]
        answer = invoke(lambda_client, name, {"exit": True}, LogType="Tail")
    assert answer.payload["errorMessage"].endswith("exited with error: exit status 1")
    assert "a reason" in answer.log
    assert "the end" in answer.log


def test_what_a_function_brings_itself_is_what_it_imports(lambda_client: Any) -> None:
    own = {"app.py": "import queue\nFORKED = False\ndef handler(event, context): return queue.OWN"}
    with function(lambda_client, zipped({**own, "queue.py": "OWN = 1"})) as name:
        assert value(lambda_client, name) == 1


def test_libraries_in_the_package_are_found(lambda_client: Any) -> None:
    """The loader of a process that has started already does not look for them any more."""
    code = "import sys\ndef handler(event, context): return ['boto3' in sys.modules]"
    with function(lambda_client, zipped({"app.py": code, "lib/libown.so": "x"})) as name:
        assert value(lambda_client, name) == [False]


NODE_LOOK: Final = """
const fs = require("fs"), http = require("http");
const read = (path) => fs.readFileSync(path, "latin1");
const parked = read("/proc/self/cmdline").includes("park.cjs");
const own = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "NODE_PENDING",
  "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
  "_X_AMZN_TRACE_ID"];
exports.handler = async () => {
  const env = Object.fromEntries(Object.entries(process.env).filter(([k]) => !own.includes(k)));
  const status = read("/proc/self/status").split("\\n").filter((line) =>
    /^(Cap|NoNewPrivs|Seccomp|Uid|Gid|SigBlk|SigIgn|NSpid)/.test(line));
  const mounts = read("/proc/self/mounts").split("\\n").filter(Boolean).map((line) => {
    const [, target, kind, options] = line.split(" ");
    return [target, kind, options.split(",").includes("ro")];
  });
  return [parked, {
    env, argv: process.argv, execArgv: process.execArgv, cwd: process.cwd(), pid: process.pid,
    files: fs.readdirSync("."), stdin: fs.readlinkSync("/proc/self/fd/0"), file: __filename,
    status, mounts: mounts.map(String).sort(), limits: read("/proc/self/limits"),
    environ: require("child_process").execSync("echo $LAMBDA_TASK_ROOT").toString(),
    main: require.main === module, paths: module.paths,
  }];
};
"""


def test_a_parked_node_sees_what_a_started_one_sees(lambda_client: Any, need: Any) -> None:
    need("nodejs20.x")
    package = zipped({"app.js": NODE_LOOK})
    (answer,) = forked(lambda_client, package, Runtime="nodejs20.x", Timeout=30)
    plain = {"Variables": {"NODE_PENDING": "1"}}
    with function(
        lambda_client, package, Runtime="nodejs20.x", Timeout=30, Environment=plain
    ) as name:
        was_parked, expected = value(lambda_client, name)
    assert not was_parked
    assert answer == expected
    assert answer["files"] == ["app.js"]


def test_a_fork_has_the_layers_of_its_function(lambda_client: Any) -> None:
    """And what a layer has in the place of something the template knows, is started."""
    code = f"import shared, deep\n{LOOK}        + [shared.NAME, deep.NAME, shared.__file__]\n"
    code = code.replace("    }]\n", "    }]\\\n")
    site = f"python/lib/{PYTHON}/site-packages"
    layers = [
        {"python/shared.py": "NAME = 'below'", f"{site}/deep.py": "NAME = 'deep'"},
        {"python/shared.py": "NAME = 'above'"},
        {"python/urllib3.py": ""},
        {"lib/libnothing.so": ""},
    ]
    arns = []
    for files in layers:
        content, name = {"ZipFile": zipped(files)}, unique_name("layer")
        made = lambda_client.publish_layer_version(LayerName=name, Content=content)
        arns.append(made["LayerVersionArn"])
    plain = {"Environment": {"Variables": PLAIN}}
    seen = forked(lambda_client, code, Layers=arns[:2])
    with function(lambda_client, code, Layers=arns[:2], **plain) as name:
        was_forked, *expected = value(lambda_client, name)
    assert not was_forked
    assert seen == expected
    assert seen[1:] == ["above", "deep", "/opt/python/shared.py"]
    for other in arns[2:]:
        with function(lambda_client, code, Layers=[*arns[:2], other]) as name:
            assert value(lambda_client, name)[0] is False
