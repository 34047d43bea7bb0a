"""Mutation testing: a small change to the sources must make some test fail."""

from __future__ import annotations

from scripts.audit.layer import Budget, Outcome, Say
from scripts.audit.mutation.campaign import GOAL, campaign, write_report


def mutants(budget: Budget, say: Say) -> Outcome:
    """At least 95 % of the mutants that can be killed are; in the quick run, of a sample."""
    done = campaign(sample=budget.mutants, limit=budget.mutation_seconds, say=say)
    write_report(done)
    problems = list(done.problems)
    if done.score < GOAL:
        problems.append(f"the score is {100 * done.score:.1f} %, {100 * GOAL:.0f} % are wanted")
    return Outcome(done.counted, done.summary(), problems, done.details())
