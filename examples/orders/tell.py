"""From the table's stream to the topic: whoever subscribes hears of each new order once."""

import json
import os

import boto3

sns = boto3.client("sns")


def handler(event, context):
    for record in event["Records"]:
        if record["eventName"] == "INSERT":
            image = record["dynamodb"]["NewImage"]
            told = {"id": image["id"]["S"], "item": image["item"]["S"]}
            sns.publish(TopicArn=os.environ["TOPIC"], Message=json.dumps(told))
