"""Reads a device's sensors: power, network, temperature, throttling, load, disk and memory.

Linux's files under /sys and /proc, psutil, and on a Raspberry Pi `vcgencmd`. A sensor that isn't there reads None.

    conditions = Sensors(Path("/var/lib/fedrela")).read()
"""

import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from fedrela.edge.conditions.eligibility import Conditions

# Bits of `vcgencmd get_throttled`: under-voltage, frequency capped, throttled, soft temperature limit, all "now".
THROTTLED_NOW = 0xF
METERED_INTERFACES = ("wwan", "ppp", "rmnet", "usb")  # modems and tethered phones, where nothing else is known
COMMAND_SECONDS = 2.0


@dataclass(frozen=True)
class Sensors:
    """Where to look; `system` is the root of /sys and /proc, so that a test can lay out a device of its own."""

    state_folder: Path
    system: Path = Path("/")
    metered: bool | None = None  # what the owner says; None: find out

    def read(self) -> Conditions:
        """Everything that can be read now."""
        on_mains, percent = self.power()
        now = time.localtime()
        return Conditions(
            on_mains=on_mains,
            battery_percent=percent,
            metered=self.metered if self.metered is not None else self.metered_network(),
            cpu_celsius=self.temperature(),
            throttled=self.throttled(),
            load_per_core=psutil.getloadavg()[0] / max(psutil.cpu_count() or 1, 1),
            free_disk_bytes=_free_disk(self.state_folder),
            free_memory_bytes=int(psutil.virtual_memory().available),
            minute_of_day=now.tm_hour * 60 + now.tm_min,
        )

    def power(self) -> tuple[bool | None, float | None]:
        """(on mains, battery in percent) from /sys/class/power_supply."""
        mains: list[bool] = []
        percents: list[float] = []
        for supply in sorted((self.system / "sys/class/power_supply").glob("*")):
            kind = _text(supply / "type")
            if kind in ("Mains", "USB", "Wireless") and _text(supply / "online"):
                mains.append(_text(supply / "online") != "0")
            if kind == "Battery" and _text(supply / "scope") != "Device":  # a mouse's battery is none of ours
                level = _number(supply / "capacity")
                percents += [level] if level is not None else []
                mains += [True] if _text(supply / "status") in ("Charging", "Full", "Not charging") else []
        return (any(mains) if mains else None), (min(percents) if percents else None)

    def temperature(self) -> float | None:
        """The hottest thermal zone of the CPU, in °C."""
        zones = sorted((self.system / "sys/class/thermal").glob("thermal_zone*"))
        named = [zone for zone in zones if re.search("cpu|soc|x86_pkg", _text(zone / "type"), re.IGNORECASE)]
        readings = [_number(zone / "temp") for zone in named or zones]
        known = [reading / 1000 for reading in readings if reading is not None]
        return max(known) if known else None

    def throttled(self) -> bool | None:
        """Whether the firmware of a Raspberry Pi holds the CPU back now: heat, or too weak a power supply."""
        flags = _text(self.system / "sys/devices/platform/soc/soc:firmware/get_throttled")
        if not flags:
            flags = _command("vcgencmd", "get_throttled").partition("=")[2]
        try:
            return bool(int(flags, 16) & THROTTLED_NOW)
        except ValueError:
            return None

    def metered_network(self) -> bool | None:
        """Whether the default route is metered: NetworkManager's word, else by the kind of interface."""
        interface = self.default_interface()
        if interface is None:
            return None
        metered = _command("nmcli", "-g", "GENERAL.METERED", "device", "show", interface)
        if metered.startswith(("yes", "no")):
            return metered.startswith("yes")
        return interface.startswith(METERED_INTERFACES)

    def default_interface(self) -> str | None:
        """The network interface of the default route."""
        for line in _text(self.system / "proc/net/route").splitlines()[1:]:
            fields = line.split()
            if len(fields) > 2 and fields[1] == "00000000":
                return fields[0]
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> float | None:
    try:
        return float(_text(path))
    except ValueError:
        return None


def _free_disk(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _command(*words: str) -> str:
    """What a command prints; nothing where it isn't installed or fails."""
    if shutil.which(words[0]) is None:
        return ""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
