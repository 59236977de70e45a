"""What a recipe accepts, its hyperparameters' order, whom it trains, and how `inspect` tells it from the bundle."""

import onnx
import pytest
from torch import nn

from fedrela.core.bundle import Bundle, Golden, Manifest, Preprocessing, Program, ProgramFile, ProgramInput, Seal
from fedrela.core.errors import InvalidInput
from fedrela.export import losses, optimizers
from fedrela.export.contents import _operators, describe
from fedrela.export.inputs import Pipeline, parse_all
from fedrela.export.recipe import Recipe


def recipe(*inputs, classes=3, **options):
    """A recipe for inputs as they are written on the command line."""
    return Recipe(parse_all(list(inputs or ["uint8:3x8x8"])), classes, **options)


def test_hyperparameters_come_from_optimizer_then_proximal_then_loss():
    made = recipe(
        optimizer=optimizers.OPTIMIZERS["plain-sgd"],
        proximal=True,
        loss=losses.Loss("own", losses.cross_entropy, {"own_scale": 2.0}),
        hyperparameters={"own_scale": 3.0, "lr": 0.5},
    )
    expected = [("lr", 0.5), ("weight_decay", 0.0), ("proximal", 0.01), ("own_scale", 3.0)]
    assert list(made.hyperparameter_defaults().items()) == expected


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"classes": 1}, "1 classes"),
        ({"classes": 2, "class_names": ("cat", "cat")}, "two classes have the name 'cat'"),
        ({"classes": 2, "class_names": ("caf\u00e9", "cafe\u0301")}, "two classes have the name"),
        ({"classes": 3, "class_names": ("cat", "dog")}, "2 class names for 3 classes"),
        ({"columns": ("age", "mass", "age")}, "two columns have the name 'age'"),
        ({"hyperparameters": {"momentun": 0.9}}, "momentun"),
        ({"hyperparameters": {"proximal": 0.1}}, "proximal"),
        ({"pipeline": Pipeline((0.5,), (0.5,))}, "1 numbers"),
        ({"pipeline": Pipeline((0.5, 0.5, 0.5))}, "don't match"),
        ({"pipeline": Pipeline(std=(0.5, 0.5, 0.5))}, "don't match"),
        ({"pipeline": Pipeline((0.5, 0.5, 0.5), (0.5, 0.0, 0.5))}, "don't match"),
    ],
)
def test_what_cant_be_trained_is_refused(options, problem):
    with pytest.raises(InvalidInput, match=problem):
        recipe(**options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lr", {}),
        ("momentum.weight", {}),
        ("adam_step", {"optimizer": optimizers.OPTIMIZERS["adamw"]}),
        ("proximal", {"proximal": True}),
        ("focal_gamma", {"loss": losses.LOSSES["focal"]}),
    ],
)
def test_an_input_called_as_a_hyperparameter_or_the_optimizer_s_state_is_refused(name, options):
    with pytest.raises(InvalidInput, match=f"an input is named '{name}'"):
        recipe(f"{name}=float32:4", **options)
    if options:
        assert recipe(f"{name}=float32:4").inputs[0].name == name


def test_mean_and_std_need_an_image():
    with pytest.raises(InvalidInput, match="mean or std"):
        recipe("float32:3", pipeline=Pipeline((0.5,) * 3, (0.5,) * 3))


def test_patterns_choose_among_parameters_that_ask_for_gradients():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 3))
    assert recipe().trainable_names(model) == ("0.weight", "0.bias", "2.weight", "2.bias")
    assert recipe(trainable=("2.*", "0.bias")).trainable_names(model) == ("0.bias", "2.weight", "2.bias")
    model[2].weight.requires_grad_(False)
    assert recipe(trainable=("2.*",)).trainable_names(model) == ("2.bias",)
    with pytest.raises(InvalidInput, match=r"head.*known: 0.weight"):
        recipe(trainable=("head.*",)).trainable_names(model)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (["uint8:1x8x8"], Preprocessing("image", grayscale=True, fit="crop")),
        (["uint8:3x8x8"], Preprocessing("image", grayscale=False, fit="crop")),
        (["uint8:4x8x8"], Preprocessing("image", fit="exact")),
        (["float32:2"], Preprocessing("tabular", columns=("age", "mass"))),
        (["float32:2x3"], Preprocessing("raw")),
        (["int64:9:100"], Preprocessing("tokens")),
        (["a=uint8:3x8x8", "b=float32:2"], Preprocessing("raw")),
    ],
)
def test_the_first_input_tells_how_a_device_makes_tensors(inputs, expected):
    assert recipe(*inputs, columns=("age", "mass")).preprocessing() == expected


