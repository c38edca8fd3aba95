"""Permissions and configurations of function URLs, replayed as they were made before calls."""

import pytest

from tests.conformance.recorded.answers import answers
from tests.conformance.recorded.scenario import HELLO, Scenario

PREFIXES = (
    "TestLambdaURL::test_lambda_url_echo_invoke",
    "TestLambdaURL::test_lambda_url_invocation",
    "TestRequestIdHandling::test_request_id_invoke_url",
)
KEYS = [key for key, steps in answers().items() if key.startswith(PREFIXES) and steps]
CALLS = ("lambda_url_invocation", "end_log_entries")


@pytest.mark.parametrize(
    "key", [pytest.param(key, marks=pytest.mark.recorded(key)) for key in KEYS]
)
async def test_a_url_that_anyone_may_call(scenario: Scenario, key: str) -> None:
    assert key
    await scenario.create(Timeout=30, Environment={"Variables": {}})
    if "get_fn_result" in scenario.recorded:
        await scenario("get_fn_result", "get_function", **HELLO)
    mode = scenario.recorded["create_lambda_url_config"].get("InvokeMode")
    asked = {"AuthType": "NONE", **({} if mode is None else {"InvokeMode": mode})}
    await scenario("create_lambda_url_config", "create_function_url_config", **HELLO, **asked)
    permission = {
        "StatementId": "urlPermission",
        "Action": "lambda:InvokeFunctionUrl",
        "Principal": "*",
        "FunctionUrlAuthType": "NONE",
    }
    await scenario("add_permission", "add_permission", **HELLO, **permission)
    left = [step for step in CALLS if step in scenario.recorded]
    scenario.leave(*left, why="calls by a URL, which a whole Lampyr gets")
