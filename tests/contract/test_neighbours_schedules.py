"""Rules with a schedule, in the neighbours' own Python with the real ministack, at moments we say.

The events of other sources are in `tests/conformance/neighbours`; waiting a minute is not.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PYTHON: Final = Path(sys.prefix) / "neighbours" / "bin" / "python"
PROGRAM: Final = """
import asyncio, json, sys
from datetime import UTC, datetime
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from lampyr.neighbours.child.push import Outcome
from lampyr.neighbours.child.schedules import Schedules
from lampyr.neighbours.child.seams import Seams, check
import ministack.core.responses as responses
import ministack.services.eventbridge as eventbridge
import ministack.services.lambda_svc as lambda_svc
import ministack.services.scheduler as scheduler
import threading

class Pusher:
    def push(self, arn, event, **told):
        pushed.append({"arn": arn, "event": event, **told})
        return Outcome()

def call(operation, **members):
    headers = {"x-amz-target": f"AWSEvents.{operation}"}
    answer = eventbridge.handle_request("POST", "/", headers, json.dumps(members).encode(), {})
    status, _, body = asyncio.run(answer)
    assert status == 200, body

def at(moment):
    schedules._turn(moment)
    schedules._threads.shutdown()
    schedules._threads = type(schedules._threads)(1)
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(10)
    found, pushed[:] = list(pushed), []
    return found

pushed, told = [], {}
check(lambda_svc)
Seams(lambda_svc, responses, Pusher()).install(lambda_svc)
schedules = Schedules(eventbridge, scheduler, responses, Path("done"))
schedules.check()
call("PutRule", Name="often", ScheduleExpression="rate(5 minutes)")
call("PutTargets", Rule="often", Targets=[{"Id": "1", "Arn": sys.argv[2]}])
made = next(iter(eventbridge._rules._data.values()))["CreationTime"]
told["early"] = at(made + 299)
told["rate"] = at(made + 300)
told["again"] = at(made + 301)
call("RemoveTargets", Rule="often", Ids=["1"])
call("PutRule", Name="fridays", ScheduleExpression="cron(30 12 ? * FRI *)")
call("PutTargets", Rule="fridays", Targets=[{"Id": "1", "Arn": sys.argv[2], "Input": '{"a": 1}'}])
schedules._since = datetime(2037, 1, 1, tzinfo=UTC).timestamp()
told["thursday"] = at(datetime(2037, 1, 1, 12, 30, tzinfo=UTC).timestamp())
told["cron"] = at(datetime(2037, 1, 2, 12, 30, tzinfo=UTC).timestamp())
print(json.dumps(told))
"""
ARN: Final = "arn:aws:lambda:us-east-1:000000000000:function:f"


@pytest.mark.skipif(not PYTHON.exists(), reason="the neighbours are not installed")
def test_a_rule_is_due_by_rate_and_cron_and_its_event_is_as_on_aws(tmp_path: Path) -> None:
    words = [str(PYTHON), "-I", "-c", PROGRAM, str(ROOT / "src"), ARN]
    environment = {"PATH": "/usr/bin:/bin", "LOG_LEVEL": "ERROR", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        words,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert (told["early"], told["again"], told["thursday"]) == ([], [], [])
    (by_rate,) = told["rate"]
    assert (by_rate["arn"], by_rate["kind"], by_rate["source"]) == (ARN, "Event", "eventbridge")
    event = by_rate["event"]
    assert (event["source"], event["detail-type"]) == ("aws.events", "Scheduled Event")
    assert (event["detail"], event["version"]) == ({}, "0")
    assert event["resources"] == ["arn:aws:events:us-east-1:000000000000:rule/often"]
    assert [each["event"] for each in told["cron"]] == [{"a": 1}]
