"""What a load on the coordinator measured: the lines of its table, held against the bar, and printed."""

from dataclasses import dataclass, field

CHECK_INS, UPDATES, P99_MS = 500.0, 100.0, 100.0  # the bar: two rates per second, and a latency


@dataclass
class Figures:
    """One line of the table. Latencies in milliseconds."""

    phase: str
    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_ms: float = 0.0  # the coordinator's processor time per request


@dataclass
class Setting:
    """What was measured under, and what came out."""

    database: str
    workers: int
    devices: int
    rss_mb: float = 0.0
    rss_mb_per_1000_devices: float = 0.0  # what serving them added
    figures: list[Figures] = field(default_factory=list)
    short_of: list[str] = field(default_factory=list)  # what the bar asks for and was not reached


def compare_with_bar(setting: Setting) -> None:
    """Note what the bar asks for and was not reached. A fixed rate counts as kept where 98 % of it were answered."""
    for line in setting.figures:
        if line.errors:
            setting.short_of.append(f"{line.phase}: {line.errors} errors")
        required_per_second = CHECK_INS if "check-ins" in line.phase else UPDATES
        at_rate = " due" in line.phase
        if line.phase in ("check-ins", "updates") or at_rate:
            if line.per_second < required_per_second * (0.98 if at_rate else 1.0):
                setting.short_of.append(f"{line.phase}: {line.per_second} a second")
            if at_rate and "check-ins" in line.phase and line.p99_ms >= P99_MS:
                setting.short_of.append(f"{line.phase}: p99 {line.p99_ms} ms")


def show(setting: Setting) -> None:
    """The table of one setting."""
    print(f"\n{setting.database}, {setting.workers} worker(s), {setting.devices} devices")
    print(f"{'':34}{'requests':>9}{'per s':>9}{'p50 ms':>9}{'p99 ms':>9}{'errors':>8}{'cpu ms':>8}")
    for line in setting.figures:
        print(
            f"{line.phase:34}{line.requests:9}{line.per_second:9.1f}{line.p50_ms:9.2f}{line.p99_ms:9.2f}"
            f"{line.errors:8}{line.cpu_ms:8.2f}"
        )
    print(f"resident memory {setting.rss_mb:.0f} MB; {setting.rss_mb_per_1000_devices:.1f} MB more per 1 000 devices")
    print("bar: " + ("; ".join(setting.short_of) or "reached"), flush=True)
