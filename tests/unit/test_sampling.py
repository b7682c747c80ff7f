"""How many customers training reads."""

import pytest

from ml_tasks.features.snapshots import one_in


@pytest.mark.parametrize(
    ("count", "most", "k"), [(0, 10, 1), (10, 10, 1), (11, 10, 2), (21, 10, 4), (80, 10, 8)]
)
def test_the_least_power_of_two_that_is_enough(count, most, k):
    assert one_in(count, most) == k
