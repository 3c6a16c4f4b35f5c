"""The alphabet forwards and backwards from memory: why sequence memory is ordered.

Say the alphabet, then say it backwards: the second is hard, though you know every letter. A recurrent network is the
same. It hears one letter, then only the ticks of a clock, and must recite what follows; so the place it has reached
lives in its state alone, and what it learns is the way from each state to the next, a road that cannot be walked the
other way. Learning the way back is new work, and harder for a network that has the way forth in its weights. But who
knows only the way forth can still find the letter before q: recite from a until q comes up, and keep what came last.
"""

import copy
from itertools import count, pairwise
from string import ascii_lowercase as FORWARDS

import numpy as np

from elman import Sequential, layers, optimizers

BACKWARDS = FORWARDS[::-1]
TICK = len(FORWARDS)  # the id that is heard when no letter is


def lessons(order):
    """Return what is heard, a letter and ticks, and what is to be said, for every first letter but the last."""
    ids = np.array([FORWARDS.index(letter) for letter in order])
    return [np.array([k] + [TICK] * (24 - n)) for n, k in enumerate(ids[:-1])], [ids[n:] for n in range(1, 26)]


def learn(model, order):
    """Go through the lessons until every recitation is right; return how often that was."""
    heard, said = lessons(order)
    for rounds in count(1):
        model.fit(heard, said, batch_size=5, verbose=0, rng=rounds)
        if all((out.argmax(-1) == letters).all() for out, letters in zip(model.predict(heard), said, strict=True)):
            return rounds


def recite(model, first, steps):
    """Return what the network says on hearing a letter and ticks."""
    (out,) = model.predict([[FORWARDS.index(first)] + [TICK] * (steps - 1)])
    return "".join(FORWARDS[k] for k in out.argmax(-1))


def right(model, order):
    """Return of how many letters, among 25, the network tells the one that follows in this order."""
    return sum(recite(model, here, 1) == follows for here, follows in pairwise(order))


def student(seed):
    """Return a network that knows nothing."""
    model = Sequential([layers.RNN(64, return_sequences=True), layers.Dense(26)])
    model.compile(optimizers.Adam(3e-3), "cross_entropy")
    model.build(TICK + 1, ids=True, rng=seed)
    return model


def letter_before(model, letter):
    """Find the letter before by reciting from a; return it and how many letters had to be said."""
    said = "a" + recite(model, "a", 25)
    return said[said.index(letter) - 1], said.index(letter) + 1


def main(seed=0):
    """Teach three networks; print and return what each knows: rounds, letters after, letters before."""
    first, second = student(seed), student(seed)
    known = {"forwards": (learn(first, FORWARDS), right(first, FORWARDS), right(first, BACKWARDS))}
    known["backwards"] = (learn(second, BACKWARDS), right(second, FORWARDS), right(second, BACKWARDS))
    third = copy.deepcopy(first)
    known["forwards, then backwards"] = (learn(third, BACKWARDS), right(third, FORWARDS), right(third, BACKWARDS))

    print("taught                       rounds   tells the letter after   the letter before")
    for taught, (rounds, after, before) in known.items():
        print(f"{taught:28} {rounds:6} {after:17} of 25 {before:13} of 25")
    print(f"\nforwards:  a, {', '.join(recite(first, 'a', 25))}\nbackwards: z, {', '.join(recite(second, 'z', 25))}\n")
    print("The letter before, asked of the network that knows the way forth:")
    for letter in "ekqwz":
        before, steps = letter_before(first, letter)
        wrong = recite(first, letter, 1)
        print(f"  before {letter}: at once {wrong}, which is wrong; having recited {steps} letters, {before}")
    return known


if __name__ == "__main__":
    main()
