"""What the devices of a setting hold with a seed, and the part of the data that their model is tested on."""

from fedrela.emulator.data import shards
from fedrela.emulator.data.shards import Shards
from fedrela.study.config import Setting
from fedrela.study.data import class_orders, people
from fedrela.study.data.prepared import Prepared
from fedrela.study.runs import fleet


def dealt(prepared: Prepared, setting: Setting, seed: int) -> tuple[Prepared, Shards]:
    """The data as this seed orders and divides them, and who holds which. Raises InvalidStudy, InvalidInput."""
    if setting.class_order == "drawn":
        prepared = class_orders.drawn(prepared, seed)
    scene = fleet.scenario(setting, seed)
    if setting.people_fold or setting.stratified:
        return people.devices(prepared, setting, scene)
    return prepared, shards.deal(scene, prepared.dataset)


def used(prepared: Prepared, setting: Setting, seed: int) -> str:
    """A line on how many of how many samples a setting trains on, by class."""
    part, held = dealt(prepared, setting, seed)
    return f"{setting.name}: {shards.used(held, part.dataset, 'profile')}"
