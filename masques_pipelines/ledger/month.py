"""Months of ledger time, which are the partitions of masques.transactions."""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, order=True)
class Month:
    """A month of ledger time, UTC."""

    year: int
    month: int

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"

    @property
    def partition(self) -> int:
        """The partition of masques.transactions."""
        return self.year * 100 + self.month

    @property
    def following(self) -> "Month":
        """The month after this one."""
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    @property
    def start_ns(self) -> int:
        """The month's first moment, nanoseconds since 1970."""
        return int(datetime(self.year, self.month, 1, tzinfo=UTC).timestamp()) * 10**9

    @classmethod
    def of_partition(cls, partition: int) -> "Month":
        """Returns the month of a partition, which is a number like 202611."""
        return cls(partition // 100, partition % 100)

    @classmethod
    def of(cls, time_ns: int) -> "Month":
        """Returns the month of a ledger time."""
        moment = datetime.fromtimestamp(time_ns // 10**9, UTC)
        return cls(moment.year, moment.month)
