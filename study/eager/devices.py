"""The devices of PyTorch's, by name.

>>> named("cpu")
'cpu'
"""

import torch

from fedrela.core.errors import InvalidData


def named(device: str) -> str:
    """The device's name, for whoever reads the results. Raises InvalidData where PyTorch has no such device."""
    try:
        torch.zeros(1, device=device)
        return "cpu" if device == "cpu" else torch.cuda.get_device_name(device)
    except (RuntimeError, AssertionError, ValueError) as error:
        problem = f"PyTorch can't use the device {device!r}: {str(error).splitlines()[0]}"
        raise InvalidData(problem, remedy="name one that it can, such as cpu") from None
