"""Aliases by boto3: calls through them, and what they protect."""

from typing import Any, Final

import pytest

from tests.conformance.deployed import change, function, invoke, refusal

DG: Final = "https://docs.aws.amazon.com/lambda/latest/dg/"
CODE: Final = """
import os
def handler(event, context):
    return [os.environ["WHO"], context.function_version, context.invoked_function_arn]
"""


@pytest.mark.recorded("TestLambdaAliases::test_lambda_alias_moving")
@pytest.mark.documented(DG + "configuring-alias-routing.html")
def test_calls_go_where_the_alias_says(lambda_client: Any) -> None:
    client = lambda_client
    with function(client, CODE, Environment={"Variables": {"WHO": "one"}}) as name:
        client.publish_version(FunctionName=name)
        change(client, name, Environment={"Variables": {"WHO": "two"}})
        client.publish_version(FunctionName=name)
        made = client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
        arn = made["AliasArn"]

        def called(**options: Any) -> tuple[str | None, Any]:
            answer = invoke(client, options.pop("FunctionName", name), **options)
            assert answer.error is None, answer.payload
            return answer.version, answer.payload

        one, two = ("1", ["one", "1", arn]), ("2", ["two", "2", arn])
        assert called(FunctionName=arn) == called(Qualifier="live") == one
        assert called(FunctionName=f"{name}:live") == one
        client.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
        assert called(Qualifier="live") == two
        routed = {"AdditionalVersionWeights": {"1": 0.5}}
        client.update_alias(FunctionName=name, Name="live", RoutingConfig=routed)
        assert {called(Qualifier="live")[0] for _ in range(100)} == {"1", "2"}
        for weight, expected in ((0.0, two), (1.0, one)):
            routed = {"AdditionalVersionWeights": {"1": weight}}
            client.update_alias(FunctionName=name, Name="live", RoutingConfig=routed)
            assert [called(Qualifier="live") for _ in range(10)] == [expected] * 10
        shown = client.get_function(FunctionName=arn)["Configuration"]
        assert (shown["FunctionArn"], shown["Version"]) == (arn, "2")
        assert refusal(client.delete_function, FunctionName=name, Qualifier="1") == (
            409,
            "ResourceConflictException",
            "Unable to delete version because the following aliases reference it: [live]",
        )
        assert refusal(invoke, client=client, name=name, Qualifier="gone")[:2] == (
            404,
            "ResourceNotFoundException",
        )
        assert (
            client.delete_alias(FunctionName=name, Name="live")["ResponseMetadata"][
                "HTTPStatusCode"
            ]
            == 204
        )
