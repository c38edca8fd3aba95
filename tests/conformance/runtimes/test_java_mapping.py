"""How Java objects are made of JSON, and JSON of Java objects."""

from pathlib import Path
from typing import Any, Final

import pytest

from tests.conformance.runtimes.functions import Start
from tests.conformance.runtimes.scripted_runtime_api import ScriptedRuntimeApi
from tests.java import lay

HANDLER_URL: Final = "https://docs.aws.amazon.com/lambda/latest/dg/java-handler.html"
RUNTIME: Final = "java17"
TYPES: Final = """
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Date;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

public class Main {
    public enum Kind { BOOK, FILM }
    public record Point(int x, int y, List<Kind> kinds) { }
    public abstract static class Base<I, O> implements RequestHandler<I, O> { }
    public static class Narrowed extends Base<List<Point>, Map<String, Integer>> {
        public Map<String, Integer> handleRequest(List<Point> points, Context context) {
            Map<String, Integer> found = new TreeMap<>();
            for (Point point : points) {
                found.merge(point.kinds().get(0).name(), point.x(), Integer::sum);
            }
            return found;
        }
    }
    public static class Both {
        private String plain;
        private boolean ready;
        public Integer left;
        public String getURL() { return "u"; }
        public String getPlain() { return plain; }
        public void setPlain(String plain) { this.plain = plain; }
        public boolean isReady() { return ready; }
        public void setReady(boolean ready) { this.ready = ready; }
    }
    public static class Self { public Self getSelf() { return this; } }

    public static Point record(Point point) { return point; }
    public static Both bean(Both bean) { return bean; }
    public static Object cycle(Object event) { return new Self(); }
    public static String bytes(ByteBuffer data) {
        return StandardCharsets.UTF_8.decode(data).toString();
    }
    public static byte[] reversed(byte[] data) {
        byte[] found = new byte[data.length];
        for (int place = 0; place < data.length; place++) {
            found[place] = data[data.length - 1 - place];
        }
        return found;
    }
    public static long date(Date date) { return date.getTime(); }
    public static String instant(Instant instant) { return instant.toString(); }
    public static BigDecimal decimal(BigDecimal number) { return number; }
    public static String optional(Optional<String> text) { return text.orElse("none"); }
    public static Map<Kind, Integer> kinds(EnumMap<Kind, Integer> counts) { return counts; }
    public static int distinct(Set<Integer> numbers) { return numbers.size(); }
    public static double[] array(double[] numbers) { return numbers; }
    public static int narrow(int number) { return number; }
    public static String over(String text) { return "text"; }
    public static String over(String text, Context context) { return "with a context"; }
}
"""
EVENT: Final = """
package com.amazonaws.services.lambda.runtime.events;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Date;
import java.util.List;

public class Fake {
    public static class Record {
        private String eventSourceARN;
        private ByteBuffer data;
        private Date arrived;
        public String getEventSourceARN() { return eventSourceARN; }
        public void setEventSourceARN(String arn) { this.eventSourceARN = arn; }
        public ByteBuffer getData() { return data; }
        public void setData(ByteBuffer data) { this.data = data; }
        public Date getArrived() { return arrived; }
        public void setArrived(Date arrived) { this.arrived = arrived; }
    }
    private List<Record> records;
    public List<Record> getRecords() { return records; }
    public void setRecords(List<Record> records) { this.records = records; }
    public static String handle(Fake event) {
        Record record = event.getRecords().get(0);
        return record.getEventSourceARN() + " "
            + StandardCharsets.UTF_8.decode(record.getData()) + " " + record.getArrived().getTime();
    }
}
"""
SAME: Final = object()
MAPPED: Final[dict[str, tuple[str, Any, Any]]] = {
    "a record": ("record", {"x": 1, "y": 2, "kinds": ["FILM"]}, SAME),
    "a bean": (
        "bean",
        {"plain": "p", "ready": True, "left": 3},
        {"plain": "p", "ready": True, "left": 3, "URL": "u"},
    ),
    "what is null is left out": ("bean", {"plain": None}, {"ready": False, "URL": "u"}),
    "a constant that is not known is null": (
        "record",
        {"x": 1, "y": 2, "kinds": ["SONG", "BOOK"]},
        {"x": 1, "y": 2, "kinds": [None, "BOOK"]},
    ),
    "a single value for a list of it": (
        "record",
        {"x": 1, "kinds": "BOOK"},
        {"x": 1, "y": 0, "kinds": ["BOOK"]},
    ),
    "a byte buffer": ("bytes", "aGVsbG8=", "hello"),
    "bytes": ("reversed", "AQID", "AwIB"),
    "a date": ("date", 1_700_000_000_123, SAME),
    "an instant": ("instant", "2026-01-02T03:04:05Z", SAME),
    "a decimal": ("decimal", 12345678901234567890.5, SAME),
    "an optional": ("optional", "x", SAME),
    "an empty optional": ("optional", None, "none"),
    "keys of an enum": ("kinds", {"BOOK": 1}, SAME),
    "a set": ("distinct", [1, 1, 2], 2),
    "an array": ("array", [1.5, 2.0], SAME),
    "the longest of overloads": ("over", "x", "with a context"),
}
UNFIT: Final[dict[str, tuple[str, Any]]] = {
    "a number that does not fit": ("narrow", 3_000_000_000),
    "a text for an object": ("record", "x"),
    "a date that is none": ("instant", "tomorrow"),
}


