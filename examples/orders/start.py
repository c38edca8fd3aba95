"""Makes the whole application on a running Lampyr, and prints where to post orders.

    python examples/orders/start.py

    HTTP ──▶ take ──▶ queue ──▶ keep ──▶ table's stream ──▶ tell ──▶ topic
                        └──────▶ dead letters

AWS_ENDPOINT_URL says where Lampyr is, by default http://127.0.0.1:4566.
"""

import io
import json
import os
import sys
import zipfile
from pathlib import Path

import boto3

ENDPOINT = os.environ.setdefault("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
os.environ.setdefault("AWS_ACCESS_KEY_ID", "test")
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "test")
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
ROLE = "arn:aws:iam::000000000000:role/orders"
HERE = Path(__file__).parent


def main(prefix="orders"):
    dead, orders = queues(prefix)
    table, stream = make_table(prefix)
    topic = boto3.client("sns").create_topic(Name=prefix)["TopicArn"]
    take = deploy(prefix, "take", ORDERS=orders["url"])
    keep = deploy(prefix, "keep", TABLE=table)
    tell = deploy(prefix, "tell", TOPIC=topic)
    read(
        orders["arn"],
        keep,
        BatchSize=10,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    read(stream, tell, StartingPosition="TRIM_HORIZON")
    return {"url": make_api(prefix, take), "topic": topic, "dead_letters": dead["url"]}


def queues(prefix):
    dead = make_queue(f"{prefix}-dead-letters")
    redrive = json.dumps({"deadLetterTargetArn": dead["arn"], "maxReceiveCount": 2})
    return dead, make_queue(prefix, RedrivePolicy=redrive, VisibilityTimeout="10")


def make_queue(name, **attributes):
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return {"url": url, "arn": found["Attributes"]["QueueArn"]}


def make_table(name):
    made = boto3.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    return name, made["TableDescription"]["LatestStreamArn"]


def deploy(prefix, module, **variables):
    client = boto3.client("lambda")
    made = client.create_function(
        FunctionName=f"{prefix}-{module}",
        Runtime=f"python{sys.version_info[0]}.{sys.version_info[1]}",
        Handler=f"{module}.handler",
        Role=ROLE,
        Timeout=10,
        Code={"ZipFile": package(module)},
        Environment={"Variables": variables},
    )
    client.get_waiter("function_active_v2").wait(FunctionName=made["FunctionName"])
    return made["FunctionArn"]


def package(module):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.write(HERE / f"{module}.py", f"{module}.py")
    return target.getvalue()


def read(source, function, **settings):
    boto3.client("lambda").create_event_source_mapping(
        EventSourceArn=source, FunctionName=function, **settings
    )


def make_api(name, function):
    gateway = boto3.client("apigatewayv2")
    api = gateway.create_api(Name=name, ProtocolType="HTTP")["ApiId"]
    integration = gateway.create_integration(
        ApiId=api,
        IntegrationType="AWS_PROXY",
        IntegrationUri=function,
        PayloadFormatVersion="2.0",
    )
    target = f"integrations/{integration['IntegrationId']}"
    gateway.create_route(ApiId=api, RouteKey="POST /orders", Target=target)
    gateway.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
    port = ENDPOINT.rpartition(":")[2].rstrip("/")
    return f"http://{api}.execute-api.localhost:{port}/orders"


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:]), indent=2))
