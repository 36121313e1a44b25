"""What is in quarantine, and whether a receipt has any of it. Knows nothing of the host."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Protocol

# Characters of a text that a refusal repeats.
CHARS_SHOWN = 60

# The most days of shelf life that can be asked for: a hundred years.
DAYS_MAX = 36_525


class Line(Protocol):
    """Goods of one item and batch that come in."""

    sku: str
    batch: str | None
    expires_on: str | None


@dataclass(frozen=True)
class Quarantine:
    """What must not come in."""

    items: frozenset[str]
    batches: frozenset[str]
    suppliers: frozenset[str]
    # Days that goods must keep beyond today; None where dates don't matter.
    shelf_life_days_min: int | None

    @classmethod
    def of(cls, config: Mapping[str, str]) -> "Quarantine":
        """Reads the configuration; a ValueError says what is wrong with it."""
        return cls(
            items=frozenset(entries(config, "items")),
            batches=frozenset(entries(config, "batches")),
            suppliers=frozenset(folded(name) for name in entries(config, "suppliers")),
            shelf_life_days_min=days(config, "shelf-life-days-min"),
        )

    def refusal(self, supplier: str | None, lines: Iterable[Line], today: str) -> str | None:
        """Why goods must not come in; None where they may."""
        if supplier is not None and folded(supplier) in self.suppliers:
            return f"the supplier {shown(supplier)} is in quarantine; nothing is received from there"
        reasons = (self.reason(line, date.fromisoformat(today)) for line in lines)
        return next((reason for reason in reasons if reason is not None), None)

    def reason(self, line: Line, today: date) -> str | None:
        """Why a line must not come in."""
        if line.sku in self.items:
            return f"the item {line.sku} is in quarantine; put the goods aside and ask who set that"
        if line.batch is not None and self.batches & {line.batch, f"{line.sku}/{line.batch}"}:
            return f"the batch {line.batch} of {line.sku} is in quarantine; put the goods aside and ask who set that"
        if line.expires_on is None or self.shelf_life_days_min is None:
            return None
        days_left = (date.fromisoformat(line.expires_on) - today).days
        if days_left < 0:
            return f"{goods(line)} expired on {line.expires_on}; send them back"
        if days_left < self.shelf_life_days_min:
            return (
                f"{goods(line)} keep for {days_left} more days, until {line.expires_on}, "
                f"and {self.shelf_life_days_min} are needed; send them back or ask for an exception"
            )
        return None


def entries(config: Mapping[str, str], key: str) -> list[str]:
    """The entries of a list, which has semicolons or line ends between them."""
    parts = config.get(key, "").replace("\n", ";").split(";")
    return [part.strip() for part in parts if part.strip()]


def days(config: Mapping[str, str], key: str) -> int | None:
    """A number of days; None where it is empty."""
    text = config.get(key, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) <= DAYS_MAX):
        raise ValueError(f"{key} is `{shown(text)}`, and must be a number of days from 0 to {DAYS_MAX}, or empty")
    return int(text)


def folded(name: str) -> str:
    """A name as it is compared: without regard to capital letters and the number of spaces."""
    return " ".join(name.casefold().split())


def goods(line: Line) -> str:
    batch = "" if line.batch is None else f" of the batch {line.batch}"
    return f"the goods {line.sku}{batch}"


def shown(text: str) -> str:
    return text if len(text) <= CHARS_SHOWN else text[: CHARS_SHOWN - 1] + "…"
