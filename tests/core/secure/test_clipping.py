"""The clipping norm follows the devices: by hand, its range, and where it comes to rest."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrela.core.errors import IntegrityError, InvalidTask
from fedrela.core.privacy import Privacy, completed
from fedrela.core.secure import clipping

USUAL = Privacy("peers", clip_norm=64.0, clipped_share=0.1)


def test_a_round_by_hand():
    """1 + 4 / 16 - 0.1 = 1.15."""
    assert clipping.first(USUAL) == 64_000_000
    assert clipping.following(USUAL, 2_000_000, clipped=4, members=16) == 2_300_000
    assert clipping.norm(USUAL, 2_300_000) == 2.3


def test_a_task_with_one_norm_for_all_rounds_has_no_other():
    for privacy in (Privacy("peers", clip_norm=3.0), Privacy(clipped_share=0.5)):
        assert clipping.first(privacy) == clipping.following(privacy, 0, clipped=5, members=5) == 0
        assert clipping.norm(privacy, 0) == privacy.clip_norm
        with pytest.raises(IntegrityError, match="one for all rounds"):
            clipping.norm(privacy, 3_000_000)


@given(
    st.floats(1e-9, 1e6),
    st.floats(0, 1, exclude_min=True, exclude_max=True),
    st.lists(st.integers(0, 16), max_size=60),
)
def test_it_never_leaves_what_a_device_takes_and_more_clipped_is_never_less(clip_norm, share, counts):
    privacy = Privacy("peers", clip_norm=clip_norm, clipped_share=share)
    clip = clipping.first(privacy)
    for clipped in counts:
        clipping.norm(privacy, clip)
        moved = [clipping.following(privacy, clip, clipped=count, members=16) for count in range(17)]
        assert moved == sorted(moved)
        clip = moved[clipped]
    clipping.norm(privacy, clip)


@pytest.mark.parametrize("first_norm", [64.0, 0.02])
@pytest.mark.parametrize("spread", [0.05, 0.5])
def test_about_the_wanted_share_is_clipped_wherever_it_begins(first_norm, spread):
    rng, privacy = np.random.default_rng(5), Privacy("peers", clip_norm=first_norm, clipped_share=0.1)
    clip, shares = clipping.first(privacy), list[float]()
    for _ in range(200):
        clipped = int((rng.lognormal(0.0, spread, 32) > clipping.norm(privacy, clip)).sum())
        shares.append(clipped / 32)
        clip = clipping.following(privacy, clip, clipped=clipped, members=32)
    assert abs(np.mean(shares[100:]) - 0.1) < 0.02  # above, as it rises faster than it falls


def test_a_task_that_is_published_now_follows_its_devices_and_a_stored_one_does_not():
    assert completed({"name": "a"})["privacy"] == {"secure": "peers", "clipped_share": 0.1}
    assert completed({"privacy": {"clipped_share": 0.0}})["privacy"]["clipped_share"] == 0.0
    assert "clipped_share" not in completed({"privacy": {"secure": "none"}})["privacy"]
    assert Privacy("peers").clipped_share == 0.0


@pytest.mark.parametrize("share", [-0.1, 1.0, True])
def test_a_share_is_a_share(share):
    with pytest.raises(InvalidTask, match="clipped_share"):
        Privacy("peers", clipped_share=share)
