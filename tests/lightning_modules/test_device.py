import pytest
import torch

from lightning_modules.device import usable_device


def test_a_device_is_chosen_or_taken_by_name():
    assert usable_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert usable_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta"])
def test_device_that_is_not_there_is_refused(name):
    with pytest.raises(ValueError, match=f"--device '{name}' cannot be used"):
        usable_device(name)
