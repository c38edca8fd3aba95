"""Java functions in sandboxes, and SnapStart of theirs: hooks, and an archive of classes."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import change, function, invoke, zipped
from tests.conformance.test_snap_start import publish, shown
from tests.java import compiled

HANDLER: Final = "https://docs.aws.amazon.com/lambda/latest/dg/java-handler.html"
LOGGING: Final = "https://docs.aws.amazon.com/lambda/latest/dg/java-logging.html"
HOOKS: Final = "https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-java.html"
RUNTIME: Final = "java17"
ON: Final = {"ApplyOn": "PublishedVersions"}
CODE: Final = """
import com.amazonaws.services.lambda.runtime.Context;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

public class Main {
    public Object handle(Map<String, Object> event, Context context) throws Exception {
        if (event.containsKey("exit")) System.exit(3);
        if (event.containsKey("fill")) {
            byte[][] held = new byte[4096][];
            for (int place = 0; place < held.length; place++) held[place] = new byte[1 << 20];
        }
        context.getLogger().log("by the logger\\nin two lines");
        System.out.println("printed");
        Files.writeString(Path.of("/tmp/written"), "x");
        return Map.of(
            "heap", Runtime.getRuntime().maxMemory(),
            "charset", java.nio.charset.Charset.defaultCharset().name(),
            "pid", ProcessHandle.current().pid());
    }
}
"""
LEVELS: Final = """
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;

public class Main {
    public String handle(Object event, Context context) {
        context.getLogger().log("hidden", LogLevel.INFO);
        context.getLogger().log("shown \\"twice\\"", LogLevel.WARN);
        return context.getAwsRequestId();
    }
}
"""
HOOKED: Final = """
import com.amazonaws.services.lambda.crac.Context;
import com.amazonaws.services.lambda.crac.Core;
import com.amazonaws.services.lambda.crac.Resource;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;

public class Main {
    private static final List<String> ORDER = new ArrayList<>();
    private static final List<Resource> HELD = new ArrayList<>();
    private static final UUID MADE = UUID.randomUUID();

    static {
        for (int number = 1; number <= 2; number++) {
            String name = " " + number;
            Resource resource = new Resource() {
                public void beforeCheckpoint(Context<? extends Resource> context) {
                    ORDER.add("before" + name);
                }
                public void afterRestore(Context<? extends Resource> context) {
                    ORDER.add("after" + name);
                    if (System.getenv("FAILS") != null) throw new IllegalStateException("restore");
                }
            };
            HELD.add(resource);
            Core.getGlobalContext().register(resource);
        }
    }

