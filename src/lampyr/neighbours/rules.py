"""Which service a request is meant for, and where that service is.

    Authorization: … Credential=AKID/20261129/us-east-1/sqs/aws4_request   signed: the scope says it
    ?X-Amz-Credential=AKID%2F…%2Fs3%2Faws4_request                          presigned: the same
    Host: files.s3.us-east-1.localhost                                      a bucket's own name
    X-Amz-Target: AWSCognitoIdentityProviderService.InitiateAuth            unsigned by design
    Action=AssumeRoleWithWebIdentity&Version=2011-06-15                     unsigned by design

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final
from urllib.parse import unquote

LAMBDA: Final = "lambda"
AWS: Final = "aws"
"""As an endpoint: AWS itself."""

EMBEDDED: Final[Mapping[str, str]] = {
    "acm": "acm",
    "alb": "elasticloadbalancing",
    "apigateway": "apigateway",
    "appconfig": "appconfig",
    "appconfigdata": "appconfigdata",
    "cloudformation": "cloudformation",
    "cognito-identity": "cognito-identity",
    "cognito-idp": "cognito-idp",
    "dynamodb": "dynamodb,dynamodbstreams",
    "elasticloadbalancing": "elasticloadbalancing",
    "events": "events",
    "execute-api": "apigateway",
    "firehose": "firehose",
    "iam": "iam",
    "iot": "iot",
    "iotdata": "iot-data",
    "iotdevicegateway": "iot-data",
    "kinesis": "kinesis",
    "kms": "kms",
    "logs": "logs",
    "monitoring": "monitoring",
    "pipes": "pipes",
    "resource-groups": "resource-groups",
    "s3": "s3",
    "scheduler": "scheduler",
    "secretsmanager": "secretsmanager",
    "ses": "ses",
    "sns": "sns",
    "sqs": "sqs",
    "ssm": "ssm",
    "states": "states",
    "sts": "sts",
    "tagging": "tagging",
}
"""Services that the embedded neighbours have: the name each is signed for, to their own names.

`alb` is what a load balancer answers, `execute-api` what an API does. What is not here they do not
serve: above all nothing that runs code outside a sandbox (their own lambda, glue, codebuild, ecs).
"""
ALIASES: Final[Mapping[str, str]] = {
    "apigatewayv2": "apigateway",
    "cloudwatch": "monitoring",
    "cloudwatch-logs": "logs",
    "dynamodbstreams": "dynamodb",
    "elbv2": "elasticloadbalancing",
    "eventbridge": "events",
    "iot-data": "iotdata",
    "sesv2": "ses",
    "sfn": "states",
    "stepfunctions": "states",
}
"""Other names that people know services by: boto3's, and those of AWS_ENDPOINT_URL_<SERVICE>."""

_APPLICATIONS: Final = frozenset({"execute-api", "alb"})

_TARGETS: Final[Mapping[str, str]] = {
    "AWSCognitoIdentityProviderService": "cognito-idp",
    "AWSCognitoIdentityService": "cognito-identity",
    "AWSEvents": "events",
    "AWSStepFunctions": "states",
    "AmazonSQS": "sqs",
    "AmazonSSM": "ssm",
    "CertificateManager": "acm",
    "DynamoDBStreams_20120810": "dynamodb",
    "DynamoDB_20120810": "dynamodb",
    "Firehose_20150804": "firehose",
    "GraniteServiceVersion20100801": "monitoring",
    "Kinesis_20131202": "kinesis",
    "Logs_20140328": "logs",
    "TrentService": "kms",
    "secretsmanager": "secretsmanager",
}
_VERSIONS: Final[Mapping[str, str]] = {
    "2010-03-31": "sns",
    "2010-05-08": "iam",
    "2010-05-15": "cloudformation",
    "2010-08-01": "monitoring",
    "2010-12-01": "ses",
    "2011-06-15": "sts",
    "2012-11-05": "sqs",
    "2015-12-01": "elasticloadbalancing",
}
_SCOPE: Final = re.compile(r"Credential=([^,\s&]{1,512})")
_QUERY_SCOPE: Final = re.compile(r"(?:^|&)X-Amz-Credential=([^&]{1,512})")
_VERSION: Final = re.compile(rb"(?:^|&)Version=(\d{4}-\d\d-\d\d)(?:&|$)")
_ACTION: Final = re.compile(rb"(?:^|&)Action=[A-Za-z]")
_BUCKET_HOST: Final = re.compile(r"[a-z0-9][a-z0-9.-]+\.s3(?:-website)?[.-][a-z0-9.-]+(?::\d+)?")
_API_HOST: Final = re.compile(r"[a-z0-9]+\.execute-api\.[a-z0-9.-]+(?::\d+)?")
_API_PATHS: Final = ("/_aws/execute-api/", "/restapis/")
_LOAD_BALANCER_PATH: Final = "/_alb/"
_RESPONSES: Final = "/_ministack/cfn-response/"
"""Where custom resources answer: the ResponseURL of their events."""
_POOL_KEYS: Final = re.compile(r"/[a-z0-9-]+_[A-Za-z0-9]+/\.well-known/[a-z.-]+")
_SERVICE: Final = re.compile(r"[a-z0-9-]{1,64}")
_SCOPE_PARTS: Final = {5: 3, 4: 2}
"""Where the service stands: SigV4a names no Region."""


