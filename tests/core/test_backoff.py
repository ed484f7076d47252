from recorderd.core.backoff import Backoff
from recorderd.units import seconds


def test_waits_double_from_a_second_to_a_minute_and_start_again():
    backoff = Backoff()
    assert [backoff.next_ns() for _ in range(8)] == [
        seconds(wait) for wait in (1, 2, 4, 8, 16, 32, 60, 60)
    ]
    backoff.reset()
    assert backoff.next_ns() == seconds(1)
