"""Which classifier is the best, and whether to combine it with detectors.

All by the log loss on held-out folds of validation. A log loss is moved by
every image, where accuracy and ROC AUC on a hundred of them only move in
steps; and it asks for the probabilities that dfk promises.

The parts of a combination are the best classifier and all trained detectors.
Only the best two, the best three and so on are tried: among all subsets, some
would win by chance. A trained detector has been chosen among its epochs on
these same images, which flatters it a little beside a classifier.
"""

from dataclasses import dataclass

import numpy as np

from dfk.training import stacking
from dfk.training.stacking import Stack


@dataclass(frozen=True)
class Team:
    """One or several of the sources of logits, and how they are added up.

    Args:
        members: the sources' numbers, the best on validation first.
        stack: their weights, fitted on validation.
        loss: the held-out log loss on validation, in nats an image.
        held_out: float `[N]`, logits of the validation images by stacks
            that were not fitted on them, for whatever is fitted to the
            team's answers. A single member's are those of its own stack,
            which scales and does not change their order.
    """

    members: list[int]
    stack: Stack
    loss: float
    held_out: np.ndarray

    def logits(self, logits: np.ndarray) -> np.ndarray:
        """Logits of all sources `[N, K]` to those of the team `[N]`."""
        return self.stack(logits[:, self.members])


@dataclass(frozen=True)
class Selection:
    """What validation says about several sources of logits.

    Args:
        alone: each source by itself.
        combination: the best team of several; None if there is only one part.
    """

    alone: list[Team]
    combination: Team | None

    @property
    def teams(self) -> list[Team]:
        """Each source alone, and then the combination if there is one."""
        return self.alone + ([self.combination] if self.combination else [])

    @property
    def winner(self) -> Team:
        """The best of all, which may be a source alone."""
        return min(self.teams, key=lambda team: team.loss)


def select(
    logits: np.ndarray, labels: np.ndarray, groups: np.ndarray, classifiers: int
) -> Selection:
    """Measures every source, and the combinations of the best parts.

    Args:
        logits: float `[N, K]`, raw logits of validation images.
        labels: int `[N]`, 0 for real and 1 for fake.
        groups: `[N]`, images of one group stay in one fold.
        classifiers: so many sources, the first ones, are classifiers on
            frozen features; the others are trained detectors.

    Returns:
        All sources, and the best combination of the best classifier and the
        detectors.

    Raises:
        UserError: there are too few images or groups.

    Example:
        >>> select(logits, labels, groups, classifiers=8).winner.members
        [9, 8]
    """
    divisions = stacking.divide(labels, groups)

    def team(members: list[int]) -> Team:
        columns = logits[:, members]
        stack = stacking.fit(columns, labels)
        answers = stacking.held_out_logits(columns, labels, divisions)
        loss = stacking.loss(answers, labels)
        several = len(members) > 1
        held_out = answers.mean(axis=0) if several else stack(columns)
        return Team(members, stack, loss, held_out)

    alone = [team([number]) for number in range(logits.shape[1])]
    classifier = min(alone[:classifiers], key=_loss)
    parts = sorted([classifier, *alone[classifiers:]], key=_loss)
    order = [part.members[0] for part in parts]
    together = [team(order[:count]) for count in range(2, len(order) + 1)]
    return Selection(alone, min(together, key=_loss, default=None))


def _loss(team: Team) -> float:
    return team.loss
