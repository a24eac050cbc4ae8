"""The time of training steps, and the part of it spent waiting for images."""

import time
from dataclasses import dataclass, field

import torch


@dataclass
class StepTimer:
    """Sums of the time of steps, by the process's clocks on a CPU and by CUDA events on a GPU."""

    device: torch.device
    wait_seconds: float = 0.0  # until the images of a step are on the device
    seconds: float = 0.0
    cpu_seconds: float = 0.0  # of this process; 0 on a GPU
    steps: int = 0
    _marks: list[tuple[float, float]] = field(default_factory=list)
    _events: list[torch.cuda.Event] = field(default_factory=list)

    def mark(self) -> None:
        """Mark a time, three times a step: before its images, once they are there, at its end."""
        if self.device.type == "cpu":
            self._marks.append((time.perf_counter(), time.process_time()))
        else:
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record(torch.cuda.current_stream(self.device))
            self._events.append(event)

    def update(self) -> None:
        """Add up the complete steps.

        The training calls it when it has read its losses: by then a GPU has passed the events, so
        that the measurement waits for nothing.
        """
        while len(self._marks) >= 3:
            (began, cpu_began), (received, _), (ended, cpu_ended) = self._marks[:3]
            del self._marks[:3]
            self.wait_seconds += received - began
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
        """Add one training's share of steps that ``count`` trainings made together."""
        self.wait_seconds += other.wait_seconds / count
        self.seconds += other.seconds / count
        self.cpu_seconds += other.cpu_seconds / count
        self.steps += other.steps

    @property
    def seconds_per_step(self) -> float | None:
        """Mean seconds of a step, with the wait for its images; None before the first step."""
        return self.seconds / self.steps if self.steps else None

    @property
    def cpu_seconds_per_step(self) -> float | None:
        """Mean CPU seconds of a step; None before the first step, and on a GPU."""
        return self.cpu_seconds / self.steps if self.steps and self.device.type == "cpu" else None

    @property
    def wait_share(self) -> float | None:
        """Share of the steps' time spent waiting for images, 0 to 1; None before the first step."""
        return self.wait_seconds / self.seconds if self.seconds else None
