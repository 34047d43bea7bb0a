"""Verdict reports of one round: what each validator says about the revealed gradients, signed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pot_chain.protocol.addresses import Address
from pot_chain.protocol.errors import ProtocolError
from pot_chain.protocol.record import Reveal, SignedReport
from pot_chain.protocol.round import RoundContext, check_report, report_statement
from pot_chain.protocol.votes import VerdictReport


class Reports:
    """The latest report of each validator, our own among them."""

    def __init__(self, context: RoundContext, me: Address, sign: Callable[[VerdictReport], bytes]) -> None:
        self._context, self._me, self._sign = context, me, sign
        self._latest: dict[Address, SignedReport] = {}
        self._stated: VerdictReport | None = None

    @property
    def own(self) -> SignedReport | None:
        """What we have said."""
        return self._latest.get(self._me)

    def state(self, reveals: Mapping[Address, Reveal], rejected: Mapping[Address, str]) -> bool:
        """Sign that of ``reveals`` we reject ``rejected``; returns whether that is news."""
        statement = report_statement(self._context, reveals, rejected)
        if statement == self._stated:
            return False
        self._stated = statement
        self._latest[self._me] = SignedReport(self._me, dict(rejected), self._sign(statement))
        return True

    def take(self, sender: Address, report: SignedReport) -> None:
        """A report that arrived. It is checked when it is used: until then we may lack what it is about.

        Raises:
            ProtocolError: it is not its sender's own, or the sender is no validator of the epoch.
        """
        if sender != report.validator or sender not in self._context.voters:
            raise ProtocolError(f"a report of {report.validator} that came from {sender}")
        self._latest[sender] = report

    def about(self, reveals: Mapping[Address, Reveal]) -> list[SignedReport]:
        """The reports that are validly signed for exactly ``reveals``."""
        valid = []
        for report in self._latest.values():
            try:
                check_report(self._context, reveals, report)
            except ProtocolError:
                continue  # of another set of reveals: its author will report again when it has what we have
            valid.append(report)
        return valid

    def accused(self) -> set[Address]:
        """Miners that anybody rejects."""
        return {miner for report in self._latest.values() for miner in report.rejected}

    def vouched(self, miner: Address, reveals: Mapping[Address, Reveal]) -> bool:
        """Whether anybody else says of ``reveals`` that the gradient of ``miner`` is sound."""
        return any(report.validator != self._me and miner not in report.rejected for report in self.about(reveals))