@pytest.fixture
def begin(start: Start, tmp_path: Path) -> Any:
    def begin(handler: str, code: str = TYPES, name: str = "Main") -> None:
        lay(tmp_path / "task", code, name, "17")
        start(RUNTIME, {"readme": ""}, handler)

    return begin


@pytest.mark.documented(HANDLER_URL)
@pytest.mark.parametrize("case", MAPPED)
def test_a_value_is_mapped_both_ways(case: str, api: ScriptedRuntimeApi, begin: Any) -> None:
    method, event, answer = MAPPED[case]
    begin(f"Main::{method}")
    assert api.invoke(event).json() == (event if answer is SAME else answer)


@pytest.mark.documented(HANDLER_URL)
@pytest.mark.parametrize("case", UNFIT)
def test_what_does_not_fit_is_an_error(case: str, api: ScriptedRuntimeApi, begin: Any) -> None:
    method, event = UNFIT[case]
    begin(f"Main::{method}")
    for _ in range(2):
        assert api.invoke(event).json()["errorMessage"] == "An error occurred during JSON parsing"


@pytest.mark.lampyr_only
def test_a_circle_is_an_error_and_not_the_end(api: ScriptedRuntimeApi, begin: Any) -> None:
    begin("Main::cycle")
    for _ in range(2):
        message = api.invoke({}).json()["errorMessage"]
        assert message == "An error occurred during JSON serialization of response"


@pytest.mark.documented(HANDLER_URL)
def test_types_of_a_handler_are_found_through_its_classes(
    api: ScriptedRuntimeApi, begin: Any
) -> None:
    begin("Main$Narrowed")
    points = [{"x": 1, "y": 0, "kinds": ["BOOK"]}, {"x": 2, "y": 0, "kinds": ["BOOK", "FILM"]}]
    assert api.invoke(points).json() == {"BOOK": 3}


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html")
def test_an_event_class_of_awss_is_filled_from_the_names_that_services_use(
    api: ScriptedRuntimeApi, begin: Any
) -> None:
    package = "com.amazonaws.services.lambda.runtime.events.Fake"
    begin(f"{package}::handle", EVENT, package)
    record = {"eventSourceARN": "arn:aws:x", "data": "aGk=", "arrived": 1_700_000_000.5}
    assert api.invoke({"Records": [record]}).json() == "arn:aws:x hi 1700000000500"


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html")
def test_an_answer_and_the_next_request_leave_together_and_a_refusal_is_no_end(
    api: ScriptedRuntimeApi, begin: Any
) -> None:
    begin("Main::over")
    assert api.invoke("a").with_next
    api.script.response_statuses = [413]
    assert api.invoke("b").json() == "with a context"
    api.script.close_idle = True
    assert api.invoke("c").json() == "with a context"
    assert api.invoke("d").json() == "with a context"