class Mode(StrEnum):
    """Whether there are embedded neighbours, and when they start."""

    LAZY = "lazy"
    ON = "on"
    OFF = "off"


def service_of(
    method: str, path: str, query: str, headers: Mapping[str, str], body: bytes = b""
) -> str | None:
    """The service, by the name it is signed for; None where nothing names one."""
    authorization = headers.get("authorization")
    if authorization is not None and (found := _SCOPE.search(authorization)) is not None:
        return _scoped(found[1])
    if "X-Amz-Credential=" in query and (found := _QUERY_SCOPE.search(query)) is not None:
        return _scoped(unquote(found[1]))
    if (target := headers.get("x-amz-target")) is not None:
        return _TARGETS.get(target.partition(".")[0])
    return (
        _of_host(headers.get("host", "")) or _of_path(path, query) or _of_form(method, query, body)
    )


def endpoint_name(text: str) -> str | None:
    """The name a service is signed for, from how a setting calls it; None if it is no name."""
    name = text.lower().replace("_", "-")
    name = ALIASES.get(name, ALIASES.get(name.replace("-", ""), name))
    if name.replace("-", "") in EMBEDDED:
        name = name.replace("-", "")
    return name if _SERVICE.fullmatch(name) else None


def is_administration(path: str) -> bool:
    """Pages of the embedded neighbours' own, which are nobody's to call: one erases everything."""
    plain = unquote(path)
    ours = (*_API_PATHS, _LOAD_BALANCER_PATH, _RESPONSES)
    return plain.startswith("/_") and not plain.startswith(ours)


def shares_with_other_sites(service: str) -> bool:
    """Whether web pages of other sites may call it: what a user's own application answers."""
    return service in _APPLICATIONS


def _scoped(credential: str) -> str | None:
    parts = credential.split("/")
    at = _SCOPE_PARTS.get(len(parts))
    if at is None or parts[-1] != "aws4_request" or not _SERVICE.fullmatch(parts[at]):
        return None
    return parts[at]


def _of_host(host: str) -> str | None:
    name = host.lower()
    if ".s3" in name and _BUCKET_HOST.fullmatch(name):
        return "s3"
    if ".execute-api." in name and _API_HOST.fullmatch(name):
        return "execute-api"
    return None


def _of_path(path: str, query: str) -> str | None:
    if path.startswith(_API_PATHS) and (path.startswith("/_aws/") or "/_user_request_" in path):
        return "execute-api"
    if path.startswith(_LOAD_BALANCER_PATH):
        return "alb"
    if path.startswith(_RESPONSES):
        return "cloudformation"
    if _POOL_KEYS.fullmatch(path):
        return "cognito-idp"
    if "AWSAccessKeyId=" in query and "Signature=" in query:
        return "s3"  # Presigned in the old way.
    return None


def _of_form(method: str, query: str, body: bytes) -> str | None:
    text = body[:65_536] if method == "POST" else query.encode("latin-1", "replace")
    if not _ACTION.search(text) or (found := _VERSION.search(text)) is None:
        return None
    return _VERSIONS.get(found[1].decode())
