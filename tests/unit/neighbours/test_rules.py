"""Which service a request is for, and which services there are."""

import pytest

from lampyr.neighbours.rules import endpoint_name, is_administration, service_of

SCOPE = "AWS4-HMAC-SHA256 Credential=AKID/20261129/us-east-1/{}/aws4_request, SignedHeaders=host"
FORM = b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=x"


@pytest.mark.parametrize(
    ("path", "query", "headers", "body", "service"),
    [
        ("/", "", {"authorization": SCOPE.format("sqs")}, b"", "sqs"),
        # The scope counts, whatever the path looks like.
        ("/2015-03-31/functions/", "", {"authorization": SCOPE.format("s3")}, b"", "s3"),
        ("/files/a", "", {"authorization": SCOPE.format("lambda")}, b"", "lambda"),
        ("/a/b", "X-Amz-Credential=A%2F20261129%2Fx-x-1%2Fs3%2Faws4_request", {}, b"", "s3"),
        ("/a/b", "AWSAccessKeyId=A&Signature=b&Expires=1", {}, b"", "s3"),
        ("/", "", {"authorization": "AWS4-ECDSA-P256-SHA256 Credential=A/1/s3/aws4_request"},
         b"", "s3"),
        ("/", "", {"x-amz-target": "AWSCognitoIdentityProviderService.InitiateAuth"}, b"",
         "cognito-idp"),
        ("/", "", {}, FORM, "sts"),
        ("/k", "", {"host": "files.s3.us-east-1.localhost:4566"}, b"", "s3"),
        ("/prod/x", "", {"host": "a1b2.execute-api.localhost:4566"}, b"", "execute-api"),
        ("/restapis/a1/prod/_user_request_/x", "", {}, b"", "execute-api"),
        ("/restapis/a1", "", {}, b"", None),
        ("/_alb/front/x", "", {}, b"", "alb"),
        ("/us-east-1_abc/.well-known/jwks.json", "", {}, b"", "cognito-idp"),
        ("/nowhere", "", {"authorization": "Bearer x"}, b"Action=Stop", None),
        ("/favicon.ico", "", {"host": "localhost:4566"}, b"", None),
        ("/", "", {"authorization": SCOPE.format("../x")}, b"", None),
    ],
)  # fmt: skip
def test_a_request_says_which_service_it_is_for(
    path: str, query: str, headers: dict[str, str], body: bytes, service: str | None
) -> None:
    assert service_of("POST", path, query, headers, body) == service


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("sqs", "sqs"),
        ("SECRETS_MANAGER", "secretsmanager"),
        ("cloudwatch", "monitoring"),
        ("CLOUDWATCH", "monitoring"),
        ("cloudwatch-logs", "logs"),
        ("eventbridge", "events"),
        ("sfn", "states"),
        ("DYNAMODB_STREAMS", "dynamodb"),
        ("API_GATEWAY", "apigateway"),
        ("cognito-idp", "cognito-idp"),
        ("xray", "xray"),
        ("a b", None),
    ],
)
def test_services_are_found_by_the_names_people_use(given: str, name: str | None) -> None:
    assert endpoint_name(given) == name


@pytest.mark.parametrize("path", ["/_ministack/reset", "/%5Fministack/reset", "/_localstack/x"])
def test_the_neighbours_own_pages_are_nobodys(path: str) -> None:
    assert is_administration(path)
    assert not is_administration("/_aws/execute-api/a/b")
