"""Which receipts are refused, and with which words."""

import unittest
from dataclasses import dataclass

from quarantine import Quarantine

TODAY = "2026-11-30"


@dataclass
class Line:
    sku: str = "MILK-1L"
    batch: str | None = "B-1"
    expires_on: str | None = None


def refusal(config: dict[str, str], *lines: Line, supplier: str | None = None) -> str | None:
    return Quarantine.of(config).refusal(supplier, lines, TODAY)


class Lists(unittest.TestCase):
    def test_nothing_is_refused_without_a_list(self):
        self.assertIsNone(refusal({}, Line(), supplier="Meadow Dairy"))
        empty = {"items": " ; ;\n", "batches": "", "suppliers": ";", "shelf-life-days-min": " "}
        self.assertIsNone(refusal(empty, Line(batch=None), Line(expires_on="2000-01-01")))

    def test_items_are_refused_by_their_whole_sku(self):
        config = {"items": "SCARF; MILK-1L"}
        self.assertIn("the item MILK-1L", refusal(config, Line()))
        self.assertIsNone(refusal(config, Line(sku="MILK-1"), Line(sku="milk-1l")))

    def test_batches_of_every_item_and_of_one(self):
        config = {"batches": "B-7\nMILK-1L/B-2"}
        self.assertIn("the batch B-7 of OATS", refusal(config, Line(sku="OATS", batch="B-7")))
        self.assertIn("the batch B-2 of MILK-1L", refusal(config, Line(batch="B-2")))
        self.assertIsNone(refusal(config, Line(sku="OATS", batch="B-2"), Line(batch=None)))

    def test_suppliers_are_refused_however_they_are_written(self):
        config = {"suppliers": "Meadow Dairy; Straße & Söhne"}
        for name in ["Meadow Dairy", " meadow  DAIRY", "STRASSE & SÖHNE"]:
            self.assertIn("is in quarantine", refusal(config, Line(), supplier=name))
        self.assertIsNone(refusal(config, Line(), supplier="Meadow"))
        self.assertIsNone(refusal(config, Line(), supplier=None))

    def test_one_line_refuses_the_receipt(self):
        lines = [Line(sku="OATS"), Line(), Line(sku="SCARF")]
        self.assertIn("MILK-1L", refusal({"items": "MILK-1L; SCARF"}, *lines))

    def test_a_refusal_is_short_enough_to_be_shown(self):
        supplier = "x" * 4_000
        reason = refusal({"suppliers": supplier}, supplier=supplier)
        self.assertLess(len(reason), 400)


class ShelfLife(unittest.TestCase):
    def test_a_batch_is_good_until_the_end_of_its_day(self):
        config = {"shelf-life-days-min": "0"}
        self.assertIsNone(refusal(config, Line(expires_on="2026-11-30")))
        self.assertIn("expired on 2026-11-29", refusal(config, Line(expires_on="2026-11-29")))

    def test_goods_must_keep_for_the_days_that_are_asked_for(self):
        config = {"shelf-life-days-min": "31"}
        self.assertIsNone(refusal(config, Line(expires_on="2026-12-31")))
        reason = refusal(config, Line(expires_on="2026-12-30"))
        self.assertIn("30 more days", reason)
        self.assertIn("31 are needed", reason)

    def test_goods_without_a_date_and_empty_settings_are_not_looked_at(self):
        self.assertIsNone(refusal({"shelf-life-days-min": "31"}, Line(expires_on=None)))
        self.assertIsNone(refusal({"shelf-life-days-min": ""}, Line(expires_on="2000-01-01")))

    def test_a_number_that_is_none_is_named(self):
        for text in ["ten", "-1", "1.5", "٣", "36526", "9" * 4_000]:
            with self.assertRaisesRegex(ValueError, "shelf-life-days-min is `"):
                Quarantine.of({"shelf-life-days-min": text})


if __name__ == "__main__":
    unittest.main()
