"""Events as AWS shapes them, where ministack shapes them otherwise.

https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html
"""

from typing import Any, Final

_SNS: Final = {"SigningCertURL": "SigningCertUrl", "UnsubscribeURL": "UnsubscribeUrl"}
"""A function's event writes them in another way than a subscriber by HTTP gets them."""


def as_on_aws(source: str, event: Any) -> Any:
    if source == "sns" and isinstance(event, dict):
        records = [{**record, "Sns": _sns(record["Sns"])} for record in event.get("Records", ())]
        return {**event, "Records": records}
    return event


def _sns(message: dict[str, Any]) -> dict[str, Any]:
    found = {_SNS.get(name, name): value for name, value in message.items()}
    found.setdefault("Subject", None)
    found.setdefault("MessageAttributes", {})
    return found
