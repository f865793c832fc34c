"""What a gradient takes whose rows are divided over devices; nothing is measured here.

`benchmarks/scale_model.py` measures the costs, and predicts.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Pace(NamedTuple):
    """Seconds of a gradient on one device.

    Attributes:
        gradient: Without rows.
        row: For each row.
        fresh: What each row takes longer if temporary arrays get memory that the system clears.
    """

    gradient: float
    row: float
    fresh: float = 0.0

    def seconds(self, rows: float, is_fresh: bool) -> float:
        """Return the seconds of a gradient of so many rows."""
        return self.gradient + (self.row + self.fresh * is_fresh) * rows


@dataclass(frozen=True)
class Rows:
    """What a gradient costs whose rows are divided over devices.

    Attributes:
        alone: A device that works alone.
        together: One of several that share a memory and work at the same time; by default as alone.
        reused: Rows of a device up to which temporary arrays get memory that was used before.
        latency: Seconds of a sum over two devices, whatever its size.
        bytes: Bytes a second that a device sends and receives.
    """

    alone: Pace
    together: Pace | None = None
    reused: float = np.inf
    latency: float = 0.0
    bytes: float = np.inf

    def on_devices(self, rows: float, devices: int) -> float:
        """Return the seconds of a gradient without the sum over devices."""
        pace = self.alone if devices == 1 else self.together or self.alone
        return pace.seconds(rows / devices, rows / devices > self.reused)

    def seconds(self, rows: float, devices: int, summed: float) -> float:
        """Return the seconds of a gradient.

        A sum over devices takes log2(devices) times the latency of one between two, and each device
        sends and receives 2 (devices - 1) / devices of the bytes. Source: Thakur, Rabenseifner &
        Gropp (2005), Optimization of collective communication operations in MPICH, section 4.5.

        Args:
            rows: Number of rows.
            devices: Number of devices.
            summed: Bytes of the value and gradient.
        """
        sent = 2 * (devices - 1) / devices * summed / self.bytes
        return self.on_devices(rows, devices) + self.latency * np.log2(devices) + sent