def test_pictures_of_another_size_are_treated_as_the_recipe_says():
    for fit in ("exact", "stretch", "crop", "pad"):
        assert recipe("uint8:3x8x8", resize=fit).preprocessing().fit == fit
    assert recipe("float32:2", resize="exact").preprocessing().fit == "exact"
    with pytest.raises(InvalidInput, match="no resizing 'zoom'"):
        recipe("uint8:3x8x8", resize="zoom")
    for inputs in (["float32:2"], ["uint8:4x8x8"], ["a=uint8:3x8x8", "b=float32:2"]):
        with pytest.raises(InvalidInput, match="no pictures"):
            recipe(*inputs, resize="pad")


def test_each_image_has_uniforms_of_its_own():
    made = recipe("left=uint8:3x8x8", "age=float32:1", "x=uint8:1x8x8", pipeline=Pipeline(crop_padding=1, flip=True))
    assert made.augmentation_randoms() == {
        "augment.left.crop": ("B", 2),
        "augment.left.flip": ("B",),
        "augment.crop": ("B", 2),
        "augment.flip": ("B",),
    }


def linear_bundle(folder, seal):
    """What exporting a linear model of 2 x 3 weights would give, with one file, for ExecuTorch."""
    made = recipe("float32:2", columns=("age", "mass"), class_names=("a", "b", "c"), name="linear")
    file = ProgramFile("executorch", "train.pte", "f" * 64, 9, "1.0", max_batch=32)
    inputs = (
        ProgramInput("weight", "parameter", (3, 2)),
        ProgramInput("bias", "parameter", (3,)),
        ProgramInput("momentum.bias", "optimizer", (3,)),
        ProgramInput("x", "x", ("B", 2)),
    )
    train, empty = Program(inputs, ("new.weight", "loss_sum"), (file,)), Program((), (), ())
    manifest = Manifest(
        made.name,
        made.classes,
        train,
        empty,
        empty,
        Golden("golden", "0" * 64, 0),
        hyperparameters=made.hyperparameter_defaults(),
        class_names=made.class_names,
        preprocessing=made.preprocessing(),
    )
    return Bundle(folder, manifest, {}, seal)


def test_inspect_tells_the_recipe_and_counts_what_travels(tmp_path):
    told = describe(linear_bundle(tmp_path, Seal("1" * 64, "2" * 64, "", "")))
    assert (told["name"], told["classes"], told["class_names"]) == ("linear", 3, ["a", "b", "c"])
    assert told["hyperparameters"] == recipe().hyperparameter_defaults()
    assert (told["preprocessing"], told["weights"], told["tensors"]) == ("tabular", 3 * 2 + 3, 2)
    assert told["resize"] == "exact"
    assert (told["manifest_sha256"], told["weights_sha256"]) == ("1" * 64, "2" * 64)
    assert told["signature"] == "none (unsigned)"
    train = told["programs"][0]
    assert (train["name"], train["outputs"]) == ("train_step", ["new.weight", "loss_sum"])
    assert [item["shape"] for item in train["inputs"]] == ["(3, 2)", "(3)", "(3)", "(B, 2)"]
    (file,) = train["files"]
    assert (file["path"], file["size_bytes"], file["max_batch"], file["operators"]) == ("train.pte", 9, 32, {})


def test_inspect_tells_who_signed(tmp_path):
    told = describe(linear_bundle(tmp_path, Seal("1" * 64, "2" * 64, "ab" * 32, "the signature")))
    assert told["signature"] == "by " + "ab" * 32


def test_operators_inside_branches_are_counted(tmp_path):
    def value(name, kind=onnx.TensorProto.FLOAT):
        return onnx.helper.make_tensor_value_info(name, kind, [])

    def branch(*operators):
        nodes = [onnx.helper.make_node(operator, ["x"], [f"out{i}"]) for i, operator in enumerate(operators)]
        return onnx.helper.make_graph(nodes, "branch", [], [value("out0")])

    chosen = onnx.helper.make_node("If", ["c"], ["y"], then_branch=branch("Relu", "Relu"), else_branch=branch("Neg"))
    last = onnx.helper.make_node("Relu", ["y"], ["z"])
    inputs = [value("c", onnx.TensorProto.BOOL), value("x")]
    graph = onnx.helper.make_graph([chosen, last], "main", inputs, [value("z")])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "model.onnx")
    counted = _operators(tmp_path / "model.onnx")
    assert counted == {"Relu": 3, "If": 1, "Neg": 1}
    assert next(iter(counted)) == "Relu"
