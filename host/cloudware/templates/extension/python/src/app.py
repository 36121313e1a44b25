"""Fills the extension point `example:shop/discount`: a discount on ten and more of an item."""

from typing import List, Optional

from wit_world import exports
from wit_world.exports.discount import Line
from wit_world.imports import store as config


class Discount(exports.Discount):
    def discount(self, lines: List[Line], today: str) -> Optional[int]:
        cents = sum(line.quantity * line.price_cents for line in lines if line.quantity >= 10)
        given = cents * int(config.get("percent") or "0") // 100
        return given or None
