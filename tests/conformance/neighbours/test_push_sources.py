"""Each service that invokes functions: the event arrives, in AWS's shape, and the answer returns.

One test for each source. They are the contract with the embedded neighbours' insides.
"""

import base64
import gzip
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.request import Request, urlopen

import pytest

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import create
from tests.conformance.neighbours.conftest import Neighbourhood

AWS_PAGE: Final = "https://docs.aws.amazon.com/lambda/latest/dg/lambda-services.html"
pytestmark = pytest.mark.documented(AWS_PAGE)
ROLE: Final = "arn:aws:iam::000000000000:role/any"
PATIENCE_SECONDS: Final = 90
CODE: Final = """
import json, os, urllib.request
def handler(event, context):
    print("EVENT", json.dumps(event))
    if "ResponseURL" in event:
        answer = {"Status": "SUCCESS", "PhysicalResourceId": "made", "Data": {"Key": "value"}}
        body = json.dumps(answer).encode()
        urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], body, method="PUT"))
    if "triggerSource" in event:
        event["response"]["autoConfirmUser"] = True
    if "requestContext" in event:
        return {"statusCode": 201, "headers": {"x-answer": "yes"}, "body": "made"}
    if event.get("fail"):
        raise ValueError("as asked")
    return event
"""


class Recorder:
    """A function that logs each event it gets."""

    def __init__(self, server: LampyrServer, client: Any, word: str) -> None:
        self._server = server
        self.name = create(client, CODE, FunctionName=f"push-{word}")
        self.arn: str = client.get_function(FunctionName=self.name)["Configuration"]["FunctionArn"]

    def event(self) -> Any:
        """The first event."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < give_up:
            url = f"{self._server.endpoint_url}/_lampyr/logs/{self.name}?wait_seconds=10"
            with urlopen(url, timeout=30) as answer:
                page = json.load(answer)
            for line in page["events"]:
                if line["message"].startswith("EVENT "):
                    return json.loads(line["message"].removeprefix("EVENT "))
        raise AssertionError(f"no event reached {self.name}")


@pytest.fixture
def recorder(here: Neighbourhood, request: pytest.FixtureRequest) -> Recorder:
    word = request.node.name.removeprefix("test_").replace("_", "-")[:50]
    return Recorder(here.server, here.client("lambda"), word)


def test_s3_notification(here: Neighbourhood, recorder: Recorder) -> None:
    s3 = here.client("s3")
    s3.create_bucket(Bucket="notified")
    told = {"LambdaFunctionArn": recorder.arn, "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket="notified", NotificationConfiguration={"LambdaFunctionConfigurations": [told]}
    )
    s3.put_object(Bucket="notified", Key="a b", Body=b"four")
    record = recorder.event()["Records"][0]
    assert (record["eventSource"], record["eventName"]) == ("aws:s3", "ObjectCreated:Put")
    assert record["s3"]["bucket"]["name"] == "notified"
    assert (record["s3"]["object"]["key"], record["s3"]["object"]["size"]) == ("a+b", 4)


def test_sns_subscription(here: Neighbourhood, recorder: Recorder) -> None:
    sns = here.client("sns")
    topic = sns.create_topic(Name="pushed")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=recorder.arn)
    attributes = {"kind": {"DataType": "String", "StringValue": "v"}}
    sent = sns.publish(TopicArn=topic, Message="hello", MessageAttributes=attributes)
    record = recorder.event()["Records"][0]
    assert (record["EventSource"], record["EventVersion"]) == ("aws:sns", "1.0")
    message = record["Sns"]
    assert (message["MessageId"], message["TopicArn"]) == (sent["MessageId"], topic)
    assert (message["Message"], message["Subject"]) == ("hello", None)
    assert message["MessageAttributes"] == {"kind": {"Type": "String", "Value": "v"}}
    assert {"SigningCertUrl", "UnsubscribeUrl", "Signature", "Timestamp"} <= set(message)


def test_eventbridge_rule_with_a_pattern(here: Neighbourhood, recorder: Recorder) -> None:
    events = here.client("events")
    pattern = {"source": ["shop"], "detail": {"amount": [{"numeric": [">", 10]}]}}
    events.put_rule(Name="matched", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="matched", Targets=[{"Id": "1", "Arn": recorder.arn}])
    for amount in (5, 11):
        entry = {"Source": "shop", "DetailType": "sale", "Detail": json.dumps({"amount": amount})}
        events.put_events(Entries=[entry])
    event = recorder.event()
    assert (event["source"], event["detail-type"], event["detail"]) == (
        "shop",
        "sale",
        {"amount": 11},
    )
    assert (event["version"], event["account"], event["region"]) == (
        "0",
        "000000000000",
        "us-east-1",
    )


def test_scheduler_once(here: Neighbourhood, recorder: Recorder) -> None:
    due = datetime.now(UTC) + timedelta(seconds=2)
    here.client("scheduler").create_schedule(
        Name="once",
        ScheduleExpression=f"at({due:%Y-%m-%dT%H:%M:%S})",
        FlexibleTimeWindow={"Mode": "OFF"},
        ActionAfterCompletion="DELETE",
        Target={
            "Arn": recorder.arn,
            "RoleArn": ROLE,
            "Input": '{"at": "<aws.scheduler.scheduled-time>", "by": "me"}',
        },
    )
    assert recorder.event() == {"at": f"{due:%Y-%m-%dT%H:%M:%SZ}", "by": "me"}
    assert here.client("scheduler").list_schedules(NamePrefix="once")["Schedules"] == []


def test_scheduler_again_and_again(here: Neighbourhood, recorder: Recorder) -> None:
    scheduler = here.client("scheduler")
    arn = scheduler.create_schedule(
        Name="often",
        # The first is at the start; on a very slow machine, a minute after the creation.
        ScheduleExpression="rate(1 minute)",
        StartDate=datetime.now(UTC) + timedelta(seconds=3),
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": recorder.arn, "RoleArn": ROLE},
    )["ScheduleArn"]
    event = recorder.event()
    assert (event["source"], event["detail-type"]) == ("aws.scheduler", "Scheduled Event")
    assert (event["resources"], event["detail"]) == ([arn], "{}")
    assert [each["Name"] for each in scheduler.list_schedules(NamePrefix="often")["Schedules"]]


def test_cloudwatch_logs_subscription(here: Neighbourhood, recorder: Recorder) -> None:
    logs = here.client("logs")
    logs.create_log_group(logGroupName="watched")
    logs.create_log_stream(logGroupName="watched", logStreamName="stream")
    logs.put_subscription_filter(
        logGroupName="watched",
        filterName="errors",
        filterPattern="ERROR",
        destinationArn=recorder.arn,
    )
    now = int(time.time() * 1000)
    lines = [{"timestamp": now, "message": text} for text in ("fine", "ERROR in line 1")]
    logs.put_log_events(logGroupName="watched", logStreamName="stream", logEvents=lines)
    data = recorder.event()["awslogs"]["data"]
    found = json.loads(gzip.decompress(base64.b64decode(data)))
    assert (found["messageType"], found["owner"]) == ("DATA_MESSAGE", "000000000000")
    assert (found["logGroup"], found["logStream"]) == ("watched", "stream")
    assert found["subscriptionFilters"] == ["errors"]
    assert [each["message"] for each in found["logEvents"]] == ["ERROR in line 1"]


def test_api_gateway_rest_api(here: Neighbourhood, recorder: Recorder) -> None:
    gateway = here.client("apigateway")
    api = gateway.create_rest_api(name="pets")["id"]
    root = gateway.get_resources(restApiId=api)["items"][0]["id"]
    resource = gateway.create_resource(restApiId=api, parentId=root, pathPart="{proxy+}")["id"]
    named = {"restApiId": api, "resourceId": resource, "httpMethod": "ANY"}
    gateway.put_method(**named, authorizationType="NONE")
    path = f"path/2015-03-31/functions/{recorder.arn}/invocations"
    uri = f"arn:aws:apigateway:us-east-1:lambda:{path}"
    gateway.put_integration(**named, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    gateway.create_deployment(restApiId=api, stageName="prod")
    url = f"{here.server.endpoint_url}/restapis/{api}/prod/_user_request_/pets/1?q=1"
    with urlopen(Request(url, b'{"a": 1}', {"Origin": "http://elsewhere"}), timeout=60) as answer:
        assert (answer.status, answer.read()) == (201, b"made")
        assert answer.headers["x-answer"] == "yes"
    event = recorder.event()
    assert (event["httpMethod"], event["path"], event["body"]) == ("POST", "/pets/1", '{"a": 1}')
    assert (event["resource"], event["pathParameters"]) == ("/{proxy+}", {"proxy": "pets/1"})
    assert event["multiValueQueryStringParameters"] == {"q": ["1"]}
    assert event["requestContext"]["stage"] == "prod"


def test_api_gateway_http_api(here: Neighbourhood, recorder: Recorder) -> None:
    gateway = here.client("apigatewayv2")
    api = gateway.create_api(Name="pets", ProtocolType="HTTP")["ApiId"]
    integration = gateway.create_integration(
        ApiId=api,
        IntegrationType="AWS_PROXY",
        IntegrationUri=recorder.arn,
        PayloadFormatVersion="2.0",
    )["IntegrationId"]
    target = f"integrations/{integration}"
    gateway.create_route(ApiId=api, RouteKey="GET /pets/{id}", Target=target)
    gateway.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
    host = {"Host": f"{api}.execute-api.localhost"}
    url = f"{here.server.endpoint_url}/pets/1?q=1"
    with urlopen(Request(url, headers=host), timeout=60) as answer:
        assert (answer.status, answer.read()) == (201, b"made")
    event = recorder.event()
    assert (event["version"], event["routeKey"]) == ("2.0", "GET /pets/{id}")
    assert (event["rawPath"], event["rawQueryString"]) == ("/pets/1", "q=1")
    assert event["pathParameters"] == {"id": "1"}


def test_load_balancer(here: Neighbourhood, recorder: Recorder) -> None:
    balancing = here.client("elbv2")
    made = balancing.create_load_balancer(Name="front", Subnets=["subnet-1", "subnet-2"])
    group = balancing.create_target_group(Name="functions", TargetType="lambda")
    arn = group["TargetGroups"][0]["TargetGroupArn"]
    balancing.register_targets(TargetGroupArn=arn, Targets=[{"Id": recorder.arn}])
    balancing.create_listener(
        LoadBalancerArn=made["LoadBalancers"][0]["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
    )
    url = f"{here.server.endpoint_url}/_alb/front/x?q=1"
    with urlopen(Request(url, b"hello"), timeout=60) as answer:
        assert (answer.status, answer.read()) == (201, b"made")
    event = recorder.event()
    assert event["requestContext"] == {"elb": {"targetGroupArn": arn}}
    assert (event["httpMethod"], event["path"], event["body"]) == ("POST", "/x", "hello")
    assert event["queryStringParameters"] == {"q": "1"}


def test_step_functions_task(here: Neighbourhood, recorder: Recorder) -> None:
    states = here.client("stepfunctions")

    def outcome(resource: str, given: Any, **more: Any) -> Any:
        task = {"Type": "Task", "Resource": resource, "End": True, **more}
        machine = states.create_state_machine(
            name=f"machine-{time.monotonic_ns()}",
            roleArn=ROLE,
            definition=json.dumps({"StartAt": "A", "States": {"A": task}}),
        )["stateMachineArn"]
        run = states.start_execution(stateMachineArn=machine, input=json.dumps(given))
        give_up = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < give_up:
            found = states.describe_execution(executionArn=run["executionArn"])
            if found["status"] != "RUNNING":
                return found
            time.sleep(0.05)
        raise AssertionError("the execution does not end")

    done = outcome(recorder.arn, {"x": 1})
    assert (done["status"], json.loads(done["output"])) == ("SUCCEEDED", {"x": 1})
    assert recorder.event() == {"x": 1}
    parameters = {"FunctionName": recorder.arn, "Payload.$": "$"}
    invoke = "arn:aws:states:::lambda:invoke"
    done = outcome(invoke, {"x": 2}, Parameters=parameters)
    assert json.loads(done["output"])["Payload"] == {"x": 2}
    failed = outcome(recorder.arn, {"fail": True})
    assert (failed["status"], failed["error"]) == ("FAILED", "ValueError")
    assert json.loads(failed["cause"])["errorMessage"] == "as asked"
    missing = outcome(f"{recorder.arn}-missing", {})
    assert missing["error"] == "Lambda.ResourceNotFoundException"


def test_cognito_trigger(here: Neighbourhood, recorder: Recorder) -> None:
    cognito = here.client("cognito-idp")
    made = cognito.create_user_pool(PoolName="pool", LambdaConfig={"PreSignUp": recorder.arn})
    pool = made["UserPool"]["Id"]
    client = cognito.create_user_pool_client(UserPoolId=pool, ClientName="c")["UserPoolClient"]
    signed = cognito.sign_up(ClientId=client["ClientId"], Username="ann", Password="Passw0rd!x")
    assert signed["UserConfirmed"] is True
    event = recorder.event()
    assert (event["triggerSource"], event["userName"]) == ("PreSignUp_SignUp", "ann")
    assert (event["userPoolId"], event["version"]) == (pool, "1")


def test_iot_rule(here: Neighbourhood, recorder: Recorder) -> None:
    payload = {
        "sql": "SELECT *, topic(2) AS place FROM 'rooms/+'",
        "actions": [{"lambda": {"functionArn": recorder.arn}}],
    }
    here.client("iot").create_topic_rule(ruleName="warm", topicRulePayload=payload)
    here.client("iot-data").publish(topic="rooms/kitchen", payload=b'{"degrees": 21}')
    assert recorder.event() == {"degrees": 21, "place": "kitchen"}


def test_cloudformation_custom_resource(here: Neighbourhood, recorder: Recorder) -> None:
    formation = here.client("cloudformation")
    thing = {"Type": "Custom::Thing", "Properties": {"ServiceToken": recorder.arn, "Size": "4"}}
    template = {
        "Resources": {"Thing": thing},
        "Outputs": {"Key": {"Value": {"Fn::GetAtt": ["Thing", "Key"]}}},
    }
    formation.create_stack(StackName="custom", TemplateBody=json.dumps(template))
    formation.get_waiter("stack_create_complete").wait(
        StackName="custom", WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
    )
    event = recorder.event()
    assert (event["RequestType"], event["ResourceType"]) == ("Create", "Custom::Thing")
    assert event["ResourceProperties"]["Size"] == "4"
    stack = formation.describe_stacks(StackName="custom")["Stacks"][0]
    assert stack["Outputs"][0]["OutputValue"] == "value"
