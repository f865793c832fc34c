"""Grow a doubling trajectory by plain recursion, on integers, without saving memory."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class RecursiveTree:
    """Grow a trajectory over the integers from 0, with given momenta and log weights.

    Attributes:
        momenta: Function of an integer.
        log_weights: Function of an integer; 0 at 0.
        uniforms: Rows of three numbers, a row per leaf: side, choice within, choice between.
        max_depth: Maximum number of doublings.
        divergent: A log weight below minus this ends the trajectory.
    """

    momenta: dict[int, np.ndarray]
    log_weights: dict[int, float]
    uniforms: np.ndarray
    max_depth: int
    divergent: float = 1000.0
    visited: list[int] = field(default_factory=list)

    def grow(self) -> "RecursiveTree":
        self.tree, self.chosen, self.depth, self.diverging = [0], 0, 0, False
        log_weight = 0.0
        while True:
            side = 1 if self.uniforms[len(self.visited), 0] < 0.5 else -1
            self.offered, self.sub_weight = None, -np.inf
            at = self.tree[-1] if side == 1 else self.tree[0]
            leaves, valid = self.build(at, side, self.depth)
            if not valid:
                return self
            if np.log(self.uniforms[len(self.visited) - 1, 2]) < self.sub_weight - log_weight:
                self.chosen = self.offered
            log_weight = np.logaddexp(log_weight, self.sub_weight)
            # The U-turn test takes the halves in the direction of integration, the old one first.
            old = self.tree if side == 1 else self.tree[::-1]
            turned = self.turns(old, leaves)
            self.tree = sorted(self.tree + leaves)
            self.depth += 1
            if turned or self.depth == self.max_depth:
                return self

    def build(self, at: int, side: int, depth: int) -> tuple[list[int], bool]:
        if depth == 0:
            return self.visit(at + side)
        first, valid = self.build(at, side, depth - 1)
        if not valid:
            return first, False
        second, valid = self.build(first[-1], side, depth - 1)
        if not valid:
            return first + second, False
        return first + second, not self.turns(first, second)

    def visit(self, leaf: int) -> tuple[list[int], bool]:
        weight = self.log_weights[leaf]
        self.sub_weight = np.logaddexp(self.sub_weight, weight)
        if np.log(self.uniforms[len(self.visited), 1]) < weight - self.sub_weight:
            self.offered = leaf
        self.visited.append(leaf)
        self.diverging = weight < -self.divergent
        return [leaf], not self.diverging

    def turns(self, first: list[int], second: list[int]) -> bool:
        """Apply Stan's U-turn criterion to two adjacent halves: the whole, and two extra checks."""
        p = self.momenta
        left, right = sum(p[z] for z in first), sum(p[z] for z in second)
        a, b, c, d = p[first[0]], p[first[-1]], p[second[0]], p[second[-1]]
        spans = [(left + right, a, d), (left + c, a, c), (right + b, b, d)]
        return any(s @ one <= 0 or s @ other <= 0 for s, one, other in spans)
