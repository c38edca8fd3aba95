"""POST /orders: checks an order, gives it a number and puts it into the queue."""

import json
import os
import uuid

import boto3

sqs = boto3.client("sqs")


def handler(event, context):
    order = json.loads(event.get("body") or "{}")
    if not order.get("item"):
        return {"statusCode": 400, "body": json.dumps({"error": "an order has an item"})}
    order["id"] = str(uuid.uuid4())
    sqs.send_message(QueueUrl=os.environ["ORDERS"], MessageBody=json.dumps(order))
    return {"statusCode": 202, "body": json.dumps({"id": order["id"]})}
