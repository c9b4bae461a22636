"""A user's own loss.

What it changes: the loss is the formula that the user gives, `--force custom-loss --set custom-loss.expression='…'`. Why it
may help: costs that no standard loss knows can be said in a line: three times as dear to promise too much as too little,
errors that don't count below a limit, relative instead of absolute ones. When it hurts: a formula without a slope teaches
nothing, one without a bound below runs away; the search still ranks models by the job's metric, not by this loss.

How: names are y, the target, p, the prediction, and z, the network's output. For numbers y and p are in the target's own
unit and z is the standardised prediction. For classes the formula is computed class by class and summed: y is 1 for the
right class and 0 for the others, p the probability, z the logit; `-y * log(p)` is cross-entropy. There are numbers, + - * /
**, brackets, abs, square, sqrt, exp, log, tanh, softplus, maximum, minimum, huber(error, delta), and where(a < b, then,
else). log and sqrt are taken of at least 10⁻⁷. Text outside of this grammar is refused with its place; nothing of it is
executed as code.
"""

from __future__ import annotations

from automl.catalog import Component, Text, TrainPlan, technique
from automl.layers import expressions

NAMES = ("y", "p", "z")


def fault(text: str) -> str | None:
    """Why the text is no loss; None when it is one."""
    try:
        tree = expressions.parse(text, NAMES)
    except expressions.Malformed as error:
        return str(error)
    if "y" not in tree.names or not tree.names & {"p", "z"}:
        return "a loss compares the target y with the prediction p (or z); this expression lacks one of them"
    return None


@technique(
    id="custom-loss", stage="loss", slot="loss",
    params={"expression": Text("square(y - p)", fault, "an expression in y, p and z")},
    on_request="the formula is the user's",
    reference="Huber: Robust Estimation of a Location Parameter (1964), for losses by choice; Brier (1950) is the default",
)
def apply(plan: TrainPlan, *, expression: str) -> TrainPlan:
    return plan.replace(loss=Component(f"{__name__}:make", {"expression": expression}), loss_in_units=True)


def make(*, expression: str, mean: float | None = None, std: float | None = None) -> object:
    """The loss; of classes without a unit."""
    from automl.layers import losses

    return losses.Expression(expression, mean, std)
