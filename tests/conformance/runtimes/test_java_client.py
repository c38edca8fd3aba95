"""Lampyr's runtime client for Java, on every JDK that is here, against a scripted Runtime API."""

from pathlib import Path
from typing import Any, Final

import pytest

from tests.conformance.runtimes.functions import Start
from tests.conformance.runtimes.scripted_runtime_api import ScriptedRuntimeApi
from tests.java import lay

HANDLER_URL = "https://docs.aws.amazon.com/lambda/latest/dg/java-handler.html"
EXCEPTIONS_URL = "https://docs.aws.amazon.com/lambda/latest/dg/java-exceptions.html"
JAVAS = ("java11", "java17", "java21", "java25")
JAVA = pytest.mark.parametrize("name", JAVAS)
HANDLERS = """
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

public class Main implements RequestHandler<Main.Order, Main.Receipt> {
    public enum Kind { BOOK, FILM }
    public static class Item {
        private String name;
        private Kind kind;
        private double price;
        public String getName() { return name; }
        public void setName(String name) { this.name = name; }
        public Kind getKind() { return kind; }
        public void setKind(Kind kind) { this.kind = kind; }
        public double getPrice() { return price; }
        public void setPrice(double price) { this.price = price; }
    }
    public static class Order {
        private List<Item> items;
        private Map<String, Integer> counts;
        public long number;
        public List<Item> getItems() { return items; }
        public void setItems(List<Item> items) { this.items = items; }
        public Map<String, Integer> getCounts() { return counts; }
        public void setCounts(Map<String, Integer> counts) { this.counts = counts; }
    }
    public static class Receipt {
        private final double total;
        private final List<String> names;
        Receipt(double total, List<String> names) { this.total = total; this.names = names; }
        public double getTotal() { return total; }
        public List<String> getNames() { return names; }
        public String getNote() { return null; }
        public boolean isPaid() { return true; }
    }

    @Override
    public Receipt handleRequest(Order order, Context context) {
        double total = 0;
        List<String> names = new ArrayList<>();
        for (Item item : order.getItems()) {
            total += item.getPrice() * order.getCounts().get(item.getName());
            names.add(item.getName() + " " + item.getKind() + " " + order.number);
        }
        return new Receipt(total, names);
    }

    public String shout(String text) { return text.toUpperCase(); }
    public static int sum(List<Integer> numbers) {
        int total = 0;
        for (int number : numbers) total += number;
        return total;
    }
    public Object same(Object event, Context context) { return event; }
    public void nothing(Map<String, Object> event) { }
    public void stream(InputStream in, OutputStream out, Context context) throws IOException {
        out.write('<');
        in.transferTo(out);
        out.write('>');
    }
    public String about(Object event, Context context) {
        return context.getFunctionName() + " " + context.getAwsRequestId() + " "
            + context.getInvokedFunctionArn() + " " + context.getMemoryLimitInMB();
    }
    public String fails(Object event) {
        try {
            throw new IllegalStateException("the cause");
        } catch (IllegalStateException error) {
            throw new RuntimeException("it failed", error);
        }
    }
}
"""


@pytest.fixture
def begin(start: Start, tmp_path: Path) -> Any:
    def begin(name: str, handler: str, code: str = HANDLERS) -> Any:
        lay(tmp_path / "task", code)
        return start(name, {"readme": ""}, handler)

    return begin


@JAVA
@pytest.mark.documented(HANDLER_URL)
def test_objects_are_made_of_the_event_and_the_answer_of_an_object(
    name: str, api: ScriptedRuntimeApi, begin: Any
) -> None:
    begin(name, "Main")
    event = {
        "number": 9_007_199_254_740_993,
        "counts": {"a": 2, "b": 1},
        "unknown": [],
        "items": [
            {"name": "a", "kind": "BOOK", "price": 1.5},
            {"name": "b", "kind": "FILM", "price": 2},
        ],
    }
    assert api.invoke(event).json() == {
        "total": 5.0,
        "names": ["a BOOK 9007199254740993", "b FILM 9007199254740993"],
        "paid": True,
    }


ANY: Final = {"a": [1, 2.5, None, True, "x\u2028\\"]}
METHODS: Final[dict[str, tuple[Any, Any]]] = {
    "shout": ("grüß dich", "GRÜSS DICH"),
    "sum": ([1, 2, 39], 42),
    "same": (ANY, ANY),
    "nothing": ({}, None),
}


@JAVA
@pytest.mark.documented(HANDLER_URL)
@pytest.mark.parametrize("method", METHODS)
def test_a_handler_is_any_public_method(
    name: str, method: str, api: ScriptedRuntimeApi, begin: Any
) -> None:
    event, answer = METHODS[method]
    begin(name, f"Main::{method}")
    assert api.invoke(event).json() == answer
    assert api.invoke(event).json() == answer


@JAVA
@pytest.mark.documented(HANDLER_URL)
def test_a_stream_is_read_and_written_as_it_is(
    name: str, api: ScriptedRuntimeApi, begin: Any
) -> None:
    begin(name, "Main::stream")
    assert api.invoke({"a": 1}).body == b'<{"a": 1}>'


@JAVA
@pytest.mark.documented(EXCEPTIONS_URL)
def test_an_exception_is_told_and_the_process_goes_on(
    name: str, api: ScriptedRuntimeApi, begin: Any
) -> None:
    begin(name, "Main::fails")
    for _ in range(2):
        error = api.invoke({}).json()
        assert error["errorType"] == "java.lang.RuntimeException"
        assert error["errorMessage"] == "it failed"
        assert error["stackTrace"][0].startswith("Main.fails(Main.java:")
        assert set(error) == {"errorType", "errorMessage", "stackTrace"}


@JAVA
@pytest.mark.documented(EXCEPTIONS_URL)
def test_an_event_that_does_not_fit_is_an_error_of_the_caller(
    name: str, api: ScriptedRuntimeApi, begin: Any
) -> None:
    begin(name, "Main::sum")
    error = api.invoke({"not": "a list"}).json()
    assert error["errorMessage"] == "An error occurred during JSON parsing"
    assert error["errorType"] == "java.lang.RuntimeException"
    assert api.invoke([1, 2]).json() == 3


@JAVA
@pytest.mark.documented(EXCEPTIONS_URL)
def test_a_handler_that_is_not_there_is_an_error_of_each_call(
    name: str, api: ScriptedRuntimeApi, begin: Any
) -> None:
    begin(name, "Missing")
    for _ in range(2):
        error = api.invoke({}).json()
        assert error["errorMessage"] == "Class not found: Missing"
        assert error["errorType"] == "java.lang.ClassNotFoundException"
