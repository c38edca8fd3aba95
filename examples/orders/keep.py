"""From the queue into the table. Orders that cannot be kept come back, and end as dead letters."""

import json
import os

import boto3

dynamodb = boto3.client("dynamodb")


def handler(event, context):
    failed = []
    for record in event["Records"]:
        try:
            keep(json.loads(record["body"]))
        except Exception as error:
            print(f"order not kept: {error}")
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


def keep(order):
    if int(order.get("count", 1)) < 1:
        raise ValueError("a count is at least 1")
    item = {"id": {"S": order["id"]}, "item": {"S": order["item"]}}
    dynamodb.put_item(TableName=os.environ["TABLE"], Item=item)
