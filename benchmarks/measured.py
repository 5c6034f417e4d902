"""What one server did in one measurement, over several rounds, and the lines that compare two of them."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.load_generator import LoadReport
from benchmarks.processes import cpu_seconds
from benchmarks.report import Result


@dataclass(slots=True)
class Measured:
    """What one server did in one measurement, over all rounds."""

    reports: list[LoadReport] = field(default_factory=list)
    cpu_s: float = 0.0

    def add(self, report: LoadReport, cpu_s: float) -> None:
        self.reports.append(report)
        self.cpu_s += cpu_s

    def time(self, pid: int, load: Callable[[], LoadReport]) -> float:
        """Runs `load` and counts it, with the CPU time that the process of that id spent; the seconds it took."""
        before = cpu_seconds(pid)
        report = load()
        self.add(report, cpu_seconds(pid) - before)
        return report.seconds

    @property
    def per_s(self) -> float:
        return sum(report.operations for report in self.reports) / sum(report.seconds for report in self.reports)

    @property
    def p50_ms(self) -> float:
        return statistics.median(report.p50_ms for report in self.reports)

    @property
    def p99_ms(self) -> float:
        return statistics.median(report.p99_ms for report in self.reports)

    @property
    def cpu_ms(self) -> float:
        return self.cpu_s * 1000 / sum(report.operations for report in self.reports)

    @property
    def generator_busy(self) -> float:
        return max(report.generator_busy for report in self.reports)


def results_and_notes(name: str, unit: str, ours: Measured, peer: Measured) -> tuple[list[Result], list[str]]:
    results = [
        Result(name=name, ours=ours.per_s, peer=peer.per_s, unit=unit),
        Result(name=f"{name}, p50", ours=ours.p50_ms, peer=peer.p50_ms, unit="ms"),
        Result(name=f"{name}, p99", ours=ours.p99_ms, peer=peer.p99_ms, unit="ms"),
        Result(name=f"{name}, server CPU", ours=ours.cpu_ms, peer=peer.cpu_ms, unit="ms each"),
    ]
    notes = []
    busy = max(ours.generator_busy, peer.generator_busy)
    if busy > 0.9:
        notes.append(f"{name}: the load generator was busy for {busy:.0%} of the time; the rate is a lower bound")
    return results, notes