    public Object handle(Map<String, Object> event) {
        return Map.of(
            "order", ORDER,
            "type", System.getenv("AWS_LAMBDA_INITIALIZATION_TYPE"),
            "made", MADE.toString(),
            "arguments", java.lang.management.ManagementFactory.getRuntimeMXBean()
                .getInputArguments());
    }
}
"""


@pytest.fixture(autouse=True)
def _needs(need: Any) -> None:
    need(RUNTIME)


def deployed(client: Any, code: str, **configuration: Any) -> Any:
    given = {"Handler": "Main::handle", "Runtime": RUNTIME, "MemorySize": 512, "Timeout": 30}
    return function(client, zipped(compiled(code)), **{**given, **configuration})


@pytest.mark.documented(LOGGING)
def test_it_runs_in_a_sandbox_with_its_memory_and_logs(lambda_client: Any) -> None:
    with deployed(lambda_client, CODE) as name:
        answer = invoke(lambda_client, name, {}, LogType="Tail")
        assert answer.payload["charset"] == "UTF-8"
        assert 0.8 * 512 < answer.payload["heap"] / 2**20 < 0.86 * 512
        assert answer.payload["pid"] < 10
        assert "by the logger\nin two lines" in answer.log
        assert "printed\n" in answer.log
        assert "Init Duration" in answer.log
        again = invoke(lambda_client, name, {}, LogType="Tail")
        assert again.payload["pid"] == answer.payload["pid"]
        assert "Init Duration" not in again.log


@pytest.mark.documented(f"{LOGGING}#java-logging-advanced")
def test_its_logger_writes_json_of_the_configured_level(lambda_client: Any) -> None:
    level = {"LogFormat": "JSON", "ApplicationLogLevel": "WARN"}
    with deployed(lambda_client, LEVELS, LoggingConfig=level) as name:
        answer = invoke(lambda_client, name, {}, LogType="Tail")
        lines = [json.loads(line) for line in answer.log.splitlines()]
        messages = [line for line in lines if "message" in line]
        assert [line["message"] for line in messages] == ['shown "twice"']
        assert messages[0]["level"] == "WARN"
        assert messages[0]["AWSRequestId"] == answer.payload


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/java-exceptions.html")
def test_it_may_run_out_of_memory_or_exit_and_the_next_call_is_served(lambda_client: Any) -> None:
    with deployed(lambda_client, CODE) as name:
        full = invoke(lambda_client, name, {"fill": True})
        assert full.payload["errorType"] == "java.lang.OutOfMemoryError"
        ended = invoke(lambda_client, name, {"exit": True})
        assert ended.payload["errorType"] == "Runtime.ExitError"
        assert "heap" in invoke(lambda_client, name, {}).payload


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/java-customization.html")
def test_its_own_options_of_the_jvm_stand(lambda_client: Any) -> None:
    options = {"JAVA_TOOL_OPTIONS": "-XX:+UseParallelGC -Xmx128m -Dx=1"}
    with deployed(lambda_client, HOOKED, Environment={"Variables": options}) as name:
        arguments = invoke(lambda_client, name, {}).payload["arguments"]
        assert "-XX:+UseSerialGC" not in arguments
        assert not any("MaxHeapSize" in word for word in arguments)
        assert "-XX:TieredStopAtLevel=1" in arguments


@pytest.mark.documented(HOOKS)
def test_a_version_with_snap_start_is_initialised_when_it_is_published(
    lambda_client: Any, lampyr_server: LampyrServer
) -> None:
    with deployed(lambda_client, HOOKED, SnapStart=ON) as name:
        number = publish(lambda_client, name)["Version"]
        version = shown(lambda_client, name, number)
        assert version["SnapStart"]["OptimizationStatus"] == "On"
        answer = invoke(lambda_client, name, {}, Qualifier=number, LogType="Tail")
        assert answer.payload["order"] == ["before 2", "before 1", "after 1", "after 2"]
        assert answer.payload["type"] == "snap-start"
        assert "\tRestore Duration: " in answer.log
        assert "Init Duration" not in answer.log
        assert "archive" not in answer.log
        assert "-XX:+RecordDynamicDumpInfo" in answer.payload["arguments"]
        archives = list(Path(lampyr_server.data_dir).rglob("classes.jsa"))
        assert archives
        # Of the same code: its first environment has the archive that the other one has made.
        change(lambda_client, name, Description="other")
        number = publish(lambda_client, name)["Version"]
        second = invoke(lambda_client, name, {}, Qualifier=number)
        used = "-XX:SharedArchiveFile=/var/runtime/archive/classes.jsa"
        assert used in second.payload["arguments"]
        assert second.payload["order"] == answer.payload["order"]
        assert second.payload["made"] != answer.payload["made"]


@pytest.mark.documented(HOOKS)
def test_a_hook_that_fails_after_the_restore_fails_the_call(lambda_client: Any) -> None:
    fails = {"Variables": {"FAILS": "1"}}
    with deployed(lambda_client, HOOKED, SnapStart=ON, Environment=fails) as name:
        number = publish(lambda_client, name)["Version"]
        with pytest.raises(lambda_client.exceptions.SnapStartException):
            invoke(lambda_client, name, {}, Qualifier=number)
