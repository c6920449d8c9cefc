"""Token buckets: what one member may send."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kindmesh.mesh.rate_machine import BYTES, RATES, Allowance, TokenBucket


def test_a_burst_then_a_rate() -> None:
    bucket = TokenBucket(2.0, 4.0, 10.0)
    assert [bucket.take(1.0, 10.0) for _ in range(5)] == [True] * 4 + [False]
    assert [bucket.take(1.0, 11.0) for _ in range(3)] == [True, True, False]
    assert not bucket.take(1.0, 5.0)
    assert bucket.take(4.0, 1_000.0)
    assert not bucket.take(0.5, 1_000.0)


def test_each_kind_has_its_own_bucket_and_bytes_count_for_all() -> None:
    allowance = Allowance(0.0)
    hellos = int(RATES["hello"][1])
    assert all(allowance.take("hello", 500, 0.0) for _ in range(hellos))
    assert not allowance.take("hello", 500, 0.0)
    assert allowance.take("signed", 500, 0.0)
    assert allowance.take("session", 500, 0.0)
    assert allowance.refused == 1
    assert not allowance.take("session", int(BYTES[1]), 0.0)
    assert allowance.take("session", 500, 0.0)
    assert allowance.refused == 2


def test_a_stop_has_room_when_all_else_is_used_up() -> None:
    allowance = Allowance(0.0)
    while allowance.take("signed", 500, 0.0):
        assert allowance.refused == 0
    assert not allowance.take("session", 300 << 20, 0.0)
    assert allowance.take("stop", 500, 0.0)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 3)), max_size=60))
def test_never_more_than_burst_and_rate_allow(steps: list[tuple[float, float]]) -> None:
    rate, burst = 1.5, 4.0
    bucket = TokenBucket(rate, burst, 0.0)
    now = taken = 0.0
    for wait, amount in steps:
        now += wait
        if bucket.take(amount, now):
            taken += amount
        assert taken <= burst + rate * now + 1e-6
