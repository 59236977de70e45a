"""A picture becomes the same bytes in the browser and on a Python device, or is refused by both for the same reason."""

from collections.abc import Iterator

import pytest

from tests.web.browser import Browser
from tests.web.picture_clients import MODELS, PicturePage
from tests.web.picture_set import photos, pngs, small_set
from tests.web.place import Place


@pytest.fixture(scope="module")
def pages(place: Place, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[PicturePage]]:
    """A page for each model."""
    folder = tmp_path_factory.mktemp("pictures")
    pages = [PicturePage(place, browser, folder, shape, fit) for shape, fit in MODELS]
    yield pages
    for page in pages:
        page.close()


def test_both_clients_make_the_same_of_every_kind_of_picture(pages: list[PicturePage]) -> None:
    pictures = small_set()
    outcomes = [pages[place % 3].compare(picture) for place, picture in enumerate(pictures)]
    assert [outcome for outcome in outcomes if not outcome.agrees] == []
    refused = {outcome.refused[1] for outcome in outcomes} - {""}
    assert refused == {"depth", "print", "too-large", "damaged"}
    assert sum(any(outcome.refused) for outcome in outcomes) < len(pictures) / 3


def test_an_exact_model_takes_its_own_size_alone(pages: list[PicturePage]) -> None:
    _, height, width = pages[3].shape
    outcomes = [pages[3].compare(picture) for picture in (*pngs(width, height, 5), *photos(width, height, 6))]
    assert [outcome for outcome in outcomes if not outcome.agrees] == []
    turned_on_its_side = [outcome.refused[0] for outcome in outcomes if "turned" in outcome.picture]
    assert set(turned_on_its_side) == {"size"}
    assert sum(any(outcome.refused) for outcome in outcomes) == len(turned_on_its_side) == 3
