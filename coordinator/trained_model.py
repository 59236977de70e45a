"""A trained model as a folder that anybody can use: weights, the programs that predict, and what they take.

    files(admin, "t-0123", sha256)      # name -> bytes: weights.safetensors, predict.onnx, manifest.json

Neither needs anything of ours: `onnxruntime_lines` and `pytorch_lines` are all that it takes.
"""

import tempfile
from pathlib import Path

from fedrela.coordinator.admin_client import AdminClient
from fedrela.core import bundle, tensors
from fedrela.core.bundle import Bundle, Manifest
from fedrela.core.errors import InvalidInput
from fedrela.core.tensors import Params

WEIGHTS, MANIFEST = "weights.safetensors", "manifest.json"


def files(admin: AdminClient, manifest_sha256: str, checkpoint_sha256: str) -> dict[str, bytes]:
    """What the folder holds, by name. Raises Refused where something isn't stored any more."""
    body = admin.download(manifest_sha256)
    predict = bundle.parse_manifest(body).predict
    programs = {file.path: admin.download(file.sha256) for file in predict.files}
    return {WEIGHTS: admin.download(checkpoint_sha256), MANIFEST: body} | programs


def of_bundle(opened: Bundle, weights: Params) -> dict[str, bytes]:
    """The same of weights that were trained from a bundle, where no coordinator is any more."""
    manifest = (opened.folder / MANIFEST).read_bytes()
    programs = {file.path: (opened.folder / file.path).read_bytes() for file in opened.manifest.predict.files}
    return {WEIGHTS: tensors.to_bytes(weights), MANIFEST: manifest} | programs


def write(folder: Path, contents: dict[str, bytes]) -> Manifest:
    """Write the folder; returns its manifest. Raises InvalidInput where that can't be."""
    save(folder, contents)
    return bundle.parse_manifest(contents[MANIFEST])


def save(folder: Path, contents: dict[str, bytes]) -> None:
    """Write files whole or not at all, in place of former ones but a bundle's. Raises InvalidInput, too."""
    if (folder / "seal.json").exists():
        raise InvalidInput(f"{folder} is a bundle, whose seal is for other weights", remedy="name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as scratch:
            for name, body in contents.items():
                (Path(scratch) / name).write_bytes(body)
            for name in contents:
                (Path(scratch) / name).replace(folder / name)
    except OSError as error:
        raise InvalidInput(
            f"{folder} can't be written ({error.strerror or error})", remedy="name a folder that you may write to"
        ) from error


def onnxruntime_lines(manifest: Manifest, folder: Path) -> str:
    """Python that gives `probabilities` (n, classes) for the inputs of a bundle with ONNX programs; else empty."""
    file = manifest.predict.file("onnx")
    if file is None:
        return ""
    inputs = [f'"{spec.name}": {spec.name}' for spec in manifest.x]
    for item in manifest.predict.role("random"):  # augmentation: one half is none
        shape = ", ".join(f"len({manifest.x[0].name})" if isinstance(size, str) else str(size) for size in item.shape)
        inputs.append(f'"{item.name}": numpy.full(({shape},), 0.5, "float32")')
    return (
        "import numpy, onnxruntime, safetensors.numpy\n"
        f'weights = safetensors.numpy.load_file("{folder / WEIGHTS}")\n'
        f'predict = onnxruntime.InferenceSession("{folder / file.path}")\n'
        f"probabilities = predict.run(None, weights | {{{', '.join(inputs)}}})[0]"
    )


def pytorch_lines(manifest: Manifest, folder: Path) -> str:
    """Python that puts the weights into the module that was exported, called `model`, and predicts with it."""
    (spec, *others) = manifest.x
    pixels = spec.dtype == "uint8"
    fed = f"torch.from_numpy({spec.name} / 255).float()" if pixels else f"torch.from_numpy({spec.name})"
    normalized = "  # if exported with them: less --mean, by --std" if pixels else ""
    predicted = "" if others else f"\nwith torch.no_grad():{normalized}\n    probabilities = model({fed}).softmax(1)"
    return (
        "import safetensors.torch, torch\n"
        f'model.load_state_dict(safetensors.torch.load_file("{folder / WEIGHTS}"), strict=False)\n'
        f"model.eval(){predicted}"
    )


def picture_lines(manifest: Manifest) -> str:
    """Python that makes `x` of one picture as devices do; empty where the model takes no pictures, or pads them."""
    (spec, *others) = manifest.x
    how = manifest.preprocessing
    if how.kind != "image" or others or how.fit == "pad":
        return ""
    channels, height, width = spec.shape[1:]
    size = f"({width}, {height})"
    fitted = {
        "crop": f"ImageOps.fit(picture, {size}, Image.Resampling.BILINEAR)",
        "stretch": f"picture.resize({size}, Image.Resampling.BILINEAR)",
        "exact": f"picture  # of {width}x{height} pixels",
    }[how.fit]
    return (
        "import numpy\n"
        "from PIL import Image, ImageOps\n"
        f'picture = ImageOps.exif_transpose(Image.open("picture.jpg")).convert("{"L" if channels == 1 else "RGB"}")\n'
        f"picture = {fitted}\n"
        f"{spec.name} = numpy.asarray(picture).reshape(1, {height}, {width}, {channels}).transpose(0, 3, 1, 2)"
    )


def how_to_use(manifest: Manifest, folder: Path) -> str:
    """Both, with a word before each; {inputs} stand for arrays of the caller's."""
    inputs = ", ".join(f"{spec.name} {spec.dtype} ({', '.join(map(str, spec.shape))})" for spec in manifest.x)
    names = ", ".join(f"{at} {name}" for at, name in enumerate(manifest.class_names))
    told = f"the columns of `probabilities`: {names}\n\n" if names else ""
    if picture := picture_lines(manifest):
        told += f"a picture, as devices read it:\n\n{picture}\n\n"
    if onnx := onnxruntime_lines(manifest, folder):
        told += f"plain onnxruntime, with {inputs}:\n\n{onnx}\n\n"
    return f"{told}PyTorch, with the module that was exported:\n\n{pytorch_lines(manifest, folder)}"
