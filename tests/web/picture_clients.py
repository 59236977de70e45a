"""One picture through both clients: the page in Chromium, and the Python device's decoder."""

import base64
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedrela.conformance.files import PUBLISHER_KEY
from fedrela.conformance.image_cases import REFUSALS
from fedrela.core import bundle
from fedrela.core.bundle import Manifest
from fedrela.core.errors import InvalidData
from fedrela.edge.sources import images
from tests.edge import softmax_bundle
from tests.edge.conftest import with_x
from tests.web.browser import Browser, Tab
from tests.web.phone import TASK
from tests.web.picture_set import Picture
from tests.web.place import Place

# (channels, height, width) and fit of the models that pictures are made for.
MODELS = (((3, 32, 32), "crop"), ((1, 28, 28), "pad"), ((3, 24, 40), "stretch"), ((3, 64, 97), "exact"))

EMPTY = """() => new Promise((resolve) => {
  document.querySelector("#alert").textContent = "";
  const opening = indexedDB.open("fedrela");
  opening.onsuccess = () => {
    const tx = opening.result.transaction("samples", "readwrite");
    tx.objectStore("samples").clear();
    tx.oncomplete = () => { opening.result.close(); resolve(); };
  };
})"""
MADE = """async () => {
  const samples = () => new Promise((resolve) => {
    const opening = indexedDB.open("fedrela");
    opening.onsuccess = () => {
      const asked = opening.result.transaction("samples").objectStore("samples").getAll();
      asked.onsuccess = () => { opening.result.close(); resolve(asked.result); };
    };
  });
  for (let tries = 0; tries < 2400; tries += 1) {
    const refused = document.querySelector("#alert").textContent;
    if (refused) return { refused };
    const [sample] = await samples();
    if (sample) return { made: btoa(String.fromCharCode(...sample.data)) };
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return { refused: "nothing came" };
}"""


@dataclass(frozen=True)
class Outcome:
    """What became of one picture with one model."""

    picture: str
    fit: str
    lossy: bool
    refused: tuple[str, str]  # by the page and by Python; empty: not
    mean_difference: float  # gray levels; 0 where one of them refused it
    largest_difference: int

    @property
    def agrees(self) -> bool:
        """Equal bytes or the same refusal; of lossy formats, within 2 gray levels on average."""
        if any(self.refused):
            return self.refused[0] == self.refused[1]
        return self.mean_difference <= (2 if self.lossy else 0)


class PicturePage:
    """The page of one model, with its device joined."""

    def __init__(self, place: Place, browser: Browser, folder: Path, shape: tuple[int, int, int], fit: str) -> None:
        self.manifest = _publish(place, folder / fit, shape, fit)
        self.fit, self.shape, self._folder = fit, shape, folder
        self._tab = Tab(browser, fit)
        self._tab.join(place.link(fit))
        self._tab.do("wait", selector="#classes li:first-child input")

    def compare(self, picture: Picture) -> Outcome:
        """Give the picture to the page and to the Python device."""
        path = self._folder / picture.name
        path.write_bytes(picture.body)
        self._tab.do("eval", code=EMPTY)
        self._tab.do("upload", selector="#classes li:first-child input:not([capture])", files=[str(path)])
        answer = self._tab.do("eval", code=MADE)
        path.unlink()
        page, by_page = np.zeros(self.shape, np.uint8), _reason(answer.get("refused", ""))
        if not by_page:
            page = np.frombuffer(base64.b64decode(answer["made"]), np.uint8).reshape(self.shape)
        python, by_python = self._python(picture)
        difference = np.abs(page.astype(int) - python) * (not by_page and not by_python)
        measured = float(difference.mean()), int(difference.max())
        return Outcome(picture.name, self.fit, picture.lossy, (by_page, by_python), *measured)

    def _python(self, picture: Picture) -> tuple[NDArray[np.uint8], str]:
        try:
            made = images.decode(picture.body, picture.name, self.manifest.x[0], self.manifest.preprocessing)
        except InvalidData as error:
            return np.zeros(self.shape, np.uint8), _reason(error.problem)
        return made.astype(np.uint8), ""

    def close(self) -> None:
        """Close the tab."""
        self._tab.do("close")


def _reason(text: str) -> str:
    return next((reason for reason, words in REFUSALS.items() if words in text), text)


def _publish(place: Place, folder: Path, shape: tuple[int, int, int], fit: str) -> Manifest:
    """Publish a model that takes pictures of this shape. Nobody runs it, so its programs may be of another."""
    opened = softmax_bundle.write(folder)
    manifest = with_x(opened.manifest, ("B", *shape), "uint8", kind="image", grayscale=True, fit=fit)
    (x,) = manifest.train_step.role("x")
    inputs = tuple(x if item.role == "x" else item for item in manifest.predict.inputs)
    manifest = replace(manifest, predict=replace(manifest.predict, inputs=inputs))
    bundle.write(folder, manifest, opened.weights, private_key=PUBLISHER_KEY)
    place.admin.publish(folder, replace(TASK, name=f"pictures-{fit}", population=fit))
    return manifest
