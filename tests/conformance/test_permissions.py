"""Resource-based policies by boto3: every member of a permission, and whole documents."""

import json
from typing import Any, Final

import pytest

from tests.conformance.deployed import function, refusal

API: Final = "https://docs.aws.amazon.com/lambda/latest/api/"
ANSWER: Final = "def handler(event, context): return 1"


@pytest.mark.documented(API + "API_AddPermission.html")
@pytest.mark.documented(API + "API_PutResourcePolicy.html")
def test_permissions_and_documents_are_one_policy(lambda_client: Any) -> None:
    client = lambda_client
    with function(client, ANSWER, Publish=True) as name:
        arn = client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")["AliasArn"]
        added = client.add_permission(
            FunctionName=f"{name}:live",
            Qualifier="live",
            StatementId="url",
            Action="lambda:InvokeFunctionUrl",
            Principal="*",
            PrincipalOrgID="o-abcdefghij",
            FunctionUrlAuthType="AWS_IAM",
        )
        assert added["ResponseMetadata"]["HTTPStatusCode"] == 201
        first = json.loads(added["Statement"])
        assert first["Condition"]["StringEquals"] == {
            "aws:PrincipalOrgID": "o-abcdefghij",
            "lambda:FunctionUrlAuthType": "AWS_IAM",
        }
        shown = client.get_policy(FunctionName=arn)
        assert json.loads(shown["Policy"])["Statement"] == [first]
        same = client.get_resource_policy(ResourceArn=arn)
        assert (same["Policy"], same["RevisionId"]) == (shown["Policy"], shown["RevisionId"])
        mine = {"Version": "2012-10-17", "Statement": [{**first, "Sid": "mine"}]}
        put = client.put_resource_policy(
            ResourceArn=arn, Policy=json.dumps(mine), RevisionId=same["RevisionId"]
        )
        assert json.loads(put["Policy"]) == mine
        stale = {"ResourceArn": arn, "RevisionId": same["RevisionId"]}
        assert refusal(client.delete_resource_policy, **stale)[:2] == (
            412,
            "PreconditionFailedException",
        )
        assert json.loads(client.get_policy(FunctionName=arn)["Policy"]) == mine
        removed = client.remove_permission(
            FunctionName=arn, StatementId="mine", RevisionId=put["RevisionId"]
        )
        assert removed["ResponseMetadata"]["HTTPStatusCode"] == 204
        for call, named in (
            (client.get_policy, {"FunctionName": arn}),
            (client.get_resource_policy, {"ResourceArn": arn}),
            (client.delete_resource_policy, {"ResourceArn": arn}),
        ):
            assert refusal(call, **named)[:2] == (404, "ResourceNotFoundException")
