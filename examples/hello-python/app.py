"""The smallest function: an answer, and a line in the log."""


def handler(event, context):
    print("hello,", event.get("name", "world"))
    return {"hello": event.get("name", "world"), "request_id": context.aws_request_id}
