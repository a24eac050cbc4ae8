"""Time that a device waits for images during training steps."""

import time
from dataclasses import dataclass, field

import torch


@dataclass
class StepTimer:
    """Sums of the time of steps, and of the time in them until their images are there.

    Measured on a CPU by the clock, and by the time that this process computed; on a GPU by events
    on its stream. These are read when the loop looks at its losses: the device has passed them
    then, so that nothing waits for the measurement.
    """

    device: torch.device
    wait_seconds: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    steps: int = 0
    _marks: list[tuple[float, float]] = field(default_factory=list)
    _events: list[torch.cuda.Event] = field(default_factory=list)

    def mark(self) -> None:
        """Mark a time; called thrice a step: before its images, with them, and at its end."""
        if self.device.type == "cpu":
            self._marks.append((time.perf_counter(), time.process_time()))
        else:
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record(torch.cuda.current_stream(self.device))
            self._events.append(event)

    def update(self) -> None:
        """Add up what was marked; on a GPU, after the device has passed it."""
        while len(self._marks) >= 3:
            (began, cpu_began), (there, _), (ended, cpu_ended) = self._marks[:3]
            del self._marks[:3]
            self.wait_seconds += there - began
            self.seconds += ended - began
            self.cpu_seconds += cpu_ended - cpu_began
            self.steps += 1
        while len(self._events) >= 3:
            first, with_images, last = self._events[:3]
            del self._events[:3]
            last.synchronize()
            self.wait_seconds += first.elapsed_time(with_images) / 1000
            self.seconds += first.elapsed_time(last) / 1000
            self.steps += 1

    def add_share(self, other: "StepTimer", count: int) -> None:
        """Add what another one measured of steps that ``count`` trainings made together."""
        self.wait_seconds += other.wait_seconds / count
        self.seconds += other.seconds / count
        self.cpu_seconds += other.cpu_seconds / count
        self.steps += other.steps

    @property
    def seconds_per_step(self) -> float | None:
        """Mean seconds of a step, its images included; None before the first step."""
        return self.seconds / self.steps if self.steps else None

    @property
    def cpu_seconds_per_step(self) -> float | None:
        """Mean CPU seconds of a step; None before the first step, and on a GPU."""
        return self.cpu_seconds / self.steps if self.steps and self.device.type == "cpu" else None

    @property
    def wait_share(self) -> float | None:
        """Share of the steps' time that was waited, 0 to 1; None before the first step."""
        return self.wait_seconds / self.seconds if self.seconds else None
