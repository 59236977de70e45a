"""The devices of PyTorch's."""

import pytest

from fedrela.core.errors import InvalidData
from fedrela.study.eager.devices import named


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_that_pytorch_lacks_is_refused_with_the_remedy(device: str) -> None:
    with pytest.raises(InvalidData, match=f"can't use the device '{device}'") as refused:
        named(device)
    assert "such as cpu" in str(refused.value)
    assert named("cpu") == "cpu"
