"""Long polls of queues, in the neighbours' own Python with the real ministack."""

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
sys.path.insert(0, sys.argv[1])
from lampyr.neighbours.child import longpolls
import ministack.services.sqs as sqs
import ministack.services.sns as sns

class NeverLooks(longpolls.LongPolls):
    async def _sleep(self, seconds):
        await super()._sleep(3600)

async def ask(operation, **members):
    headers = {"x-amz-target": f"AmazonSQS.{operation}"}
    body = json.dumps(members).encode()
    status, _, body = await sqs.handle_request("POST", "/", headers, body, {})
    assert status == 200, body
    return json.loads(body or "{}")

async def poll(url):
    return (await ask("ReceiveMessage", QueueUrl=url, WaitTimeSeconds=20))["Messages"][0]["Body"]

async def waiting():
    while not polls._waiting:
        await asyncio.sleep(0)

async def abandoned(url):
    # A poll over ASGI whose caller hangs up while it waits.
    came = asyncio.Queue()
    body = json.dumps({"QueueUrl": url, "WaitTimeSeconds": 20}).encode()

    async def app(scope, receive, send):
        request = await receive()
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        await sqs.handle_request("POST", "/", headers, request["body"], {})

    scope = {"type": "http", "headers": [longpolls.TARGET]}
    serving = asyncio.ensure_future(longpolls.attended(app)(scope, came.get, None))
    await came.put({"type": "http.request", "body": body})
    await waiting()
    await came.put({"type": "http.disconnect"})
    await serving

async def main():
    global polls
    polls = NeverLooks()
    assert not longpolls.differences(sqs)
    polls.install(sqs)
    found = {}
    url = (await ask("CreateQueue", QueueName="q"))["QueueUrl"]
    other = (await ask("CreateQueue", QueueName="other"))["QueueUrl"]
    first = asyncio.ensure_future(poll(url))
    await waiting()
    await ask("SendMessage", QueueUrl=other, MessageBody="elsewhere")
    sending = ask("SendMessage", QueueUrl=url, MessageBody="on a thread")
    await asyncio.to_thread(asyncio.run, sending)
    found["woken"] = await first
    found["elsewhere"] = await poll(other)
    await abandoned(url)
    await ask("SendMessage", QueueUrl=url, MessageBody="after it")
    found["abandoned"] = await poll(url)
    print(json.dumps(found))

asyncio.run(asyncio.wait_for(main(), 30))
"""

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="the neighbours are not installed")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    done = subprocess.run(
        [PYTHON, "-c", PROGRAM, str(ROOT / "src")],
        cwd=tmp_path_factory.mktemp("long-polls"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_poll_that_waits_is_answered_when_a_message_comes_to_its_queue(
    told: dict[str, Any],
) -> None:
    assert told["woken"] == "on a thread"
    assert told["elsewhere"] == "elsewhere"


def test_a_poll_whose_caller_has_gone_takes_no_message(told: dict[str, Any]) -> None:
    assert told["abandoned"] == "after it"
