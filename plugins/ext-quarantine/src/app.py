"""Fills the extension point `inventory:stock/before-receive` with what is in quarantine."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.before_receive import Receipt
from wit_world.imports import store as config

from quarantine import Quarantine


class BeforeReceive(exports.BeforeReceive):
    def check(self, receipt: Receipt, today: str) -> None:
        reason = refusal(receipt, today)
        if reason is not None:
            raise Err(reason)


def refusal(receipt: Receipt, today: str) -> str | None:
    try:
        quarantine = Quarantine.of(dict(config.get_all()))
    except ValueError as error:
        # What can't be checked does not come in.
        return f"the quarantine list can't be read: {error}; correct the configuration of ext-quarantine"
    return quarantine.refusal(receipt.supplier, receipt.lines, today)
