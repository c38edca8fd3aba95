"""The pace of a lane, whatever happens in whatever order."""

from hypothesis import given
from hypothesis import strategies as st

from lampyr.model.event import Event
from lampyr.queue.lanes import BURST, BURST_IN_A_CROWD, BURST_SECONDS, PROBE_SECONDS, Lane
from lampyr.testing.builders import a_key

steps = st.lists(st.sampled_from(["start", "start", "end", "throttled", "wait", "long"]))


def an_event(number: int) -> Event:
    return Event(
        id=number,
        key=a_key(),
        created=0.0,
        qualifier=None,
        accepted=0.0,
        due=0.0,
        content=None,
    )


@given(steps, st.sampled_from([BURST, BURST_IN_A_CROWD]))
def test_a_burst_is_never_exceeded_and_a_lane_always_goes_on(steps: list[str], burst: int) -> None:
    lane, now, number = Lane(a_key()), 100.0, 0
    running: dict[int, tuple[Event, float]] = {}
    for step in steps:
        if step == "start" and lane.may_start(now, burst) <= now:
            event = an_event(number := number + 1)
            lane.start(event, now)
            running[event.id] = (event, now)
        elif step in {"end", "throttled"} and running:
            event, _ = running.pop(next(iter(running)))
            lane.end(event)
            if step == "throttled":
                lane.throttled(now)
        elif step in {"wait", "long"}:
            now += 0.03 if step == "wait" else 1.5
        young = [begun for _, begun in running.values() if begun + BURST_SECONDS > now]
        assert len(young) <= burst
        assert lane.running == len(running)
        assert lane.may_start(now, burst) <= now + max(PROBE_SECONDS, BURST_SECONDS)


def test_after_a_throttle_one_more_is_tried_each_second() -> None:
    lane = Lane(a_key())
    first, second, third = (an_event(number) for number in range(3))
    for event in (first, second):
        lane.start(event, 0.0)
    lane.end(second)
    lane.throttled(0.0)
    assert lane.may_start(0.5) == PROBE_SECONDS
    lane.start(third, PROBE_SECONDS)
    lane.end(third)
    assert lane.may_start(1.1) == 1.1, "it was no throttle: two may run"
