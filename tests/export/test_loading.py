"""Models, numbers and names as they are written on a command line."""

import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fedrela.core.errors import InvalidInput
from fedrela.export.loading import load_model, numbers, pairs, words

SOURCE = """
from torch import nn

def build():
    return nn.Linear(3, 2)

ready = nn.Linear(4, 2)

def wrong():
    return 7
"""


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A file with models, in a folder that is the current one; what the import changes is put back."""
    path = tmp_path / "models_of_a_reader.py"
    path.write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    yield path
    sys.modules.pop(path.stem, None)


def test_a_module_s_function_is_called():
    assert isinstance(load_model("fedrela.export.models:build"), nn.Sequential)


def test_a_file_s_function_or_model_is_taken(written):
    assert load_model(f"{written}:build").in_features == 3
    assert load_model(f"{written.name}:ready").in_features == 4


def test_a_module_in_the_current_folder_is_found(written):
    assert load_model(f"{written.stem}:build").in_features == 3


@pytest.mark.parametrize("target", ["build", ":build", "fedrela.export.models:", ""])
def test_a_target_without_both_parts_is_refused(target):
    with pytest.raises(InvalidInput, match="names no function"):
        load_model(target)


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("no_such_module_here:build", "can't be imported"),
        ("no_such_file.py:build", "there is no file"),
        ("fedrela.export.models:no_such_model", "has no 'no_such_model'"),
        ("models_of_a_reader.py:wrong", "gives a int"),
    ],
)
def test_what_gives_no_model_is_refused(written, target, problem):
    with pytest.raises(InvalidInput, match=problem):
        load_model(target)


@given(st.lists(st.floats(allow_nan=False)))
def test_numbers_read_back_what_was_written(values):
    assert numbers(", ".join(map(repr, values)), "--mean") == tuple(values)


def test_words_leave_out_blanks():
    assert words(" a, b c ,,d,") == ("a", "b c", "d")
    assert words("") == ()


def test_pairs_split_at_the_first_sign_and_the_last_of_a_name_wins():
    assert pairs(["lr=0.1", "momentum=-1e-3", "lr=0.2"]) == {"lr": 0.2, "momentum": -0.001}


def test_what_is_no_number_is_refused_by_its_option():
    with pytest.raises(InvalidInput, match="--std '1;2'"):
        numbers("1;2", "--std")
    for bad in ("lr", "lr=", "lr=fast", "lr=1=2"):
        with pytest.raises(InvalidInput, match="--hyperparameter"):
            pairs([bad])


def test_a_models_random_weights_are_the_same_every_time_and_nothing_else_is_seeded():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one = load_model("fedrela.export.models:small_cnn").state_dict()
    torch.rand(3)
    two = load_model("fedrela.export.models:small_cnn").state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    torch.random.set_rng_state(before)
    load_model("fedrela.export.models:small_cnn")
    assert torch.equal(torch.random.get_rng_state(), before)
